import { similarEntriesRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import {
	characters,
	limits,
	sharedTenant,
	textProblem,
} from "../models/limits.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { type CacheReader, readCached } from "./cached-read.ts";
import {
	type Bound,
	columnOf,
	type FuzzyMode,
	type FuzzyQuery,
	fuzzyModes,
	type Match,
	matchOf,
	textOf,
	usualThreshold,
} from "./fuzzy-match.ts";
import type { FuzzySamples } from "./fuzzy-sample.ts";
import {
	checkLimit,
	checkScope,
	type ReadScope,
	tenantCondition,
	userCondition,
} from "./scope.ts";
import { withThresholds } from "./trigram-thresholds.ts";

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

/** What FUZZY found, best first. */
export interface FuzzyHits extends Array<FuzzyHit> {
	/** Only where entries were left out that may be among the best: those of a large tenant that have too little, or something too common, in common with the query. */
	bounded?: FuzzyBound;
}

/** How far a bounded result goes. */
export interface FuzzyBound {
	/** No hit with this score or a better one is missing; absent: any may be. */
	readonly completeFrom?: number;
}

/** What reads the cache, and whether row level security applies to it. */
interface FuzzyReader extends CacheReader {
	readonly hasRowSecurity: boolean;
}

/** Entities of the scope that are most like the query, best first. */
export async function fuzzySearch(
	reader: FuzzyReader,
	samples: FuzzySamples,
	request: FuzzyRequest,
): Promise<FuzzyHits> {
	checkFuzzy(request);
	const { tenantId, mode = "key", limit = defaultLimit } = request;
	const { db, schema } = reader;
	const column = columnOf(mode);
	const sample = await samples.read(db, { schema, tenantId, column });
	const match = matchOf(queryOf(request), { schema, sample });
	const found = await findHits(reader, request, match);
	const { bound } = found;
	if (bound === undefined || hasBest(found.rows, bound, limit))
		return found.rows.map(toHit);
	const more =
		bound.more === undefined
			? []
			: (await findHits(reader, request, bound.more)).rows;
	const hits: FuzzyHits = merged(found.rows, more).slice(0, limit).map(toHit);
	const { completeFrom } = bound;
	hits.bounded = completeFrom === undefined ? {} : { completeFrom };
	return hits;
}

/** The best matches, best first, and whether others may be missing. */
async function findHits(
	reader: FuzzyReader,
	request: FuzzyRequest,
	match: Match,
): Promise<{ rows: FuzzyRow[]; bound: Bound | undefined }> {
	const { schema, hasRowSecurity } = reader;
	let { bound } = match;
	const rows = await readCached<FuzzyRow>(reader, ({ from, isFallback }) => {
		if (!isFallback)
			return hasRowSecurity
				? securedFuzzySql(schema, request, match)
				: fuzzySql(from, request, match);
		// The tables have no index of their names: all of them are compared.
		bound = undefined;
		const all = matchOf(queryOf(request), { schema, sample: undefined });
		return fuzzySql(from, request, all);
	});
	return { rows, bound };
}

function toHit(row: FuzzyRow): FuzzyHit {
	return {
		entityKey: row.entity_key,
		entityType: row.entity_type,
		entityId: row.entity_id,
		score: row.score,
		metadata: row.metadata,
		contentSummary: row.content_summary,
	};
}

/** Whether as many were found as were asked for, and none better can be missing. */
function hasBest(
	rows: readonly FuzzyRow[],
	{ completeFrom = Number.POSITIVE_INFINITY }: Bound,
	limit: number,
): boolean {
	const last = rows[limit - 1];
	return last !== undefined && last.score >= completeFrom;
}

/** Each entity once, in the order in which a statement returns them. */
function merged(
	some: readonly FuzzyRow[],
	more: readonly FuzzyRow[],
): FuzzyRow[] {
	const ids = new Set(some.map(({ entity_id: id }) => id));
	const others = more.filter(({ entity_id: id }) => !ids.has(id));
	return [...some, ...others].sort(
		(a, b) =>
			b.score - a.score ||
			b.tie - a.tie ||
			(a.entity_key < b.entity_key
				? -1
				: a.entity_key > b.entity_key
					? 1
					: 0) ||
			(a.entity_id < b.entity_id ? -1 : 1),
	);
}

export function queryOf({
	query,
	mode = "key",
	threshold,
}: FuzzyRequest): FuzzyQuery {
	return { query, mode, threshold };
}

interface FuzzyRow {
	readonly entity_key: string;
	readonly entity_type: string;
	readonly entity_id: string;
	readonly score: number;
	/** By which those of one score are ordered. */
	readonly tie: number;
	readonly metadata: Record<string, unknown>;
	readonly content_summary: string | null;
}

/** Throws unless every part of the request can be asked for. */
function checkFuzzy(request: FuzzyRequest): void {
	checkScope(request);
	checkQuery(request.query);
	checkLimit(request.limit ?? defaultLimit);
	const { threshold = usualThreshold, mode = "key" } = request;
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

const defaultLimit = 10;

/**
 * The common entities are a branch of their own: with `tenant_id IN (…)` the
 * index was read without the tenant, through the names of all of them.
 */
export function fuzzySql(from: Sql, request: FuzzyRequest, match: Match): Sql {
	return withThresholds(match.thresholds, 7, (isSet) => {
		const entries = (tenant: Sql) =>
			entriesSql(request, match, {
				from: sql`${walkedOf(from, tenant, match)} AS k`,
				where: sql`${isSet} AND k.tenant_id = ${tenant}${match.walk === undefined ? indexFirst : empty}`,
			});
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
export function securedFuzzySql(
	schema: string,
	request: FuzzyRequest,
	match: Match,
): Sql {
	const { indexes } = match;
	if (indexes.length === 0)
		return fuzzySql(ident(schema, "kv_store"), request, match);
	return withThresholds(match.thresholds, 7, (isSet) => {
		const most =
			match.compared === undefined
				? empty
				: sql`, ${raw(String(match.compared))}`;
		const similar = indexes.map(
			({ kind, query }) =>
				sql`${similarEntriesRef(schema)}(${literal(kind)}, CASE WHEN ${isSet} THEN ${query}::text END${most})`,
		);
		const [only] = similar;
		const from =
			similar.length === 1 && only !== undefined
				? only
				: sql`(${join(
						similar.map((entries) => sql`SELECT * FROM ${entries}`),
						" UNION ",
					)})`;
		return bestSql(
			request,
			entriesSql(request, match, {
				from: sql`${from} AS k`,
				where: sql`${isSet} AND ${tenantCondition("k", request)}`,
			}),
		);
	});
}

/** Entries in the order of their names, where the query has what too many others have: those that begin with it come first. */
function walkedOf(from: Sql, tenant: Sql, { walk }: Match): Sql {
	if (walk === undefined) return from;
	const part = (comparison: ">=" | "<") =>
		sql`(SELECT w.* FROM ${from} AS w
    WHERE w.tenant_id = ${tenant} AND w.normalized_key ${raw(comparison)} ${walk.from}
    ORDER BY w.normalized_key, w.entity_key, w.entity_type, w.entity_id LIMIT ${raw(String(walk.entries))})`;
	return sql`(${part(">=")} UNION ALL ${part("<")})`;
}

/**
 * Always true. pg_trgm states that its operators cost no more than `=`, so that
 * PostgreSQL would rather compare all names of a tenant than read the index; an
 * expensive function that is never called makes up for it.
 */
const indexFirst = raw(
	" AND (k.entity_type <> '' OR to_tsvector('simple', k.entity_key) IS NULL OR to_tsvector('simple', k.entity_key) IS NULL)",
);

function entriesSql(
	request: FuzzyRequest,
	{ condition, score, minScore, compared }: Match,
	{ from, where }: { readonly from: Sql; readonly where: Sql },
): Sql {
	const scope = sql`${where} AND ${condition}${typeCondition(request)}${userCondition("k", request)}`;
	const columns = (of: Sql) =>
		sql`SELECT k.entity_key, k.entity_type, k.entity_id, ${of} AS score, k.metadata, k.content_summary`;
	if (minScore === undefined && compared === undefined)
		return sql`${columns(score)}
  FROM ${from}
  WHERE ${scope}`;
	const most =
		compared === undefined
			? sql`OFFSET 0`
			: sql`LIMIT ${raw(String(compared))}`;
	return sql`${columns(sql`c.score`)}
  FROM (SELECT k.* FROM ${from} WHERE ${scope} ${most}) AS k
  CROSS JOIN LATERAL (SELECT ${score} AS score OFFSET 0) AS c
  WHERE c.score >= ${minScore ?? 0}`;
}

function bestSql(request: FuzzyRequest, entries: Sql): Sql {
	const { query, mode = "key", limit = defaultLimit } = request;
	const columns = (tie: string) =>
		raw(
			`SELECT u.entity_key, u.entity_type, u.entity_id, u.score, ${tie} AS tie, u.metadata, u.content_summary`,
		);
	if (mode === "key")
		return sql`${columns("0")}
FROM (
  ${entries}
) AS u
ORDER BY u.score DESC, u.entity_key, u.entity_type, u.entity_id
LIMIT ${limit}`;
	// Many names contain the same word: the one with the fewest other trigrams comes first.
	// A comparison takes as long as a score: only rows that may be among the best are compared.
	return sql`${columns("u.tie")}
FROM (
  SELECT k.*, similarity(${textOf(mode)}, ${query}) AS tie FROM (
    ${entries}
    ORDER BY score DESC FETCH FIRST (${limit}) ROWS WITH TIES
  ) AS k
) AS u
ORDER BY u.score DESC, u.tie DESC, u.entity_key, u.entity_type, u.entity_id
LIMIT ${limit}`;
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
