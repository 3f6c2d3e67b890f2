const endings = ["ing", "ed", "ly"];
const minLength = 4;

/**
 * The part that the forms of an English word share: "deploys", "deployed" and
 * "deploying" have "deploy". It is light on purpose: measured on five collections,
 * a stemmer that also removes "-ation", "-ness" and the like found no more.
 */
export function stemOf(word: string): string {
	if (word.length < minLength || /\d/.test(word)) return word;
	const stem = withoutEnding(withoutPlural(word));
	if (stem.length < minLength) return stem;
	if (stem.endsWith("e")) return stem.slice(0, -1);
	return stem.endsWith("y") ? `${stem.slice(0, -1)}i` : stem;
}

function withoutPlural(word: string): string {
	if (word.endsWith("ies")) return `${word.slice(0, -3)}y`;
	if (word.endsWith("ss") || word.endsWith("us") || !word.endsWith("s"))
		return word;
	return word.slice(0, -1);
}

function withoutEnding(word: string): string {
	const ending = endings.find((end) => word.endsWith(end));
	if (ending === undefined) return word;
	const stem = word.slice(0, -ending.length);
	if (stem.length < 3 || !/[aeiouy]/.test(stem)) return word;
	// "stopped", but not "falling", "passed" and "agreed".
	return /([^aeiouls])\1$/.test(stem) ? stem.slice(0, -1) : stem;
}
