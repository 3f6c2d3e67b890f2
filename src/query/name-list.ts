import { arrayLiteral } from "../db/encode.ts";
import { characters, sharedTenant } from "../models/limits.ts";
import { hasPairedLetters } from "../models/unspaced-scripts.ts";
import { raw, type Sql, sql } from "../sql.ts";
import { type Budget, requiredParts } from "./fuzzy-plan.ts";
import type { FuzzySample } from "./fuzzy-sample.ts";
import { asReal, usualThreshold } from "./fuzzy-score.ts";
import { nameRuns } from "./name-runs.ts";
import type { SearchContext } from "./search-context.ts";
import { trigramsOf, wordsOf } from "./trigram-thresholds.ts";

/** The condition of the list of names of a hybrid search. */
export interface NameList {
	readonly query: string;
	/** Min. similarity of a name, above 0, at most 1. */
	readonly threshold: number;
	/** Of a question: patterns of which a name matches one. `undefined`: the index compares trigrams. */
	readonly runs?: readonly string[];
}

/** A longer query is not a name: its words find the row, and the time grows with its trigrams. */
const maxNameCharacters = 64;

export function mayBeName(query: string): boolean {
	return characters(query) <= maxNameCharacters;
}

/**
 * An entry of the index takes a microsecond: among 1,000,000 names a question of
 * eight words took 140 ms of processor time at the usual threshold, and found none.
 */
const budget: Budget = { entries: 1000, postings: 10_000, some: 1000 };

/**
 * A query that has more than this in common with a thousand names is a question,
 * or a part of many names. Words of names are among those that texts are found by.
 */
const maxShare = 0.7;

/**
 * The threshold of the names for a query. In a large tenant it grows with the number
 * of names that have trigrams in common with the query. `undefined`: the query is not
 * a name, or too many names have most of its trigrams.
 */
export async function nameList(
	{ db, table, tenantId, statistics }: SearchContext,
	query: string,
): Promise<NameList | undefined> {
	if (!mayBeName(query)) return undefined;
	const { entity, schema } = table;
	const usual = { query, threshold: usualThreshold };
	if (!entity.createKvTrigger) return usual;
	const sample = await statistics.names.read(db, {
		schema,
		tenantId: entity.tenantScoped ? tenantId : sharedTenant,
		column: "entity_key",
	});
	if (sample === undefined) return usual;
	const parts = trigramsOf(query);
	const wanted = Math.ceil(usualThreshold * parts.length);
	if (
		wordsOf(query).length >= minWordsOfQuestion &&
		comparesMany(parts, wanted, sample) &&
		!table.hasRowSecurity &&
		!hasPairedLetters(query)
	) {
		const runs = nameRuns(query, sample);
		if (runs.length > 0) return { ...usual, runs };
	}
	const required = requiredParts(parts, wanted, {
		budget,
		scale: sample.scale,
		having: (part) => sample.withTrigram(part),
	});
	const { count } = required ?? { count: Number.POSITIVE_INFINITY };
	if (count > Math.max(wanted, maxShare * parts.length)) return undefined;
	return count > wanted
		? { query, threshold: asReal(count / parts.length) }
		: usual;
}

/** A shorter query may be a name of which every word is misspelt. */
const minWordsOfQuestion = 7;

/** Trigrams compared: 10 ns each. */
const maxCompared = 100_000;

/**
 * Whether comparing trigrams takes longer than to look for words: each entry of the
 * index with one of the rarest trigrams, of which a name needs one, is compared by all.
 */
function comparesMany(
	parts: readonly string[],
	wanted: number,
	sample: FuzzySample,
): boolean {
	const entries = parts
		.map((part) => sample.withTrigram(part).count)
		.sort((a, b) => a - b)
		.slice(0, parts.length - wanted + 1)
		.reduce((sum, count) => sum + count, 0);
	return entries * sample.scale * parts.length > maxCompared;
}

/** A shorter name has too few trigrams to be so like the query: no more than it has characters, and one. */
export function mayBeAsLike(query: string, threshold: number): Sql {
	return sql`char_length(k.entity_key) + 1 >= ${threshold * trigramsOf(query).length}::float8`;
}

/** A run that the sample does not know is in few names, but how few is not known. */
const maxRowsOfRun = raw("200");

/** The names `k` that match one of the runs, each as often as it matches one. */
export function namesWithRuns(
	runs: readonly string[],
	{ from, scope }: { readonly from: Sql; readonly scope: Sql },
): Sql {
	return sql`unnest(${arrayLiteral(runs)}::text[]) AS w (run) CROSS JOIN LATERAL (
    SELECT k.* FROM ${from} AS k WHERE ${scope} AND k.entity_key ILIKE w.run LIMIT ${maxRowsOfRun}
  ) AS k`;
}
