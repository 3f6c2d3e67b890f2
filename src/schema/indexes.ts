import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { Field } from "../models/field.ts";
import { indexName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { keyExpression, liveKeyed } from "./key.ts";

export interface HnswOptions {
	readonly m: number;
	readonly efConstruction: number;
}

/** An index by its name and the statement that makes it. */
export interface Index {
	readonly name: string;
	readonly statement: Sql;
}

/** Indexes that queries need from the first row on: cheap to keep, made with the table. */
export function indexesDdl(table: EntityTable): Sql {
	return join(
		foregroundIndexes(table).map(({ statement }) => statement),
		"",
	);
}

/** The same one by one; `concurrently`, for a table that is being written to. */
export function foregroundIndexes(
	table: EntityTable,
	concurrently = false,
): Index[] {
	const { entity } = table;
	const plain = [["created_at"], ...entity.indexes.map(columnsOf)];
	return [
		...plain.map((columns) => ({
			name: indexName("idx", entity.tableName, columns),
			columns: tenantFirst(table, columns),
		})),
		...entity.unique.map((fields) => ({
			name: indexName("uq", entity.tableName, columnsOf(fields)),
			unique: true,
			columns: tenantFirst(table, columnsOf(fields)),
			where: sql`deleted_at IS NULL`,
		})),
		...normalizedKeyIndex(table),
	].map((parts) => ({
		name: parts.name,
		statement: createIndex(table, { ...parts, concurrently }),
	}));
}

/** What LOOKUP reads while the cache is being rebuilt. */
function normalizedKeyIndex(table: EntityTable): IndexParts[] {
	const { entity, schema } = table;
	if (!entity.createKvTrigger) return [];
	const key = sql`${ident(schema, "rem_normalize_key")}(${keyExpression(entity)})`;
	return [
		{
			name: indexName("norm", entity.tableName, ["key"]),
			columns: [
				...(entity.tenantScoped ? [ident("tenant_id")] : []),
				sql`(${key})`,
			],
			where: liveKeyed(entity),
		},
	];
}

/** Indexes built after the load, one statement each, outside any transaction. */
export function backgroundIndexesDdl(
	table: EntityTable,
	space: VectorSpace,
	hnsw: HnswOptions,
): Sql {
	const { entity, schema } = table;
	const gin = (column: string, expression: Sql) =>
		createIndex(table, {
			name: indexName("gin", entity.tableName, [column]),
			concurrently: true,
			method: "gin",
			columns: [expression],
		});
	return join(
		[
			gin("metadata", sql`metadata jsonb_path_ops`),
			gin("graph_edges", sql`graph_edges jsonb_path_ops`),
			gin("edge_keys", sql`(${ident(schema, "rem_edge_keys")}(graph_edges))`),
			...entity.embedFields.map((field) =>
				hnswIndex(table, field, space, hnsw),
			),
		],
		"",
	);
}

// pgvector's HNSW takes 2,000 dimensions of vector, 4,000 of halfvec.
const maxVectorDimensions = 2000;

/** One graph per field, provider, model and length, so that lengths may differ. */
function hnswIndex(
	table: EntityTable,
	field: Field,
	space: VectorSpace,
	hnsw: HnswOptions,
): Sql {
	const type = space.dimensions > maxVectorDimensions ? "halfvec" : "vector";
	const name = indexName("hnsw", table.entity.tableName, [
		field.column,
		space.provider,
		space.model,
		String(space.dimensions),
	]);
	return sql`CREATE INDEX CONCURRENTLY IF NOT EXISTS ${ident(name)} ON ${embeddingsRef(table)}
  USING hnsw ((embedding::${raw(`${type}(${space.dimensions})`)}) ${raw(`${type}_cosine_ops`)})
  WITH (m = ${raw(String(hnsw.m))}, ef_construction = ${raw(String(hnsw.efConstruction))})
  WHERE field_name = ${literal(field.name)} AND provider = ${literal(space.provider)}
    AND model = ${literal(space.model)} AND dimensions = ${raw(String(space.dimensions))};
`;
}

interface IndexParts {
	readonly name: string;
	readonly columns: readonly Sql[];
	readonly unique?: boolean;
	readonly concurrently?: boolean;
	readonly method?: string;
	readonly where?: Sql;
}

function createIndex(table: EntityTable, index: IndexParts): Sql {
	const words = `CREATE ${index.unique ? "UNIQUE " : ""}INDEX ${index.concurrently ? "CONCURRENTLY " : ""}IF NOT EXISTS `;
	const method = raw(
		index.method === undefined ? "" : ` USING ${index.method}`,
	);
	const where = index.where === undefined ? empty : sql` WHERE ${index.where}`;
	return sql`${raw(words)}${ident(index.name)} ON ${tableRef(table)}${method} (${join(index.columns)})${where};
`;
}

function tenantFirst({ entity }: EntityTable, columns: readonly string[]) {
	return [...(entity.tenantScoped ? ["tenant_id"] : []), ...columns].map(
		(column) => ident(column),
	);
}

function columnsOf(fields: readonly Field[]): string[] {
	return fields
		.map((field) => field.column)
		.filter((column) => column !== "tenant_id");
}
