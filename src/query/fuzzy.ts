import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { characters, limits, textProblem } from "../models/limits.ts";
import { raw, type Sql, sql } from "../sql.ts";
import { type CacheFallback, readCached } from "./cached-read.ts";
import {
	checkLimit,
	checkScope,
	type ReadScope,
	tenantCondition,
	userCondition,
} from "./scope.ts";

export interface FuzzyRequest extends ReadScope {
	/** Nearly a name, at most 256 characters. */
	readonly query: string;
	/** Least similarity, 0 to 1. @default 0.3 */
	readonly threshold?: number | undefined;
	/** @default 10 */
	readonly limit?: number | undefined;
	/** Only entities of this table. */
	readonly entityType?: string | undefined;
}

/** An entity whose key is like the query. */
export interface FuzzyHit {
	readonly entityKey: string;
	readonly entityType: string;
	readonly entityId: string;
	/** pg_trgm's `similarity()`: shared trigrams by all trigrams, 0 to 1. */
	readonly score: number;
	readonly metadata: Record<string, unknown>;
	readonly contentSummary: string | null;
}

/** Entities of the scope whose keys are most like the query, best first. */
export async function fuzzySearch(
	db: Handle,
	schema: string,
	request: FuzzyRequest,
	fallback: CacheFallback,
): Promise<FuzzyHit[]> {
	checkScope(request);
	const { query, threshold = 0.3, limit = 10 } = request;
	checkQuery(query);
	checkLimit(limit);
	if (!(threshold >= 0 && threshold <= 1))
		throw new RemError("VALIDATION", "threshold is not between 0 and 1");
	const rows = await readCached<FuzzyRow>(
		db,
		schema,
		(from) => fuzzySql(from, { ...request, threshold, limit }),
		fallback,
	);
	return rows.map((row) => ({
		entityKey: row.entity_key,
		entityType: row.entity_type,
		entityId: row.entity_id,
		score: row.score,
		metadata: row.metadata,
		contentSummary: row.content_summary,
	}));
}

interface FuzzyRow {
	readonly entity_key: string;
	readonly entity_type: string;
	readonly entity_id: string;
	readonly score: number;
	readonly metadata: Record<string, unknown>;
	readonly content_summary: string | null;
}

/**
 * The operator `%` uses the trigram index but takes its threshold from a
 * setting: it is set within the statement, and with it gone.
 */
export function fuzzySql(
	from: Sql,
	request: FuzzyRequest & {
		readonly threshold: number;
		readonly limit: number;
	},
): Sql {
	const ofType =
		request.entityType === undefined
			? raw("")
			: sql` AND k.entity_type = ${request.entityType}`;
	// At 0 every key is like it, also one that shares no trigram, which no index finds.
	const isLike =
		request.threshold === 0
			? raw("")
			: sql`
    AND k.entity_key % ${request.query}::text`;
	return sql`SELECT f.* FROM (
  SELECT set_config('pg_trgm.similarity_threshold', ${String(request.threshold)}, TRUE) AS threshold OFFSET 0
) AS t, LATERAL (
  SELECT k.entity_key, k.entity_type, k.entity_id, similarity(k.entity_key, ${request.query}) AS score,
    k.metadata, k.content_summary
  FROM ${from} AS k
  WHERE t.threshold IS NOT NULL AND ${tenantCondition("k", request)}${isLike}${ofType}${userCondition("k", request)}
  ORDER BY score DESC, k.entity_key, k.entity_type, k.entity_id
  LIMIT ${request.limit}
) AS f`;
}

function checkQuery(query: string): void {
	if (typeof query !== "string" || query === "")
		throw new RemError("VALIDATION", "the fuzzy query is empty or no text");
	if (characters(query) > limits.fuzzyQueryLength)
		throw new RemError(
			"INPUT_LIMIT",
			`the fuzzy query has ${characters(query)} characters, at most ${limits.fuzzyQueryLength} are allowed`,
			{ hint: "FUZZY is for names; for longer texts use SEARCH" },
		);
	const problem = textProblem(query);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `the fuzzy query ${problem}`);
}
