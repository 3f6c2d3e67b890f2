import type { Having } from "./fuzzy-plan.ts";
import type { FuzzySample } from "./fuzzy-sample.ts";
import { wordsOf } from "./trigram-thresholds.ts";

/** A run in more names is compared with too many of them for one query: 6 µs each. */
const maxNamesOfRun = 30;
/** The index is read once for each, 0.05 ms. */
const maxRuns = 8;

/**
 * Patterns of ILIKE for the words of a question that few names have, by the sample; of a
 * word that many have, with the word behind it. A name that is so like a long query that
 * it is listed shares several words with it.
 */
export function nameRuns(query: string, sample: FuzzySample): string[] {
	const words = wordsOf(query);
	const found = new Map<string, number>();
	words.forEach((word, at) => {
		const parts = innerTrigrams(word);
		if (parts.length === 0) return;
		const next = words[at + 1];
		const runs = next === undefined ? [[word]] : [[word], [word, next]];
		for (const run of runs) {
			const names = namesWith(run.flatMap(innerTrigrams), sample);
			if (names > maxNamesOfRun) continue;
			found.set(`%${run.join("%")}%`, names);
			break;
		}
	});
	return [...found]
		.toSorted(([, a], [, b]) => a - b)
		.slice(0, maxRuns)
		.map(([pattern]) => pattern);
}

/** Those that a word has wherever it stands, as the index looks for a pattern; a shorter word has none. */
function innerTrigrams(word: string): string[] {
	const letters = [...word];
	return letters.slice(2).map((_, at) => letters.slice(at, at + 3).join(""));
}

/** About how many names have all of the trigrams. */
function namesWith(trigrams: readonly string[], sample: FuzzySample): number {
	const having = trigrams.map((trigram) => sample.withTrigram(trigram));
	const atMost = Math.min(...having.map(({ count }) => count)) * sample.scale;
	return atMost <= maxNamesOfRun ? atMost : countInAll(having) * sample.scale;
}

/** How many entries of the sample have all of the parts. */
function countInAll(parts: readonly Having[]): number {
	const [first, ...others] = parts;
	return (first?.packed ?? new Int32Array(0)).reduce((count, entries, at) => {
		const inAll = others.reduce(
			(left, { packed }) => left & (packed[at] ?? 0),
			entries,
		);
		// A byte for each of four entries.
		return count + (Math.imul(inAll, 0x01010101) >>> 24);
	}, 0);
}
