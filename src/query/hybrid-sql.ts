import { tableRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import { keyExpression } from "../schema/key.ts";
import { empty, join, literal, raw, type Sql, sql } from "../sql.ts";
import { type FusionWeights, rankOffset } from "./fusion-weights.ts";
import { mayBeAsLike, type NameList, namesWithRuns } from "./name-list.ts";
import {
	hitColumns,
	indexSettings,
	nearestCtes,
	reachedSql,
} from "./nearest-sql.ts";
import { userCondition } from "./scope.ts";
import type { NearestSearch, SearchContext } from "./search-context.ts";
import { resetSettings, type Settings, settingsCte } from "./settings-sql.ts";
import { type TextSearch, textCtes } from "./text-sql.ts";
import { keyThreshold } from "./trigram-thresholds.ts";
import type { Branch } from "./vector-plan.ts";
import { eligibleRows, isVisible } from "./vector-scope.ts";

/** What the lists are made from and how they are fused. */
export interface HybridLists {
	/** `undefined`: it has no weight. */
	readonly text: TextSearch | undefined;
	/** The query, where it is short enough to be nearly a name and names have a weight. */
	readonly name: NameList | undefined;
	readonly weights: FusionWeights;
	/** Rows of the result; the search's `limit` is how many of each list are ranked against each other. */
	readonly resultRows: number;
}

/** What is read besides the texts: each where its list has a weight. */
export interface HybridSources {
	readonly vectors?: VectorList | undefined;
	/** The entries of the cache. */
	readonly names?: Sql | undefined;
}

/** The vectors of a search, where they have a weight. */
interface VectorList {
	readonly search: NearestSearch;
	readonly branches: readonly Branch[];
}

/**
 * Up to three lists, each the best of its kind, fused by weighted reciprocal rank
 * (Cormack et al. 2009): a row's score is the sum of weight / (10 + rank) over the
 * lists it is on.
 */
export function hybridSql(
	search: SearchContext,
	lists: HybridLists,
	sources: HybridSources,
): Sql {
	const { table } = search;
	const { settings, ctes, ranked } = rankedSql(search, lists, sources);
	const weighed = ranked.map(
		({ list, columns, from }) =>
			sql`SELECT ${literal(list)} AS list, ${lists.weights[list]}::float8 AS weight, ${columns} FROM ${from}`,
	);
	return sql`WITH ${settingsCte(settings)}${join(ctes, ",\n")},
fused AS (
  SELECT l.entity_id, sum(l.weight / (${raw(String(rankOffset))} + l.rank)) AS score,
    min(l.rank) FILTER (WHERE l.list = 'vector') AS vector_rank,
    min(l.rank) FILTER (WHERE l.list = 'text') AS text_rank,
    min(l.rank) FILTER (WHERE l.list = 'name') AS name_rank
  FROM (
    ${join(weighed, "\n    UNION ALL ")}
  ) AS l
  GROUP BY l.entity_id
  ORDER BY score DESC, l.entity_id
  LIMIT ${lists.resultRows}
)
SELECT ${hitColumns(table, "b")}, f.score::double precision AS rem_score,
  f.vector_rank AS rem_vector, f.text_rank AS rem_words, f.name_rank AS rem_name, ${sources.vectors === undefined ? raw("NULL") : reachedSql} AS rem_reached${resetSettings(settings, "fused")}
FROM (SELECT) AS always
LEFT JOIN (fused AS f JOIN ${tableRef(table)} AS r ON r.id = f.entity_id AND ${isVisible(search)}) ON TRUE
LEFT JOIN best AS b ON b.entity_id = f.entity_id
ORDER BY f.score DESC, f.entity_id`;
}

/** The same lists before they are fused: every candidate with its rank, and the value that the list is ordered by. */
export function candidatesSql(
	search: SearchContext,
	lists: HybridLists,
	sources: HybridSources,
): Sql {
	const { table } = search;
	const { entity } = table;
	const { settings, ctes, ranked } = rankedSql(search, lists, sources);
	const listed = ranked.map(
		({ list, columns, value, from }) =>
			sql`SELECT ${literal(list)} AS list, ${columns}, ${value}::float8 AS value FROM ${from}`,
	);
	const key =
		entity.keyFields === null ? raw("NULL::text") : keyExpression(entity, "r");
	return sql`WITH ${settingsCte(settings)}${join(ctes, ",\n")},
listed AS (
  ${join(listed, "\n  UNION ALL ")}
)
SELECT l.list, l.entity_id AS id, ${key} AS "entityKey", l.rank::integer AS rank, l.value${resetSettings(settings, "listed")}
FROM (SELECT) AS always
LEFT JOIN (listed AS l JOIN ${tableRef(table)} AS r ON r.id = l.entity_id AND ${isVisible(search)}) ON TRUE
ORDER BY l.list, l.rank`;
}

/** A list that has a weight: its rows, and what they are ordered by. */
interface RankedSql {
	readonly list: keyof FusionWeights;
	/** `entity_id` and `rank`. */
	readonly columns: Sql;
	readonly value: Sql;
	readonly from: Sql;
}

interface RankedLists {
	readonly settings: Settings;
	readonly ctes: readonly Sql[];
	readonly ranked: readonly RankedSql[];
}

function rankedSql(
	search: SearchContext,
	lists: HybridLists,
	{ vectors, names: kvStore }: HybridSources,
): RankedLists {
	const { text } = lists;
	const name = kvStore === undefined ? undefined : lists.name;
	const settings = new Map([
		...(vectors === undefined ? [] : indexSettings(vectors.branches)),
		...(name === undefined ? [] : nameSettings(name)),
	]);
	const ctes = [
		vectors === undefined
			? raw(noVectors)
			: nearestCtes(vectors.search, vectors.branches),
		...(text === undefined ? [] : [textCtes(search, text)]),
		...(name === undefined || kvStore === undefined
			? []
			: [namesCte(search, name, kvStore)]),
	];
	const columns = raw("entity_id, rank");
	const ranked: RankedSql[] = [
		{
			list: "vector",
			columns: raw(
				"b.entity_id, row_number() OVER (ORDER BY b.distance, b.entity_id) AS rank",
			),
			value: raw("(1 - b.distance)"),
			from: raw("best AS b"),
		},
	];
	const value = raw("score");
	if (text !== undefined)
		ranked.push({ list: "text", columns, value, from: raw("texts") });
	if (name !== undefined)
		ranked.push({ list: "name", columns, value, from: raw("names") });
	return { settings, ctes, ranked };
}

const noVectors = `best AS (
  SELECT NULL::uuid AS entity_id, NULL::text AS field_name, NULL::integer AS chunk_start, NULL::integer AS chunk_end, NULL::float8 AS distance WHERE FALSE
)`;

export function nameSettings({ threshold, runs }: NameList): Settings {
	return runs === undefined
		? new Map([[keyThreshold, String(threshold)]])
		: new Map();
}

function namesCte(search: SearchContext, list: NameList, kvStore: Sql): Sql {
	return sql`names AS (
  SELECT n.entity_id, n.score, row_number() OVER () AS rank FROM (
    ${list.runs === undefined ? likeNames(search, list, kvStore) : namesOfRuns(search, list, { runs: list.runs, kvStore })}
    ORDER BY score DESC, entity_id
    LIMIT ${search.limit}
  ) AS n
)`;
}

/**
 * That the query depends on `settings` makes PostgreSQL take the index: of a text
 * that it knows it expects a look-up of each trigram to take longer than to compare
 * the text with every key, which took 43 ms for 1,400 keys.
 */
function likeNames(
	search: SearchContext,
	{ query }: NameList,
	kvStore: Sql,
): Sql {
	return sql`SELECT k.* FROM settings AS s CROSS JOIN LATERAL (
      SELECT k.entity_id, similarity(k.entity_key, ${query}) AS score FROM ${kvStore} AS k
      WHERE ${namesOf(search)} AND k.entity_key % CASE WHEN s.is_set THEN ${query}::text END${filterOfNames(search)}
    ) AS k`;
}

function namesOfRuns(
	search: SearchContext,
	{ query, threshold }: NameList,
	{
		runs,
		kvStore,
	}: { readonly runs: readonly string[]; readonly kvStore: Sql },
): Sql {
	const from = namesWithRuns(runs, { from: kvStore, scope: namesOf(search) });
	return sql`SELECT k.entity_id, k.score FROM (
      SELECT DISTINCT k.entity_id, similarity(k.entity_key, ${query}) AS score FROM ${from}
      WHERE ${mayBeAsLike(query, threshold)}${filterOfNames(search)}
    ) AS k WHERE k.score >= ${threshold}::float8`;
}

/** The entries `k` of the scope's rows. */
export function namesOf(search: SearchContext): Sql {
	const { tableName, tenantScoped } = search.table.entity;
	const tenant = tenantScoped ? search.tenantId : sharedTenant;
	return sql`k.tenant_id = ${tenant} AND k.entity_type = ${tableName}${userCondition("k", search)}`;
}

function filterOfNames(search: SearchContext): Sql {
	return search.where === undefined
		? empty
		: sql`
      AND EXISTS (SELECT FROM ${tableRef(search.table)} AS r WHERE r.id = k.entity_id AND ${eligibleRows(search)})`;
}
