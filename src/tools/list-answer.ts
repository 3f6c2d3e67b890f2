import type { Item } from "./bounded-items.ts";
import type { PageAnswer } from "./page.ts";
import { quotedJson } from "./plain-json.ts";
import type { ToolAnswer } from "./tool.ts";

/** The answer of a tool that finds entities. */
export function listAnswer(
	{ items, omitted, cursor }: PageAnswer,
	more: Item = {},
): ToolAnswer {
	return {
		content: {
			items,
			omitted,
			...(cursor === undefined ? {} : { cursor }),
			...more,
		},
		text: [
			...(items.length === 0 ? ["Nothing was found."] : items.map(itemLine)),
			...Object.entries(more).map(
				([name, value]) => `${name}: ${quotedJson(value)}`,
			),
			...(cursor === undefined
				? []
				: [
						`${omitted === 0 ? "There may be more" : `${omitted} more`}: read on with cursor ${cursor}`,
					]),
		].join("\n"),
	};
}

/** `rem://documents/doc-1 {"text":"…"}`: stored texts are inside quotes, on one line. */
function itemLine({ uri, ...rest }: Item): string {
	const { table: _, key: __, ...shown } = rest;
	return `${String(uri ?? "")} ${quotedJson(shown)}`.trim();
}
