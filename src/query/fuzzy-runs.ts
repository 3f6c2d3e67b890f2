import { countInCommon } from "./fuzzy-plan.ts";
import type { FuzzySample } from "./fuzzy-sample.ts";
import { trigramsOf } from "./trigram-thresholds.ts";

/** Runs of a query's words, and how much of its trigrams a text must have in common with one. */
export interface RareRuns {
	readonly runs: readonly RareRun[];
	readonly threshold: number;
}

export interface RareRun {
	readonly text: string;
	/** In about so many entries. */
	readonly entries: number;
}

/** Which runs are rare: those in so many entries at most. */
export interface Rare {
	readonly sample: FuzzySample;
	readonly entries: number;
}

/** The less is required, the more slips of the pen are forgiven, and the fewer runs are rare. */
const thresholds = [0.8, 1];

const maxRuns = 4;
const maxWordsOfRun = 3;
const maxWords = 32;

/**
 * Neighbouring words of the query that few texts have, as short as can be: texts
 * most like a query that has something in common with very many contain the words
 * of it that few others do.
 */
export function rareRuns(query: string, rare: Rare): RareRuns {
	for (const threshold of thresholds) {
		const runs = runsOf(query, rare, threshold);
		if (runs.length > 0) return { runs, threshold };
	}
	return { runs: [], threshold: 1 };
}

function runsOf(
	query: string,
	{ sample, entries }: Rare,
	threshold: number,
): RareRun[] {
	const words = query.match(/[\p{L}\p{N}\p{M}]+/gu)?.slice(0, maxWords) ?? [];
	const runs = words.flatMap((_, from) => {
		for (let to = from + 1; to <= from + maxWordsOfRun; to++) {
			if (to > words.length) break;
			const text = words.slice(from, to).join(" ");
			const found = entriesWith(text, sample, threshold);
			if (found <= entries) return [{ from, to, text, entries: found }];
		}
		return [];
	});
	const shortest = runs.filter(
		(run) =>
			!runs.some(
				(other) =>
					other !== run && other.from >= run.from && other.to <= run.to,
			),
	);
	return shortest
		.toSorted((a, b) => b.text.length - a.text.length)
		.slice(0, maxRuns)
		.map(({ text, entries }) => ({ text, entries }));
}

/** In about how many entries the index finds the run. */
function entriesWith(
	run: string,
	sample: FuzzySample,
	threshold: number,
): number {
	const trigrams = trigramsOf(run);
	const wanted = Math.ceil(threshold * trigrams.length);
	const inCommon = countInCommon(
		trigrams.map((trigram) => sample.withTrigram(trigram)),
	);
	return inCommon.filter((count) => count >= wanted).length * sample.scale;
}
