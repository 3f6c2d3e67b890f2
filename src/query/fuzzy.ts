import type { Handle } from "../db/database.ts";
import { similarEntriesRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import {
	characters,
	limits,
	sharedTenant,
	textProblem,
} from "../models/limits.ts";
import type { SimilarBy } from "../schema/held-functions.ts";
import { empty, ident, literal, raw, type Sql, sql } from "../sql.ts";
import { type CacheFallback, readCached } from "./cached-read.ts";
import {
	checkLimit,
	checkScope,
	type ReadScope,
	tenantCondition,
	userCondition,
} from "./scope.ts";
import {
	keyThreshold,
	type TrigramThresholds,
	withThresholds,
	wordThreshold,
} from "./trigram-thresholds.ts";

/** What the query is compared with: the whole key, the words of it most like the query, or those of the summary. */
export type FuzzyMode = (typeof fuzzyModes)[number];

export const fuzzyModes = ["key", "word", "content"] as const;

export interface FuzzyRequest extends ReadScope {
	/** Nearly a name, at most 256 characters. */
	readonly query: string;
	/** Least likeness, 0 to 1. @default 0.3 */
	readonly threshold?: number | undefined;
	/** @default "key" */
	readonly mode?: FuzzyMode | undefined;
	/** @default 10 */
	readonly limit?: number | undefined;
	/** Only entities of this table. */
	readonly entityType?: string | undefined;
}

/** An entity whose key, or summary, is like the query. */
export interface FuzzyHit {
	readonly entityKey: string;
	readonly entityType: string;
	readonly entityId: string;
	/** pg_trgm's `similarity()`, or `word_similarity()` in the other modes, 0 to 1. */
	readonly score: number;
	readonly metadata: Record<string, unknown>;
	readonly contentSummary: string | null;
}

/** Where the cache is, and whether row level security holds its readers. */
export interface CachePlace {
	readonly schema: string;
	readonly hasRowSecurity: boolean;
}

/** Entities of the scope that are most like the query, best first. */
export async function fuzzySearch(
	db: Handle,
	{ schema, hasRowSecurity }: CachePlace,
	request: FuzzyRequest,
	fallback: CacheFallback,
): Promise<FuzzyHit[]> {
	checkFuzzy(request);
	const rows = await readCached<FuzzyRow>(
		db,
		schema,
		(from, isFallback) =>
			hasRowSecurity && !isFallback
				? heldFuzzySql(schema, request)
				: fuzzySql(from, request),
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

/** Throws unless every part of the request can be asked for. */
function checkFuzzy(request: FuzzyRequest): void {
	checkScope(request);
	checkQuery(request.query);
	checkLimit(request.limit ?? defaultLimit);
	const { threshold = defaultThreshold, mode = "key" } = request;
	if (!(threshold >= 0 && threshold <= 1))
		throw new RemError(
			"VALIDATION",
			`threshold is ${threshold}, expected a number from 0 to 1`,
		);
	if (!fuzzyModes.includes(mode))
		throw new RemError(
			"VALIDATION",
			`mode is none of ${fuzzyModes.join(", ")}`,
		);
}

const defaultThreshold = 0.3;
const defaultLimit = 10;

/**
 * The common entities are a branch of their own: with `tenant_id IN (…)` the
 * index was read without the tenant, through the names of all of them.
 */
export function fuzzySql(from: Sql, request: FuzzyRequest): Sql {
	const match = matchOf(request);
	return withThresholds(match.thresholds, 6, (isSet) => {
		const entries = (tenant: Sql) =>
			entriesSql(
				request,
				match,
				sql`${from} AS k`,
				sql`${isSet} AND k.tenant_id = ${tenant}`,
			);
		return bestSql(
			request,
			sql`${entries(sql`${request.tenantId}`)}
  UNION ALL
  ${entries(literal(sharedTenant))}`,
		);
	});
}

/**
 * With row level security `%` reaches the index through a function only. Its
 * query is NULL until the thresholds are set, by which it must come after them.
 */
export function heldFuzzySql(schema: string, request: FuzzyRequest): Sql {
	const match = matchOf(request);
	const { kind } = match;
	return withThresholds(match.thresholds, 6, (isSet) => {
		const from =
			kind === undefined
				? ident(schema, "kv_store")
				: sql`${similarEntriesRef(schema)}(${literal(kind)}, CASE WHEN ${isSet} THEN ${request.query}::text END)`;
		return bestSql(
			request,
			entriesSql(
				request,
				match,
				sql`${from} AS k`,
				sql`${isSet} AND ${tenantCondition("k", request)}`,
			),
		);
	});
}

function entriesSql(
	request: FuzzyRequest,
	{ condition, score }: Match,
	from: Sql,
	where: Sql,
): Sql {
	return sql`SELECT k.entity_key, k.entity_type, k.entity_id, ${score} AS score, ${tieBreak(request)} AS tie, k.metadata, k.content_summary
  FROM ${from}
  WHERE ${where} AND ${condition}${typeCondition(request)}${userCondition("k", request)}`;
}

function bestSql({ limit = defaultLimit }: FuzzyRequest, entries: Sql): Sql {
	return sql`SELECT u.entity_key, u.entity_type, u.entity_id, u.score, u.metadata, u.content_summary
FROM (
  ${entries}
) AS u
ORDER BY u.score DESC, u.tie DESC, u.entity_key, u.entity_type, u.entity_id
LIMIT ${limit}`;
}

interface Match {
	readonly thresholds: TrigramThresholds;
	/** What the entry `k` must fulfil. */
	readonly condition: Sql;
	readonly score: Sql;
	/** By which index the entries are found, if by any. */
	readonly kind?: SimilarBy;
}

function matchOf(request: FuzzyRequest): Match {
	const { query, mode = "key" } = request;
	const threshold = asReal(request.threshold ?? defaultThreshold);
	const text = textOf(mode);
	const isKey = mode === "key";
	const score = isKey
		? sql`similarity(${text}, ${query})`
		: sql`word_similarity(${query}, ${text})`;
	const letters = query.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
	const isOpen = request.threshold === undefined && query.trim() !== "";
	if (letters === 0 && isOpen)
		return {
			thresholds: new Map(),
			condition: sql`strpos(${text}, ${query.trim()}) > 0`,
			score,
		};
	// At 0 everything is like it, also what shares no trigram, which no index finds.
	if (threshold === 0)
		return {
			thresholds: new Map(),
			condition: sql`${text} IS NOT NULL`,
			score,
		};
	if (!isKey)
		return {
			thresholds: new Map([[wordThreshold, threshold]]),
			condition: sql`${text} %> ${query}::text`,
			score,
			kind: mode,
		};
	if (letters <= 2 && isOpen)
		return {
			thresholds: new Map([
				[keyThreshold, threshold],
				[wordThreshold, beginsLikeThreshold],
			]),
			condition: sql`(${text} % ${query}::text OR ${text} %> ${query}::text)`,
			score,
			kind: "either",
		};
	return {
		thresholds: new Map([[keyThreshold, threshold]]),
		condition: sql`${text} % ${query}::text`,
		score,
		kind: "key",
	};
}

/**
 * The threshold that pg_trgm's operators have to be set, so that a name whose
 * similarity is the threshold is found: similarities are of 32 bits, in which
 * 0.7 is less than the 0.7 of 64 bits that a setting is.
 */
function asReal(threshold: number): number {
	return Math.min(threshold, Math.fround(threshold));
}

// What one or two letters have in common with a word that begins with them is a
// half or two thirds of their trigrams; with any other word it is a third.
const beginsLikeThreshold = 0.5;

function textOf(mode: FuzzyMode): Sql {
	return raw(mode === "content" ? "k.content_summary" : "k.entity_key");
}

/** Many names hold the same word: the one with the least besides comes first. */
function tieBreak({ query, mode = "key" }: FuzzyRequest): Sql {
	return mode === "key" ? raw("0") : sql`similarity(${textOf(mode)}, ${query})`;
}

function typeCondition({ entityType }: FuzzyRequest): Sql {
	return entityType === undefined
		? empty
		: sql` AND k.entity_type = ${entityType}`;
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
