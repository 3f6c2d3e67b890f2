import * as z from "zod";
import { fuzzyModes } from "../query/fuzzy-score.ts";
import { entityUri } from "./entity-uri.ts";
import { page, someTables, tableNamed, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { openPage, pageOf } from "./page.ts";
import { reads, tool, untilAborted } from "./tool.ts";

export const fuzzy = tool({
	name: "fuzzy",
	title: "Find nearly that name",
	description:
		"Finds entities whose names are like a text: with a typing error, or of which you know a part.",
	behaviour: reads,
	isExtra: true,
	input: (access) =>
		z.strictObject({
			query: text("nearly the name, at most 256 characters"),
			mode: z
				.enum(fuzzyModes)
				.optional()
				.describe(
					"compare with the whole key (the default), with words of it, or with the summary",
				),
			threshold: z.number().min(0).max(1).optional().describe("0.3 by default"),
			tables: someTables(access),
			...page,
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("fuzzy", input, maxTokens);
		const { query, mode, threshold, tables } = input;
		for (const name of tables ?? []) tableNamed(access, name);
		const allowed = new Set(tables ?? access.tables);
		const [only] = allowed;
		const isAll = tables === undefined && !access.isRestricted;
		const isOne = !isAll && allowed.size === 1 && only !== undefined;
		const hits = await scope.fuzzySearch({
			query,
			...untilAborted(signal),
			// Of several tables the others are left out here.
			limit: isAll || isOne ? here.needed : maxCandidates,
			...(mode === undefined ? {} : { mode }),
			...(threshold === undefined ? {} : { threshold }),
			...(isOne ? { entityType: only } : {}),
		});
		const items = hits
			.filter(({ entityType }) => allowed.has(entityType))
			.slice(0, here.needed)
			.map((hit) => ({
				uri: entityUri(hit.entityType, hit.entityKey, hit.entityId),
				table: hit.entityType,
				key: hit.entityKey,
				summary: hit.contentSummary,
				score: Number(hit.score.toFixed(4)),
			}));
		return listAnswer(pageOf(here, items));
	},
});

const maxCandidates = 1000;
