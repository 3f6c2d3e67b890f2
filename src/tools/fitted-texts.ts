import { type PackOptions, packItems } from "../query/recall/pack-items.ts";
import { termsOf } from "../query/recall/words.ts";
import { type BoundedItems, boundedItems, type Item } from "./bounded-items.ts";

/**
 * As many of the items as fit into the tokens, their long texts cut to the passage
 * with most of the query's words as in recall; what surrounds a text counts as well.
 * The first `first` items share the tokens before the others do.
 */
export function fittedTexts(query: string, first?: number) {
	const terms = termsOf(query);
	return (all: readonly Item[], maxTokens: number): BoundedItems => {
		let budget = maxTokens;
		// A text as JSON has some more characters than it is estimated by.
		for (let attempt = 0; attempt < maxAttempts; attempt++) {
			const fitted = packed(all, {
				maxTokens: budget,
				terms,
				...(first === undefined ? {} : { first }),
			});
			const { items, tokens } = boundedItems(fitted, Number.POSITIVE_INFINITY);
			if (items.length > 0 && tokens <= maxTokens) return { items, tokens };
			budget -= Math.max(tokens - maxTokens, 1);
		}
		return boundedItems(all, maxTokens);
	};
}

const maxAttempts = 4;

/** Those from the first without a gap. */
function packed(items: readonly Item[], options: PackOptions): Item[] {
	const sources = items.map((item, place) => ({
		place,
		item,
		source: sourceOf(item),
		frameTokens: boundedItems(
			[{ ...item, text: "", isCut: true }],
			Number.POSITIVE_INFINITY,
		).tokens,
	}));
	return packItems(sources, options)
		.items.filter(({ place }, at) => place === at)
		.map(({ item, text, isWhole }) =>
			isWhole ? { ...item, text } : { ...item, text, isCut: true },
		);
}

/** The key in the first line stays there. */
function sourceOf({ key, text: given }: Item) {
	const text = typeof given === "string" ? given : "";
	const isHead = typeof key === "string" && text.startsWith(`${key}\n`);
	return isHead
		? { key, body: text.slice(key.length + 1) }
		: { key: null, body: text };
}
