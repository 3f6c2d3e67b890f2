/** The text's words in the form that contains each of its trigrams, and no other than these that begin with a letter or a word. */
export function trigramForm(text: string): string {
	return `  ${wordsOf(text).join("   ")}  `;
}

/** pg_trgm's trigrams of a text, each once: a word has two blanks before it and one behind. */
export function trigramsOf(text: string): string[] {
	const found = wordsOf(text).flatMap((word) => {
		const letters = [..."  ", ...word, " "];
		return letters.slice(2).map((_, at) => letters.slice(at, at + 3).join(""));
	});
	return [...new Set(found)];
}

function wordsOf(text: string): string[] {
	return text.toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
}
