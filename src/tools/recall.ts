import * as z from "zod";
import { entityUri } from "./entity-uri.ts";
import { page, someTables, tableNamed, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { fusedLimit, openPage, type Page, pageOf } from "./page.ts";
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
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("recall", input, maxTokens);
		const { query, since } = input;
		for (const name of input.tables ?? []) tableNamed(access, name);
		const tables =
			input.tables ?? (access.isRestricted ? access.tables : undefined);
		// Those of the pages before get their room again.
		const { count, room } = roomOf(here);
		const limit = fusedLimit(here.offset + count, maxItems);
		const found = await scope.recall({
			query,
			limit,
			maxTokens: room * limit,
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
		return listAnswer(pageOf(here, items, { omitted, isOpen, most: maxItems }));
	},
});

/** As many items as recall can return. */
const maxItems = 200;
/** Tokens of an item's URI, score and reasons. */
const frameTokens = 60;
/** Recall cuts no text shorter than that while there is room. */
const minTokens = 100;

/** How many items a page has room for, and how many tokens the text of each. */
function roomOf({ limit, maxTokens }: Page) {
	const most = Math.floor(maxTokens / (minTokens + frameTokens));
	const count = Math.min(limit, Math.max(most, 1));
	const room = Math.max(Math.floor(maxTokens / count) - frameTokens, 1);
	return { count, room: Math.max(room, Math.ceil(maxTokens / count / 2)) };
}
