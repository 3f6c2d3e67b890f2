/** pg_trgm's `similarity()`, from its definition: trigrams of the words in common by trigrams in all. */
function similarity(a: string, b: string): number {
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

/** FUZZY's score of a name: the same, or for letters without spaces between words what the name has of their neighbours. */
export function nameScore(name: string, query: string): number {
	const text = name.normalize("NFKC");
	const runs =
		query
			.normalize("NFKC")
			.match(/[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{sc=Thai}]+/gu) ?? [];
	const pairs = new Set(
		runs.flatMap((run) => {
			const letters = [...run];
			return letters.length === 1
				? letters
				: letters.slice(1).map((letter, at) => `${letters[at]}${letter}`);
		}),
	);
	if (pairs.size === 0) return similarity(name, query);
	const common = [...pairs].filter((pair) => text.includes(pair)).length;
	const share = Math.fround(common) / pairs.size;
	const length = runs.join("").length / [...name].length;
	return Math.max(
		similarity(name, query),
		Math.fround(share * Math.min(1, length)),
	);
}
