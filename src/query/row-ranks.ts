import { encodeVector } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { whereSql } from "../filters/where.ts";
import { sharedTenant } from "../models/limits.ts";
import { keyExpression } from "../schema/key.ts";
import { wordsOf } from "../schema/word-function.ts";
import { textOfColumns, wordColumns } from "../schema/words.ts";
import { literal, raw, type Sql, sql } from "../sql.ts";
import { type CacheFallback, readCached } from "./cached-read.ts";
import { nearestCtes } from "./nearest-sql.ts";
import { userCondition } from "./scope.ts";
import type { NearestSearch, SearchContext } from "./search-context.ts";
import { textCtes } from "./text-sql.ts";
import { eligibleRows, vectorsByEntity } from "./vector-scope.ts";

/** A row's place on a list that a hybrid search fuses. */
export interface RankOnList {
	/** From 1, among all rows that are searched; `undefined`: it is not on the list. */
	readonly rank: number | undefined;
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

/** Its place by meaning: every vector of the scope is compared. */
export async function rankByVector(
	search: NearestSearch,
	id: string,
): Promise<RankOnList> {
	const all = { ...search, limit: allRows };
	const { rows } = await search.db.query<StoredRank>(
		sql`WITH ${nearestCtes(all, [{ how: "exact", fields: search.fields, take: undefined }])},
ranked AS (SELECT b.entity_id, row_number() OVER (ORDER BY b.distance, b.entity_id)::integer AS rank FROM best AS b)
SELECT (SELECT r.rank FROM ranked AS r WHERE r.entity_id = ${id}::uuid) AS rank,
  (SELECT 1 - min(e.embedding <=> ${encodeVector(search.queryEmbedding)}::vector) FROM ${embeddingsRef(search.table)} AS e
    WHERE ${vectorsByEntity(search)} AND e.entity_id = ${id}::uuid) AS value`,
		{ idempotent: true },
	);
	return toRank(rows[0]);
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

/** Its place by how much the query is like its key. */
export async function rankByName(
	search: SearchContext,
	{
		query,
		fallback,
	}: { readonly query: string; readonly fallback: CacheFallback },
	id: string,
): Promise<RankOnList> {
	const { db, table } = search;
	const { tableName, tenantScoped, createKvTrigger } = table.entity;
	if (!createKvTrigger) return { rank: undefined, value: undefined };
	const tenant = tenantScoped ? search.tenantId : sharedTenant;
	const filter =
		search.where === undefined
			? raw("TRUE")
			: sql`EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = k.entity_id AND ${eligibleRows(search)})`;
	const select = ({ from }: { readonly from: Sql }) => sql`
SELECT n.score AS value, CASE WHEN n.score >= ${raw(String(leastSimilarity))} AND n.is_searched THEN n.rank END AS rank FROM (
  SELECT s.*, (row_number() OVER (ORDER BY s.is_searched DESC, s.score DESC, s.entity_id))::integer AS rank FROM (
    SELECT k.entity_id, similarity(k.entity_key, ${query}::text) AS score, ${filter} AS is_searched
    FROM ${from} AS k
    WHERE k.tenant_id = ${tenant} AND k.entity_type = ${tableName}${userCondition("k", search)}
      AND (similarity(k.entity_key, ${query}::text) >= ${raw(String(leastSimilarity))} OR k.entity_id = ${id}::uuid)
  ) AS s
) AS n WHERE n.entity_id = ${id}::uuid`;
	const rows = await readCached<StoredRank>(
		{ db, schema: table.schema, fallback },
		select,
	);
	return toRank(rows[0]);
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
/** Ranks by words are computed up to here: rows further down have none of the rarer words. */
const textRanks = 1000;
/** As hybrid searches compare names. */
const leastSimilarity = 0.3;
