/** pg_trgm's `similarity()`, from its definition: trigrams of the words in common by trigrams in all. */
export function similarity(a: string, b: string): number {
	const [left, right] = [trigrams(a), trigrams(b)];
	const common = [...left].filter((trigram) => right.has(trigram)).length;
	const all = left.size + right.size - common;
	return all === 0 ? 0 : Math.fround(common / all);
}

/** Each word with two blanks before it and one behind. */
function trigrams(text: string): Set<string> {
	const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
	return new Set(
		words.flatMap((word) => {
			const letters = [..."  ", ...word, " "];
			return letters
				.slice(2)
				.map((_, at) => letters.slice(at, at + 3).join(""));
		}),
	);
}
