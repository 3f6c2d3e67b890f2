import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import { boundedName, indexName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { empty, ident, join, raw, type Sql, sql } from "../sql.ts";
import { createIndex, type DeclaredIndex } from "./declared-index.ts";
import { fullTextIndex } from "./full-text.ts";
import { type HnswOptions, hnswIndex, hnswProblem } from "./hnsw.ts";
import { keyExpression, liveKeyed } from "./key.ts";

/** Indexes that queries need from the first row on: cheap to keep, made with the table. */
export function indexesDdl(table: EntityTable): Sql {
	return join(
		foregroundIndexes(table).map((index) => createIndex(table.schema, index)),
		"",
	);
}

/** The same one by one. */
function foregroundIndexes(table: EntityTable): DeclaredIndex[] {
	const { entity } = table;
	const ordered = orderedColumns(entity).map(
		(columns): DeclaredIndex => ({
			name: indexName("idx", entity.tableName, columns),
			indexType: "btree",
			tableName: entity.tableName,
			isUnique: false,
			definition: sql`(${join(tenantFirst(table, withId(columns)))})`,
		}),
	);
	const unique = entity.unique.map(columnsOf).map(
		(columns): DeclaredIndex => ({
			name: indexName("uq", entity.tableName, columns),
			indexType: "btree",
			tableName: entity.tableName,
			isUnique: true,
			definition: sql`(${join(tenantFirst(table, columns))}) WHERE deleted_at IS NULL`,
		}),
	);
	return [
		...ordered,
		...deletedIndex(table),
		...unique,
		...normalizedKeyIndex(table),
	];
}

/**
 * What rows of a tenant are found and ordered by: their id, which is the order of
 * creation, the times, the key, the session, and what the model declares. Rows
 * without a key have their user's index here; the others have that of the key.
 */
function orderedColumns(entity: Entity): string[][] {
	const session = entity.fieldsByName.get("sessionId")?.type ?? "jsonb";
	const hasSession = session !== "jsonb" && !session.endsWith("[]");
	const all = [
		["created_at"],
		["updated_at"],
		// The primary key, where there is no tenant.
		...(entity.tenantScoped ? [["id"]] : []),
		entity.keyFields === null ? ["user_id"] : columnsOf(entity.keyFields),
		...(hasSession ? [["session_id", "created_at"]] : []),
		...entity.indexes.map(columnsOf),
	];
	const known = new Set<string>();
	return all.filter((columns) => {
		const name = columns.join();
		const isNew = columns.length > 0 && !known.has(name);
		known.add(name);
		return isNew;
	});
}

/**
 * Rows are ordered by `id` last. With it in the index, a page begins where the
 * last one ended even where all rows have the same value; without it, each page
 * sorted all of them.
 */
function withId(columns: readonly string[]): string[] {
	return columns.includes("id") ? [...columns] : [...columns, "id"];
}

/** Deleted rows, which all other reads leave out: of a table without any it is empty. */
function deletedIndex(table: EntityTable): DeclaredIndex[] {
	const { entity } = table;
	const columns = ["deleted_at"];
	const isDeclared = entity.indexes.some(
		(fields) => columnsOf(fields).join() === columns.join(),
	);
	if (isDeclared) return [];
	return [
		{
			name: indexName("idx", entity.tableName, columns),
			indexType: "btree",
			tableName: entity.tableName,
			isUnique: false,
			definition: sql`(${join(tenantFirst(table, withId(columns)))}) WHERE deleted_at IS NOT NULL`,
		},
	];
}

/** What LOOKUP reads while the cache is being rebuilt. */
function normalizedKeyIndex(table: EntityTable): DeclaredIndex[] {
	const { entity, schema } = table;
	if (!entity.createKvTrigger) return [];
	const tenant = entity.tenantScoped ? sql`${ident("tenant_id")}, ` : empty;
	const key = sql`${ident(schema, "rem_normalize_key")}(${keyExpression(entity)})`;
	return [
		{
			name: indexName("norm", entity.tableName, ["key"]),
			indexType: "btree",
			tableName: entity.tableName,
			isUnique: false,
			definition: sql`(${tenant}(${key})) WHERE ${liveKeyed(entity)}`,
		},
	];
}

/** Made with the table of vectors: what bounds an exact scan. */
export function vectorScopeIndex({ entity }: EntityTable): DeclaredIndex {
	return {
		name: boundedName(`idx_${entity.embeddingsTableName}_scope`),
		indexType: "btree",
		tableName: entity.embeddingsTableName,
		isUnique: false,
		definition: sql`(tenant_id, field_name, provider, model, user_id)`,
	};
}

/** Indexes that are built once there are rows, while others write; {@link hnswProblem} tells which cannot be. */
export function backgroundIndexes(
	table: EntityTable,
	spaces: readonly VectorSpace[],
	hnsw: HnswOptions,
): DeclaredIndex[] {
	const { entity, schema } = table;
	const gin = (column: string, expression: Sql): DeclaredIndex => ({
		name: indexName("gin", entity.tableName, [column]),
		indexType: "gin",
		tableName: entity.tableName,
		isUnique: false,
		definition: sql`USING gin (${expression})`,
	});
	const tenant = entity.tenantScoped ? raw("tenant_id, ") : empty;
	return [
		gin("metadata", sql`metadata jsonb_path_ops`),
		gin("graph_edges", sql`graph_edges jsonb_path_ops`),
		...(entity.embedFields.length === 0 ? [] : [fullTextIndex(table)]),
		// With the tenant: tags and names are the same in many of them.
		gin("tags", sql`${tenant}tags`),
		{
			...gin(
				"edge_keys",
				sql`${tenant}(${ident(schema, "rem_edge_keys")}(graph_edges))`,
			),
			elementsOf: "graph_edges",
		},
		...spaces.flatMap((space) =>
			entity.embedFields.map((field) => hnswIndex(table, field, space, hnsw)),
		),
	];
}

/** Every index that a table, its vectors and its part of the cache should have. */
export function allIndexes(
	table: EntityTable,
	spaces: readonly VectorSpace[],
	hnsw: HnswOptions,
): DeclaredIndex[] {
	const { entity } = table;
	return [
		...foregroundIndexes(table),
		...(entity.createEmbeddings ? [vectorScopeIndex(table)] : []),
		...backgroundIndexes(table, spaces, hnsw),
		...(entity.createKvTrigger ? [kvContentIndex] : []),
	];
}

/** What is searched for in the cache's summaries. */
export const kvContentIndex: DeclaredIndex = {
	name: "kv_store_content",
	indexType: "trgm",
	tableName: "kv_store",
	isUnique: false,
	definition: sql`USING gin (tenant_id, content_summary gin_trgm_ops)`,
};

/** Background indexes as text for psql; where one cannot be, a comment says why. */
export function backgroundIndexesDdl(
	table: EntityTable,
	space: VectorSpace,
	hnsw: HnswOptions,
): Sql {
	return join(
		backgroundIndexes(table, [space], hnsw).map((index) => {
			const problem = hnswProblem(index, hnsw);
			return problem === undefined
				? createIndex(table.schema, index, { concurrently: true })
				: raw(`-- ${index.name}: ${problem.replace(/\s+/g, " ")}\n`);
		}),
		"",
	);
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
