import { estimateTokens } from "../embeddings/pack.ts";
import { membersOf } from "../util/present.ts";

export type Item = Readonly<Record<string, unknown>>;

/** The items that fit, from the first. */
export interface BoundedItems {
	readonly items: readonly Item[];
	/** Estimated. */
	readonly tokens: number;
}

/**
 * As many of the items as fit into the tokens. The first is always there: where
 * it is too long its texts and lists are cut, and it has `isCut: true`.
 */
export function boundedItems(
	all: readonly Item[],
	maxTokens: number,
): BoundedItems {
	const items: Item[] = [];
	let tokens = 0;
	for (const item of all) {
		const size = tokensOf(item);
		if (tokens + size > maxTokens) break;
		items.push(item);
		tokens += size;
	}
	const [first] = all;
	if (items.length > 0 || first === undefined) return { items, tokens };
	const cut = cutItem(first, maxTokens);
	return { items: [cut], tokens: tokensOf(cut) };
}

function tokensOf(value: unknown): number {
	return estimateTokens(JSON.stringify(value));
}

const lengths = [16_000, 4000, 1000, 250, 60];

function cutItem(item: Item, maxTokens: number): Item {
	for (const length of lengths) {
		const cut = { ...membersOf(shortened(item, length)), isCut: true };
		if (tokensOf(cut) <= maxTokens) return cut;
	}
	return { uri: item.uri, isCut: true };
}

/** Texts of at most so many characters, and lists and objects of fewer parts. */
function shortened(value: unknown, length: number): unknown {
	const parts = Math.ceil(length / 20);
	if (typeof value === "string") return cutText(value, length);
	if (Array.isArray(value))
		return value.slice(0, parts).map((item) => shortened(item, length));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value)
			.slice(0, Math.max(parts, 12))
			.map(([name, item]) => [
				name,
				name === "uri" ? item : shortened(item, length),
			]),
	);
}

/** The beginning of a text, with how much follows. */
export function cutText(text: string, length: number): string {
	if (text.length <= length) return text;
	const start = text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "");
	return `${start}… [${text.length - start.length} more characters]`;
}
