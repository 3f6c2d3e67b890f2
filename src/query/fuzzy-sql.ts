import { arrayLiteral } from "../db/encode.ts";
import { similarEntriesRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { type Match, maxRunEntries } from "./fuzzy-match.ts";
import { defaultLimit, type FuzzyRequest, queryOf } from "./fuzzy-request.ts";
import { scoreOf, textOf } from "./fuzzy-score.ts";
import { hidden } from "./fuzzy-ways.ts";
import { tenantCondition, userCondition } from "./scope.ts";
import { withThresholds } from "./trigram-thresholds.ts";
import { splitQuery } from "./unspaced-text.ts";

/** An entry that was found. */
export interface FuzzyRow {
	readonly entity_key: string;
	readonly entity_type: string;
	readonly entity_id: string;
	readonly score: number;
	/** By which those of one score are ordered. */
	readonly tie: number;
	readonly metadata: Record<string, unknown>;
	readonly content_summary: string | null;
}

/**
 * The best entries. The common entities are a branch of their own: with
 * `tenant_id IN (…)` the index was read without the tenant, through the names of
 * all of them.
 */
export function fuzzySql(from: Sql, request: FuzzyRequest, match: Match): Sql {
	return withThresholds(match.thresholds, 7, (isSet) => {
		const entries = (tenant: Sql) =>
			entriesSql(request, match, {
				from: sql`${walkedOf(from, tenant, match)} AS k`,
				where: sql`${isSet} AND k.tenant_id = ${tenant}${match.walk === undefined ? indexFirst : empty}`,
			});
		return bestSql(request, inEachTenant(request, entries));
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
	if (match.indexes.length === 0)
		return fuzzySql(ident(schema, "kv_store"), request, match);
	return withThresholds(match.thresholds, 7, (isSet) =>
		bestSql(
			request,
			entriesSql(request, match, {
				from: sql`${similarEntries(schema, match, isSet)} AS k`,
				where: sql`${isSet} AND ${tenantCondition("k", request)}`,
			}),
		),
	);
}

/** A summary that is to be compared. */
export interface ContentRow {
	readonly entity_type: string;
	readonly entity_id: string;
	readonly text: string;
}

interface ReadContents {
	readonly hasRowSecurity: boolean;
	/** Up to so many of a tenant. */
	readonly limit: number;
}

/**
 * Summaries of the scope that the match lets through, not compared yet: all, those
 * that the index finds, or some in the order of names besides.
 */
export function contentsSql(
	schema: string,
	request: FuzzyRequest,
	match: Match,
	{ hasRowSecurity, limit }: ReadContents,
): Sql {
	const kvStore = ident(schema, "kv_store");
	const scope = sql`${typeCondition(request)}${userCondition("k", request)}`;
	const select = (from: Sql, where: Sql, most: number) =>
		sql`(SELECT k.entity_type, k.entity_id, k.content_summary AS text
  FROM ${from} AS k
  WHERE ${where}${scope} LIMIT ${raw(String(most))})`;
	const anyOf = (tenant: Sql, from: Sql) =>
		select(from, sql`k.tenant_id = ${tenant} AND ${anyContent}`, limit);
	if (match.compares === "all")
		return inEachTenant(request, (tenant) => anyOf(tenant, kvStore));
	const most =
		match.compared ?? (match.walk === undefined ? limit : maxRunEntries);
	return withThresholds(match.thresholds, 3, (isSet) => {
		const found = match.indexes.map(({ query }) => {
			// Of a text that it knows PostgreSQL would estimate how many are like it: as long as 200 comparisons.
			const like = sql`CASE WHEN ${isSet} THEN ${query}::text END`;
			return hasRowSecurity
				? select(
						sql`${similarEntriesRef(schema)}('content', ${like}, ${raw(String(most))})`,
						sql`${isSet} AND ${tenantCondition("k", request)}`,
						most,
					)
				: inEachTenant(request, (tenant) =>
						select(
							kvStore,
							sql`${isSet} AND k.tenant_id = ${tenant}${indexFirst} AND k.content_summary %> ${like}`,
							most,
						),
					);
		});
		const containing = (match.contains ?? []).map((words) =>
			inEachTenant(request, (tenant) =>
				select(
					kvStore,
					sql`k.tenant_id = ${tenant}${indexFirst} AND k.content_summary ILIKE ${hidden(patternOf(words))}${asWords(words)}`,
					most,
				),
			),
		);
		const walked =
			match.walk === undefined
				? []
				: [
						inEachTenant(request, (tenant) =>
							anyOf(tenant, walkedOf(kvStore, tenant, match)),
						),
					];
		return join([...found, ...containing, ...walked], "\n  UNION ALL\n  ");
	});
}

/** The words are letters and digits: none of them is a wildcard. */
function patternOf(words: readonly string[]): string {
	return `%${words.join("%")}%`;
}

/**
 * As words of their own, by pg_trgm's boundaries: "rat" is one of "rat_trap" and no part
 * of "generation", which would fill the limit. Of a word with other letters than those
 * of ASCII not every locale knows where it ends.
 */
function asWords(words: readonly string[]): Sql {
	const known = words.filter((word) => /^[\x20-\x7e]+$/.test(word));
	return join(
		known.map(
			(word) =>
				sql` AND k.content_summary ~* ${hidden(`(^|[^[:alnum:]])${word}([^[:alnum:]]|$)`)}`,
		),
		"",
	);
}

const anyContent = raw("k.content_summary IS NOT NULL");

/** The best of some entries. */
export function scoredSql(
	from: Sql,
	request: FuzzyRequest,
	{
		entries,
		minScore,
	}: {
		readonly entries: readonly Pick<ContentRow, "entity_type" | "entity_id">[];
		readonly minScore: number;
	},
): Sql {
	const types = arrayLiteral(entries.map(({ entity_type: type }) => type));
	const ids = arrayLiteral(entries.map(({ entity_id: id }) => id));
	const score = scoreOf(queryOf(request), splitQuery(request.query));
	return bestSql(
		request,
		inEachTenant(
			request,
			(
				tenant,
			) => sql`SELECT k.entity_key, k.entity_type, k.entity_id, c.score, k.metadata, k.content_summary
  FROM unnest(${types}::text[], ${ids}::uuid[]) AS f (type, id)
  JOIN ${from} AS k ON k.entity_type = f.type AND k.entity_id = f.id
  CROSS JOIN LATERAL (SELECT ${score} AS score OFFSET 0) AS c
  WHERE k.tenant_id = ${tenant}${userCondition("k", request)} AND c.score >= ${minScore}`,
		),
	);
}

function inEachTenant(
	{ tenantId }: FuzzyRequest,
	select: (tenant: Sql) => Sql,
): Sql {
	return sql`${select(sql`${tenantId}`)}
  UNION ALL
  ${select(literal(sharedTenant))}`;
}

/** What the indexes find, by a function of their owner. */
function similarEntries(
	schema: string,
	{ indexes, compared }: Match,
	isSet: Sql,
): Sql {
	const most = compared === undefined ? empty : sql`, ${raw(String(compared))}`;
	const similar = indexes.map(
		({ kind, query }) =>
			sql`${similarEntriesRef(schema)}(${literal(kind)}, CASE WHEN ${isSet} THEN ${query}::text END${most})`,
	);
	const [only] = similar;
	return similar.length === 1 && only !== undefined
		? only
		: sql`(${join(
				similar.map((entries) => sql`SELECT * FROM ${entries}`),
				" UNION ",
			)})`;
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
