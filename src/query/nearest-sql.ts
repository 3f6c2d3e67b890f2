import { encodeVector } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { Entity } from "../models/entity.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorIndexForm } from "../schema/index-types/definition.ts";
import { vectorForms } from "../schema/index-types.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { userCondition } from "./scope.ts";
import type { NearestSearch } from "./search-context.ts";
import type { Settings } from "./settings-sql.ts";
import type { Branch } from "./vector-plan.ts";
import {
	eligibleRows,
	ofFilteredRowsInOrder,
	tenantWithoutIndex,
	vectorScope,
	vectorsByEntity,
} from "./vector-scope.ts";

/**
 * Two CTEs: `near`, the vectors that the branches found, and `best`, the nearest
 * of each entity, `limit` of them. The threshold is outside of the branches:
 * inside, an index would look on for vectors that are near enough and are not there.
 */
export function nearestCtes(
	search: NearestSearch,
	branches: readonly Branch[],
): Sql {
	const parts = branches.map((branch, at) => branchSql(search, branch, at));
	// NaN, of a vector of zeros that another program has stored, is farther than everything.
	const isNear =
		search.minSimilarity === undefined
			? sql`b.distance < 'Infinity'`
			: sql`b.distance <= ${1 - search.minSimilarity}`;
	return sql`near AS MATERIALIZED (
  ${join(parts, "\n  UNION ALL\n  ")}
), best AS (
  SELECT * FROM (
    SELECT DISTINCT ON (n.entity_id) n.* FROM near AS n
    ORDER BY n.entity_id, n.distance, n.field_name, n.chunk
  ) AS b
  WHERE ${isNear}
  ORDER BY b.distance, b.entity_id
  LIMIT ${search.limit}
)`;
}

/** What the branches met, for {@link widen}. */
export const reachedSql =
	raw(`(SELECT json_agg(json_build_array(g.branch, g.vectors, g.entities)) FROM (
    SELECT n.branch, count(*) AS vectors, count(DISTINCT n.entity_id) AS entities FROM near AS n GROUP BY n.branch) AS g)`);

/** What the branches' index scans run with. */
export function indexSettings(branches: readonly Branch[]): Settings {
	const max = Math.max(...branches.map(({ efSearch }) => efSearch ?? 0));
	return new Map(
		branches.flatMap(({ how }) =>
			how === "exact" ? [] : vectorForms[how].settings(max),
		),
	);
}

/** The nearest vectors that one branch finds, in parentheses. */
export function branchSql(search: NearestSearch, branch: Branch, at = 0): Sql {
	const { how } = branch;
	return how === "exact"
		? scan(search, branch, at)
		: indexScan(search, { ...branch, form: vectorForms[how] }, at);
}

/**
 * Every vector of the scope is compared. A filter's rows come first: one that
 * selects few decides what is read, whatever statistics make of it.
 */
function scan(
	search: NearestSearch,
	{ fields, take, maxByEntity = 1000 }: Branch,
	at: number,
): Sql {
	const nearest =
		take === undefined
			? empty
			: sql`
   ORDER BY distance, entity_id, field_name, chunk LIMIT ${raw(String(take))}`;
	const range = { ...search, fields };
	const vectors = (scope: Sql) => sql`SELECT ${found(at, search)}
    FROM ${embeddingsRef(search.table)} AS e
    WHERE ${scope}`;
	const ofScope = vectors(vectorScope(range));
	if (search.where === undefined) return sql`(${ofScope}${nearest})`;
	const byEntity = vectors(vectorsByEntity(range));
	return sql`(WITH eligible AS MATERIALIZED (
      SELECT r.id FROM ${tableRef(search.table)} AS r WHERE ${eligibleRows(search)}
    ), few AS MATERIALIZED (
      SELECT count(*) <= ${raw(String(maxByEntity))} AS "is" FROM eligible
    )
    ${byEntity} AND (SELECT "is" FROM few) AND e.entity_id = ANY (ARRAY(SELECT id FROM eligible))
    UNION ALL
    ${ofScope} AND NOT (SELECT "is" FROM few) AND e.entity_id IN (SELECT id FROM eligible)${nearest})`;
}

/** The index gives its vectors nearest first, and PostgreSQL takes those of the scope until there are enough. */
function indexScan(
	search: NearestSearch,
	{
		fields: [field = ""],
		form,
		take,
	}: Branch & { readonly form: VectorIndexForm },
	at: number,
): Sql {
	const { table, space } = search;
	return sql`(SELECT n.* FROM settings AS s CROSS JOIN LATERAL (
    SELECT ${found(at, search)}
    FROM ${embeddingsRef(table)} AS e
    WHERE s.is_set AND ${tenantWithoutIndex(search)} AND ${form.condition(field, space)}${userCondition("e", search)}${ofFilteredRowsInOrder(search)}
    ORDER BY ${form.distance(sql`e.embedding`, vectorOf(search), space)}
    LIMIT ${raw(String(take ?? "ALL"))}
  ) AS n)`;
}

function found(at: number, search: NearestSearch): Sql {
	return sql`${raw(String(at))} AS branch, e.entity_id, e.field_name, e.chunk, e.chunk_start, e.chunk_end,
      e.embedding <=> ${vectorOf(search)} AS distance`;
}

function vectorOf({ queryEmbedding }: NearestSearch): Sql {
	return sql`${encodeVector(queryEmbedding)}::vector`;
}

/** What is read of a hit: the row's columns, and which passage of it was nearest. */
export function hitColumns({ entity }: EntityTable, near: string): Sql {
	const known = columnsOfHits.get(entity)?.get(near);
	if (known !== undefined) return known;
	const columns = readHitColumns(entity, near);
	const ofEntity = columnsOfHits.get(entity) ?? new Map<string, Sql>();
	columnsOfHits.set(entity, ofEntity.set(near, columns));
	return columns;
}

/** Their text is the same in each search. */
const columnsOfHits = new WeakMap<Entity, Map<string, Sql>>();

function readHitColumns(entity: Entity, near: string): Sql {
	const columns = [...entity.fieldsByName.values()].map(({ column }) =>
		ident("r", column),
	);
	const texts = entity.embedFields.map(
		({ name, column }) => sql`WHEN ${literal(name)} THEN ${ident("r", column)}`,
	);
	const h = (column: string) => ident(near, column);
	return sql`${join(columns)}, ${h("distance")} AS rem_distance, ${h("field_name")} AS rem_field,
  CASE WHEN ${h("chunk_start")} IS NOT NULL
    THEN substring(CASE ${h("field_name")} ${join(texts, " ")} END FROM ${h("chunk_start")} + 1 FOR ${h("chunk_end")} - ${h("chunk_start")})
  END AS rem_text`;
}
