import { unspacedScripts } from "../../models/unspaced-scripts.ts";

// What a query is made of, as names and passages are found by it.

/** Words that do not show what a text is about. */
const stopWords = new Set(
	(
		"a about after again all also am an and any are as at be because been before being but by can " +
		"could did do does doing for from had has have having he her here him his how i if in into is it " +
		"its just let me more most my no nor not of on or our out over own please same shall she should so " +
		"some such tell than that the their them then there these they this those to too under up us very " +
		"was we were what when where which while who whom whose why will with would you your"
	).split(" "),
);

export function isStopWord(word: string): boolean {
	return stopWords.has(word.toLowerCase());
}

/** Characters of scripts that put no spaces between words. */
export const unspaced = new RegExp(`[${unspacedScripts}ー]`, "u");

/** The distinct words of the text that carry meaning, in lower case; of scripts without spaces, pairs of neighbouring characters. */
export function termsOf(text: string): string[] {
	const terms = new Set<string>();
	const beginning = beginningOf(text, maxCharacters).toLowerCase();
	for (const [run] of beginning.matchAll(/[\p{L}\p{M}\p{N}]+/gu)) {
		if (terms.size >= maxTerms) break;
		if (!unspaced.test(run)) {
			if (!stopWords.has(run)) terms.add(run);
			continue;
		}
		const characters = [...run];
		for (let at = 0; at + 1 < characters.length; at++)
			terms.add(`${characters[at]}${characters[at + 1]}`);
		if (characters.length === 1) terms.add(run);
	}
	return [...terms].slice(0, maxTerms);
}

/** Of a longer query, the first. */
const maxTerms = 64;
const maxCharacters = 8000;

/** So many UTF-16 units of a text, or one less: no half of a character. */
export function beginningOf(text: string, length: number): string {
	return text.length <= length
		? text
		: text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "");
}
