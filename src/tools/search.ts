import * as z from "zod";
import type { Entity } from "../models/entity.ts";
import { filterFromJson } from "../models/json-fields.ts";
import { limits } from "../models/limits.ts";
import { keyOfRow } from "../models/rows.ts";
import { cutText } from "./bounded-items.ts";
import { entityUri } from "./entity-uri.ts";
import { fittedTexts } from "./fitted-texts.ts";
import { oneTable, page, tableNamed, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { fusedLimit, openPage, pageOf } from "./page.ts";
import { reads, tool, untilAborted } from "./tool.ts";

export const search = tool({
	name: "search",
	title: "Search one table",
	description:
		"Finds entities of one table by meaning and words, with a filter on its fields. Use recall unless you know the table or need the filter.",
	behaviour: reads,
	input: (access) =>
		z.strictObject({
			query: text("what to search for, in plain words"),
			table: oneTable(access),
			where: z
				.record(z.string(), z.unknown())
				.optional()
				.describe(
					'fields that must match: {"year":{"gte":2020},"category":"drama"}; also ne, in, lt, like, isNull, AND, OR, NOT',
				),
			...page,
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("search", input, maxTokens);
		const entity = tableNamed(access, input.table);
		const rows = await scope.hybridSearch({
			...untilAborted(signal),
			tableName: input.table,
			query: input.query,
			limit: fusedLimit(here.needed, limits.resultRows),
			...(input.where === undefined
				? {}
				: { where: filterFromJson(entity, input.where) as never }),
		});
		const items = rows.map((row) => ({
			uri: entityUri(input.table, keyOfRow(entity, row), row.id),
			table: input.table,
			key: keyOfRow(entity, row),
			text: previewOf(entity, row),
			score: Number(row.score.toFixed(4)),
		}));
		const pack = fittedTexts(input.query);
		return listAnswer(pageOf(here, items, { pack }));
	},
});

const previewLength = 600;

/** The passage that matched, else the beginning of the text of the row. */
function previewOf(
	entity: Entity,
	row: Readonly<Record<string, unknown>>,
): string {
	const passage = row.matchedText;
	if (typeof passage === "string") return cutText(passage, previewLength);
	const texts = entity.embedFields.flatMap(({ name }) => {
		const value = row[name];
		return typeof value === "string" && value !== "" ? value : [];
	});
	return cutText(texts.join(" — "), previewLength);
}
