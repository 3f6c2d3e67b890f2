import * as z from "zod";
import { boundedItems } from "./bounded-items.ts";
import { entityUri } from "./entity-uri.ts";
import { type FoundRow, findRow } from "./find-row.ts";
import { page, uris } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { openPage } from "./page.ts";
import { plainMembers } from "./plain-json.ts";
import { reads, tool } from "./tool.ts";

export const get = tool({
	name: "get",
	title: "Read whole entities",
	description:
		"Reads entities with all their fields, by the uri that another tool returned. A long text comes in parts: call again with textFrom.",
	behaviour: reads,
	input: () =>
		z.strictObject({
			uris,
			textFrom: z
				.int()
				.min(0)
				.optional()
				.describe("character from which long texts are shown, 0 by default"),
			maxTokens: page.maxTokens,
			cursor: page.cursor,
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("get", input, maxTokens);
		const from = input.textFrom ?? 0;
		const asked = input.uris.slice(here.offset);
		const missing: string[] = [];
		const items: Record<string, unknown>[] = [];
		let tokens = 0;
		let read = 0;
		for (const uri of asked) {
			const found = await findRow({ scope, access, signal }, uri);
			if (found === undefined) missing.push(uri);
			else {
				const item = entityItem(found, from, here.maxTokens);
				const fits = boundedItems([item], here.maxTokens);
				if (items.length > 0 && tokens + fits.tokens > here.maxTokens) break;
				items.push(...fits.items);
				tokens += fits.tokens;
			}
			read++;
		}
		const omitted = asked.length - read;
		return listAnswer(
			{
				items,
				tokens,
				omitted,
				...(omitted === 0 ? {} : { cursor: here.cursorAt(read) }),
			},
			missing.length === 0 ? {} : { missing },
		);
	},
});

// A token has three ASCII characters, as they are estimated.
const textShare = 1.5;

/** The row as JSON, and of texts that are too long the part from a character. */
function entityItem(
	{ entity, key, id, row }: FoundRow,
	from: number,
	maxTokens: number,
): Record<string, unknown> {
	const length = Math.max(Math.floor(maxTokens * textShare), 60);
	const { tenantId: _, deletedAt: __, ...shown } = plainMembers(row);
	const parts: Record<string, unknown> = {};
	const texts: Record<string, string> = {};
	for (const { name } of entity.fields) {
		const text = shown[name];
		if (typeof text !== "string" || text.length <= length) continue;
		texts[name] = text.slice(from, from + length);
		parts[name] = {
			from,
			to: Math.min(from + length, text.length),
			of: text.length,
		};
	}
	return {
		uri: entityUri(entity.tableName, key, id),
		table: entity.tableName,
		key,
		fields: withoutEmpty({ ...shown, ...texts }),
		...(Object.keys(parts).length === 0 ? {} : { parts }),
	};
}

/** Absent, and what a model need not read. */
function withoutEmpty(
	row: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(row).filter(([, value]) => {
			if (value === null || value === undefined) return false;
			return typeof value !== "object" || Object.keys(value).length > 0;
		}),
	);
}
