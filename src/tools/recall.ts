import * as z from "zod";
import { limits } from "../models/limits.ts";
import { entityUri } from "./entity-uri.ts";
import { fittedTexts } from "./fitted-texts.ts";
import { largestLimit, page, someTables, tableNamed, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import {
	fusedLimit,
	openPage,
	type Page,
	type PageInput,
	pageOf,
	usualLimit,
} from "./page.ts";
import { reads, tool, untilAborted } from "./tool.ts";

export const recall = tool({
	name: "recall",
	title: "Recall",
	description:
		"Finds what the memory knows about a question: by name, words, meaning and links, best first. Call it before you answer anything that may have been remembered.",
	behaviour: reads,
	input: (access) =>
		z.strictObject({
			query: text("question or topic, in plain words"),
			tables: someTables(access),
			since: z.iso
				.datetime({ offset: true })
				.optional()
				.describe("only what was stored since then"),
			...page,
			limit: page.limit.describe(
				"most results: 10 by default, with maxTokens alone as many as fit",
			),
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("recall", { ...input, ...limitOf(input) }, maxTokens);
		const { query, since } = input;
		for (const name of input.tables ?? []) tableNamed(access, name);
		const tables =
			input.tables ?? (access.isRestricted ? access.tables : undefined);
		const limit = fusedLimit(here.offset + here.limit, maxItems);
		const found = await scope.recall({
			query,
			limit,
			// Those of the pages before get their room again.
			maxTokens: Math.min(roomOf(here) * limit, limits.recallTokens),
			...(tables === undefined ? {} : { tables }),
			...(since === undefined ? {} : { since: new Date(since) }),
			...untilAborted(signal),
		});
		const items = found.items.map((item) => ({
			uri: entityUri(item.entityType, item.entityKey, item.entityId),
			table: item.entityType,
			key: item.entityKey,
			text: item.text,
			...(item.isWhole ? {} : { isCut: true }),
			score: Number(item.score.toFixed(4)),
			reasons: [...new Set(item.reasons.map(({ step }) => step))],
		}));
		const { omitted } = found;
		const isOpen = items.length + omitted === limit;
		const pack = fittedTexts(query, input.limit ?? usualLimit);
		const more = { omitted, isOpen, most: maxItems, pack };
		const { incomplete } = found;
		return listAnswer(
			pageOf(here, items, more),
			incomplete === undefined ? {} : { incomplete },
		);
	},
});

/** As many items as recall can return. */
const maxItems = 200;

/** An item as JSON has hardly fewer tokens. */
const minTokensOfItem = 40;

/** Where tokens alone are given, they decide how many items a page has. */
function limitOf({ limit, maxTokens }: PageInput): { limit?: number } {
	if (limit !== undefined || maxTokens === undefined) return {};
	const fitting = Math.floor(maxTokens / minTokensOfItem);
	return { limit: Math.min(Math.max(fitting, usualLimit), largestLimit) };
}

/** Recall cuts no text shorter than that while there is room. */
const minTokens = 100;

/** How many tokens the text of each item has at least, before those of the page share its room. */
function roomOf({ limit, maxTokens }: Page): number {
	const sharing = Math.min(limit, usualLimit);
	return Math.max(Math.ceil(maxTokens / sharing), minTokens);
}
