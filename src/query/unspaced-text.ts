import { unspacedRun } from "../models/unspaced-scripts.ts";

/** A query, split into what has spaces between its words and what has none. */
export interface SplitQuery {
	/** Neighbouring letters of scripts without spaces, each once; of a letter alone, the letter. */
	readonly pairs: readonly string[];
	/** How many letters these come from. */
	readonly unspacedLetters: number;
	/** The query without them. */
	readonly rest: string;
}

/** Chinese, Japanese and Thai are found by their pairs of letters: no space marks where a word begins. */
export function splitQuery(query: string): SplitQuery {
	const text = query.normalize("NFKC");
	const runs = [...text.matchAll(unspacedRun)].map(([run]) => [...run]);
	return {
		pairs: [...new Set(runs.flatMap(pairsOf))],
		unspacedLetters: runs.reduce((sum, run) => sum + run.length, 0),
		rest: runs.length === 0 ? query : text.replaceAll(unspacedRun, " "),
	};
}

function pairsOf(letters: readonly string[]): string[] {
	if (letters.length === 1) return [...letters];
	return letters.slice(1).map((letter, at) => `${letters[at]}${letter}`);
}

/** A tsquery of what contains any of them, or each: `rem_pairs` has pairs, and the last letter of each run. */
export function pairsQuery(
	pairs: readonly string[],
	operator: "|" | "&",
): string {
	return pairs
		.map((pair) => ([...pair].length === 1 ? `'${pair}':*` : `'${pair}'`))
		.join(` ${operator} `);
}
