import * as z from "zod";
import { entityUri } from "./entity-uri.ts";
import { page, someTables, tableNamed, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { openPage, pageOf } from "./page.ts";
import { reads, tool } from "./tool.ts";

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
	async run({ scope, access, maxTokens, signal }, { since, ...input }) {
		const here = openPage("recall", { ...input, since } as never, maxTokens);
		for (const name of input.tables ?? []) tableNamed(access, name);
		const tables =
			input.tables ?? (access.isRestricted ? access.tables : undefined);
		const found = await scope.recall({
			query: input.query,
			limit: here.offset + here.limit,
			maxTokens: here.tokensBefore + here.maxTokens,
			...(tables === undefined ? {} : { tables }),
			...(since === undefined ? {} : { since: new Date(since) }),
			...(signal === undefined ? {} : { signal }),
		});
		const items = found.items.map((item) => ({
			uri: entityUri(item.entityType, item.entityKey, item.entityId),
			table: item.entityType,
			key: item.entityKey,
			text: item.text,
			score: Number(item.score.toFixed(4)),
			reasons: [...new Set(item.reasons.map(({ step }) => step))],
		}));
		return listAnswer(pageOf(here, items, found.omitted));
	},
});
