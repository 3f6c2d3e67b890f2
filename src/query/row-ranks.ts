import { arrayLiteral, encodeVector } from "../db/encode.ts";
import { embeddingsRef, similarEntriesRef, tableRef } from "../db/tables.ts";
import { whereSql } from "../filters/where.ts";
import { keyExpression } from "../schema/key.ts";
import { wordsOf } from "../schema/word-function.ts";
import { textOfColumns, wordColumns } from "../schema/words.ts";
import { empty, literal, raw, type Sql, sql } from "../sql.ts";
import { type CacheFallback, readCached } from "./cached-read.ts";
import {
	type Found,
	findNearest,
	reachedBy,
	type WithReached,
} from "./find-nearest.ts";
import { nameSettings, namesOf } from "./hybrid-sql.ts";
import { type NameList, nameList, namesWithRuns } from "./name-list.ts";
import { indexSettings, nearestCtes, reachedSql } from "./nearest-sql.ts";
import { userCondition } from "./scope.ts";
import type { NearestSearch, SearchContext } from "./search-context.ts";
import { resetSettings, settingsCte } from "./settings-sql.ts";
import { textCtes } from "./text-sql.ts";
import { type Branch, planSearch } from "./vector-plan.ts";
import { eligibleRows, vectorsByEntity } from "./vector-scope.ts";

/** A row's place on a list that a hybrid search fuses. */
export interface RankOnList {
	/** From 1, among all rows that are searched; `undefined`: it is not on the list, or {@link beyond}. */
	readonly rank: number | undefined;
	/** Only where an index was asked and has nearer rows than the row, so many at least: its rank is greater. */
	readonly beyond?: number;
	/** What the list is ordered by: cosine similarity and similarity of the key, also of a row that is not on the list; BM25 of one that is. */
	readonly value: number | undefined;
}

/** A word of the query. */
export interface QueryWord {
	/** As the text search configuration reduces it: `deploy` of "deployment". */
	readonly word: string;
	/** Whether the row has it. */
	readonly isFound: boolean;
}

/** What is known of a row before it is ranked. */
export interface RowState {
	readonly entityKey: string | null;
	readonly userId: string | null;
	readonly deletedAt: Date | null;
	/** Whether it is searched at all: live, and the filter is fulfilled. */
	readonly isSearched: boolean;
	/** Whether it fulfils the filter, deleted or not. */
	readonly fulfilsFilter: boolean;
}

/** The row of the scope, deleted or not. */
export async function findRowState(
	{ db, ...scope }: SearchContext,
	id: string,
): Promise<RowState | undefined> {
	const { table, where } = scope;
	const { entity } = table;
	const own = entity.tenantScoped
		? sql`r.tenant_id = ${scope.tenantId} AND `
		: raw("");
	const key =
		entity.keyFields === null ? raw("NULL::text") : keyExpression(entity, "r");
	const fulfils = (rows: Sql) =>
		sql`EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = ${id}::uuid AND ${rows})`;
	const { rows } = await db.query<RowState>(
		sql`SELECT ${key} AS "entityKey", r.user_id AS "userId", r.deleted_at AS "deletedAt",
  ${fulfils(eligibleRows(scope))} AS "isSearched",
  ${where === undefined ? raw("TRUE") : fulfils(filterOnly(scope))} AS "fulfilsFilter"
FROM ${tableRef(table)} AS r WHERE ${own}r.id = ${id}::uuid${userCondition("r", scope)}`,
		{ idempotent: true },
	);
	return rows[0];
}

function filterOnly({ table, where }: Omit<SearchContext, "db">): Sql {
	return where === undefined ? raw("TRUE") : whereSql(table, where, "r");
}

/**
 * Its place by meaning. Where the search compares every vector of the scope, all of
 * them are ranked; where it asks an index, the nearest {@link maxByIndex}.
 */
export async function rankByVector(
	search: NearestSearch,
	id: string,
): Promise<RankOnList> {
	const nearest = { ...search, limit: maxByIndex };
	const planned = planSearch(await search.statistics.read(nearest), nearest);
	if (planned.every(({ how }) => how === "exact")) {
		const all = {
			how: "exact",
			fields: search.fields,
			take: undefined,
		} as const;
		const { rows } = await runVectorRank(
			{ ...search, limit: allRows },
			[all],
			id,
		);
		return toRank(rows[0]);
	}
	const [found] = await findNearest(nearest, (branches) =>
		runVectorRank(nearest, branches, id),
	);
	const rank = toRank(found);
	return rank.rank === undefined &&
		rank.value !== undefined &&
		found?.ranked === maxByIndex
		? { ...rank, beyond: maxByIndex }
		: rank;
}

interface VectorRank extends StoredRank, WithReached {
	/** How many rows have a rank. */
	readonly ranked: number;
}

async function runVectorRank(
	search: NearestSearch,
	branches: readonly Branch[],
	id: string,
): Promise<Found<VectorRank>> {
	const { db, table, queryEmbedding } = search;
	const settings = indexSettings(branches);
	const statement = sql`WITH ${settingsCte(settings)}${nearestCtes(search, branches)},
ranked AS (SELECT b.entity_id, row_number() OVER (ORDER BY b.distance, b.entity_id)::integer AS rank FROM best AS b)
SELECT (SELECT r.rank FROM ranked AS r WHERE r.entity_id = ${id}::uuid) AS rank,
  (SELECT count(*)::integer FROM ranked) AS ranked,
  (SELECT 1 - min(e.embedding <=> ${encodeVector(queryEmbedding)}::vector) FROM ${embeddingsRef(table)} AS e
    WHERE ${vectorsByEntity(search)} AND e.entity_id = ${id}::uuid) AS value,
  ${reachedSql} AS rem_reached${resetSettings(settings, "near")}`;
	const { rows } = await db.query<VectorRank>(statement, { idempotent: true });
	return {
		rows,
		reached: reachedBy(rows, branches),
		statement: () => statement,
	};
}

