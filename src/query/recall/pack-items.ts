import { estimateTokens } from "../../embeddings/pack.ts";
import {
	type FittedText,
	fitText,
	type ItemText,
	wholeText,
} from "./item-text.ts";

/** Items with their texts, as many as the budget has room for. */
export interface Packed<Item> {
	readonly items: readonly (Item & FittedText)[];
	/** Items without room. */
	readonly omitted: number;
	/** Of all texts together, and of what surrounds them, estimated. */
	readonly tokens: number;
}

interface PackedItem {
	readonly source: ItemText;
	/** Of what surrounds the text, where that counts. @default 0 */
	readonly frameTokens?: number;
}

export interface PackOptions {
	readonly maxTokens: number;
	/** Words of the query, by which passages are chosen. */
	readonly terms: readonly string[];
	/** So many items share the tokens before the others do. @default all */
	readonly first?: number;
}

/** As long as there is so much room for it, a text with its surroundings is not cut shorter than this. */
const minShare = 100;

/**
 * The items in their order, within the budget. Texts that are shorter than an
 * equal share leave the rest of it to the longer ones; a longer one is cut to
 * its passage. An item for which there is no room is omitted, and counted.
 */
export function packItems<Item extends PackedItem>(
	items: readonly Item[],
	{ maxTokens, terms, first = items.length }: PackOptions,
): Packed<Omit<Item, "source">> {
	const head = packEqually(items.slice(0, first), maxTokens, terms);
	const left = maxTokens - head.tokens;
	const tail = packEqually(items.slice(first), left, terms);
	const packed = [...head.items, ...tail.items];
	return {
		items: packed,
		omitted: items.length - packed.length,
		tokens: head.tokens + tail.tokens,
	};
}

function packEqually<Item extends PackedItem>(
	items: readonly Item[],
	maxTokens: number,
	terms: readonly string[],
): Omit<Packed<Omit<Item, "source">>, "omitted"> {
	const sizes = items.map(
		({ source, frameTokens = 0 }) =>
			frameTokens + estimateTokens(wholeText(source)),
	);
	const packed: (Omit<Item, "source"> & FittedText)[] = [];
	let left = maxTokens;
	for (const [at, { source, ...item }] of items.entries()) {
		const { frameTokens = 0 } = item;
		const share = Math.max(equalShare(left, sizes.slice(at)), minShare);
		const room = Math.min(share, left) - frameTokens;
		const fitted = fitText(source, room, terms);
		if (fitted === undefined) continue;
		packed.push({ ...item, ...fitted });
		left -= fitted.tokens + frameTokens;
	}
	return { items: packed, tokens: maxTokens - left };
}

/** The most that each may have, so that all of them fit: what the short ones leave is the long ones'. */
function equalShare(budget: number, sizes: readonly number[]): number {
	let left = budget;
	let count = sizes.length;
	for (const size of [...sizes].sort((a, b) => a - b)) {
		if (size * count > left) return Math.floor(left / count);
		left -= size;
		count--;
	}
	return budget;
}
