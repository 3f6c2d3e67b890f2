import type { Handle } from "../db/database.ts";
import { arrayLiteral, encodeVector } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { vectorProblem } from "../embeddings/vector-problem.ts";
import { RemError } from "../errors.ts";
import { whereSql } from "../filters/where.ts";
import { sharedTenant } from "../models/limits.ts";
import {
	type EntityTable,
	embedFieldOf,
	fieldNotEmbedded,
} from "../models/registry.ts";
import { toRow } from "../models/rows.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import {
	checkLimit,
	checkScope,
	type ReadScope,
	userCondition,
} from "./scope.ts";

export interface SearchRequest extends ReadScope {
	readonly queryEmbedding: Float32Array;
	/** One field; omitted: the best field of each entity. */
	readonly fieldName?: string | undefined;
	/** @default 10 */
	readonly limit?: number | undefined;
	/** Least cosine similarity, -1 to 1; omitted: the nearest, however far. */
	readonly minSimilarity?: number | undefined;
	readonly where?: Readonly<Record<string, unknown>> | undefined;
}

/** A row of the table with what made it a hit. */
export type SearchHit = Record<string, unknown> & {
	/** Cosine similarity, -1 to 1. */
	readonly similarity: number;
	/** The field whose vector was nearest. */
	readonly matchedField: string;
};

/** The entities of the scope nearest to a vector, nearest first: min(limit, eligible) rows. */
export async function vectorSearch(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	request: SearchRequest,
): Promise<SearchHit[]> {
	checkSearch(table, space, request);
	const { rows } = await db.query(searchSql(table, space, request));
	return rows.map((record) => ({
		...toRow(table.entity, record),
		similarity: record.rem_similarity as number,
		matchedField: record.rem_field as string,
	}));
}

/** Everything that can be said without a vector, so that no provider is asked for nothing. */
export function checkSearch(
	{ entity }: EntityTable,
	space: VectorSpace,
	request: Omit<SearchRequest, "queryEmbedding"> & {
		readonly queryEmbedding?: Float32Array | undefined;
	},
): void {
	checkScope(request);
	checkLimit(request.limit ?? 10);
	if (request.fieldName !== undefined) embedFieldOf(entity, request.fieldName);
	if (entity.embedFields.length === 0)
		throw fieldNotEmbedded(entity, `"${entity.tableName}"`);
	if (request.where !== undefined) whereSql(entity, request.where, "r");
	const { minSimilarity, queryEmbedding } = request;
	if (minSimilarity !== undefined && !(Math.abs(minSimilarity) <= 1))
		throw new RemError("VALIDATION", "minSimilarity is not between -1 and 1");
	if (queryEmbedding === undefined) return;
	if (!(queryEmbedding instanceof Float32Array))
		throw new RemError("VALIDATION", "queryEmbedding is no Float32Array", {
			hint: "Float32Array.from(numbers)",
		});
	const problem = vectorProblem(queryEmbedding, space.dimensions);
	if (problem !== undefined)
		throw new RemError(
			"DIMENSION_MISMATCH",
			`the query's vector has ${problem} (model ${space.model})`,
		);
}

/**
 * An exact scan of the scope's vectors, which `(tenant_id, field_name, …)`
 * bounds; only the nearest are joined to their rows. The threshold is outside,
 * on the distance: NaN fails it, and inside it cost 33 to 74 ms instead of 1.
 */
export function searchSql(
	table: EntityTable,
	space: VectorSpace,
	request: SearchRequest,
): Sql {
	const { entity } = table;
	const columns = [...entity.fieldsByName.values()].map(({ column }) =>
		ident("r", column),
	);
	const isNear =
		request.minSimilarity === undefined
			? sql`h.distance < 'Infinity'`
			: sql`h.distance <= ${1 - request.minSimilarity}`;
	return sql`SELECT ${join(columns)}, 1 - h.distance AS rem_similarity, h.field_name AS rem_field
FROM (
  SELECT h.* FROM (
    ${nearestPerEntity(table, space, request)}
  ) AS h
  WHERE ${isNear}
  ORDER BY h.distance, h.entity_id
  LIMIT ${request.limit ?? 10}
) AS h
JOIN ${tableRef(table)} AS r ON r.id = h.entity_id
WHERE ${isVisible(table, request)}
ORDER BY h.distance, h.entity_id`;
}

/** The nearest vector of each entity, of one field or of all. */
function nearestPerEntity(
	table: EntityTable,
	space: VectorSpace,
	request: SearchRequest,
): Sql {
	const { entity } = table;
	const fields =
		request.fieldName === undefined
			? entity.embedFields.map(({ name }) => name)
			: [request.fieldName];
	return sql`SELECT DISTINCT ON (e.entity_id) e.entity_id, e.field_name, e.embedding <=> ${encodeVector(request.queryEmbedding)}::vector AS distance
    FROM ${embeddingsRef(table)} AS e
    WHERE e.tenant_id = ${tenantOf(table, request)} AND e.field_name = ANY (${arrayLiteral(fields)}::text[])
      AND e.provider = ${space.provider} AND e.model = ${space.model} AND e.dimensions = ${space.dimensions}${userCondition("e", request)}${fulfilsFilter(table, request)}
    ORDER BY e.entity_id, distance`;
}

function fulfilsFilter(table: EntityTable, { where }: SearchRequest): Sql {
	if (where === undefined) return raw("");
	return sql`
      AND EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = e.entity_id AND ${whereSql(table.entity, where, "r")})`;
}

/**
 * The row itself once more: vectors of deleted rows are gone with them, and of
 * other tenants' not read. Written so that no index on the tenant is used: before
 * the first ANALYZE it was, and read the whole tenant for every hit.
 */
function isVisible(table: EntityTable, request: SearchRequest): Sql {
	const isOwn = table.entity.tenantScoped
		? sql`r.tenant_id IS NOT DISTINCT FROM ${request.tenantId} AND `
		: raw("");
	return sql`${isOwn}r.deleted_at IS NULL`;
}

function tenantOf({ entity }: EntityTable, request: SearchRequest): string {
	return entity.tenantScoped ? request.tenantId : sharedTenant;
}