interface RankedText extends RankOnList {
	readonly words: readonly QueryWord[];
}

/** Its place by words, and which of the query's words it has. */
export async function rankByText(
	search: SearchContext,
	{ query, language }: { readonly query: string; readonly language: string },
	id: string,
): Promise<RankedText> {
	const { db, table, tenantId } = search;
	const statistics = await search.statistics.texts.read(db, table, tenantId);
	const text = textOfColumns(wordColumns(table.entity), "r");
	const words = wordsOf(table.schema, {
		language: sql`${literal(language)}::regconfig`,
		text,
	});
	const { rows } = await db.query<StoredRank & QueryWord>(
		sql`WITH ${textCtes({ ...search, limit: textRanks }, { query, language, statistics })}
SELECT w.lexeme AS word, t.rank::integer AS rank, t.score::float8 AS value,
  coalesce((SELECT ${words} @@ w.query FROM ${tableRef(table)} AS r WHERE r.id = ${id}::uuid), FALSE) AS "isFound"
FROM query_words AS w LEFT JOIN texts AS t ON t.entity_id = ${id}::uuid
ORDER BY w.no`,
		{ idempotent: true },
	);
	return {
		...toRank(rows[0]),
		words: rows.map(({ word, isFound }) => ({ word, isFound })),
	};
}

/** Its place by how much the query is like its key, among the names that the search compares. */
export async function rankByName(
	search: SearchContext,
	{
		query,
		fallback,
	}: { readonly query: string; readonly fallback: CacheFallback },
	id: string,
): Promise<RankOnList> {
	const { db, table } = search;
	const { schema, entity, hasRowSecurity } = table;
	if (!entity.createKvTrigger) return { rank: undefined, value: undefined };
	const list = await nameList(search, query);
	const rows = await readCached<StoredRank>(
		{ db, schema, fallback },
		({ from, isFallback }) =>
			list === undefined
				? nameValueSql(search, { query, id, from })
				: nameRankSql(search, list, {
						id,
						from,
						// Behind row level security a function finds them, once the threshold is set.
						similar:
							hasRowSecurity && !isFallback
								? sql`${similarEntriesRef(schema)}('key', CASE WHEN s.is_set THEN ${query}::text END)`
								: from,
					}),
	);
	return toRank(rows[0]);
}

interface NamedRow {
	readonly id: string;
	readonly from: Sql;
}

function nameValueSql(
	search: SearchContext,
	{ query, id, from }: NamedRow & { readonly query: string },
): Sql {
	return sql`SELECT similarity(k.entity_key, ${query}::text) AS value, NULL::integer AS rank
FROM ${from} AS k WHERE ${namesOf(search)} AND k.entity_id = ${id}::uuid`;
}

function nameRankSql(
	search: SearchContext,
	list: NameList,
	{ id, from, similar }: NamedRow & { readonly similar: Sql },
): Sql {
	const query = sql`${list.query}::text`;
	const settings = nameSettings(list);
	const isSearched =
		search.where === undefined
			? empty
			: sql` AND EXISTS (SELECT FROM ${tableRef(search.table)} AS r WHERE r.id = k.entity_id AND ${eligibleRows(search)})`;
	const { runs, threshold } = list;
	const isLike =
		runs === undefined
			? sql`k.entity_key % CASE WHEN s.is_set THEN ${query} END`
			: sql`k.entity_key ILIKE ANY (${arrayLiteral(runs)}::text[]) AND similarity(k.entity_key, ${query}) >= ${threshold}::float8`;
	const set = runs === undefined ? raw("settings") : raw("(SELECT)");
	const others =
		runs === undefined
			? sql`${similar} AS k`
			: namesWithRuns(runs, { from: similar, scope: namesOf(search) });
	return sql`WITH ${settingsCte(settings)}own AS MATERIALIZED (
  SELECT similarity(k.entity_key, ${query}) AS value, ${isLike}${isSearched} AS is_on_list
  FROM ${set} AS s CROSS JOIN ${from} AS k WHERE ${namesOf(search)} AND k.entity_id = ${id}::uuid
), better AS MATERIALIZED (
  SELECT count(*)::integer AS rows FROM ${set} AS s CROSS JOIN LATERAL (
    SELECT DISTINCT k.entity_id FROM ${others} CROSS JOIN own AS o
    WHERE o.is_on_list AND ${namesOf(search)} AND ${isLike}${isSearched}
      AND (similarity(k.entity_key, ${query}), ${id}::uuid) > (o.value, k.entity_id)
  ) AS b
)
SELECT o.value, CASE WHEN o.is_on_list THEN b.rows + 1 END AS rank${resetSettings(settings, "better")}
FROM (SELECT) AS always LEFT JOIN own AS o ON TRUE CROSS JOIN better AS b`;
}

interface StoredRank {
	readonly rank: number | null;
	readonly value: number | null;
}

function toRank(stored: StoredRank | undefined): RankOnList {
	return {
		rank: stored?.rank ?? undefined,
		value: stored?.value ?? undefined,
	};
}

const allRows = 2_147_483_647;
/** As far as an index is asked for ranks by meaning: ten times as far as most searches look. */
const maxByIndex = 500;
/** Ranks by words are computed up to here: rows further down have none of the rarer words. */
const textRanks = 1000;
