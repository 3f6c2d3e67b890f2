import { isOrdered } from "../../models/column-types.ts";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import { boundedName, indexName } from "../../models/names.ts";
import type { EntityTable } from "../../models/registry.ts";
import { empty, ident, join, sql } from "../../sql.ts";
import { keyExpression, liveKeyed } from "../key.ts";
import type { IndexDeclaration, IndexTypeDefinition } from "./definition.ts";

/** What reads need from the first row on: ranges of a tenant's rows in an order. */
export const btree: IndexTypeDefinition = {
	accessMethod: "btree",
	builtBy: "migration",
	namePrefixes: ["idx_", "uq_", "norm_"],
	declare: (table) => [
		...tableIndexes(table),
		...(table.entity.createEmbeddings ? [vectorScopeIndex(table)] : []),
	],
};

/** Those on the entity's own table. */
export function tableIndexes(table: EntityTable): IndexDeclaration[] {
	const { entity } = table;
	const ordered = orderedColumns(entity).map((columns) => ({
		name: indexName("idx", entity.tableName, columns),
		tableName: entity.tableName,
		isUnique: false,
		definition: sql`(${join(tenantFirst(table, withId(columns)))})`,
	}));
	const unique = entity.unique.map(columnsOf).map((columns) => ({
		name: indexName("uq", entity.tableName, columns),
		tableName: entity.tableName,
		isUnique: true,
		definition: sql`(${join(tenantFirst(table, columns))}) WHERE deleted_at IS NULL`,
	}));
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
	const session = entity.fieldsByName.get("sessionId");
	const hasSession = session !== undefined && isOrdered(session.type);
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
function deletedIndex(table: EntityTable): IndexDeclaration[] {
	const { entity } = table;
	const columns = ["deleted_at"];
	const isDeclared = entity.indexes.some(
		(fields) => columnsOf(fields).join() === columns.join(),
	);
	if (isDeclared) return [];
	return [
		{
			name: indexName("idx", entity.tableName, columns),
			tableName: entity.tableName,
			isUnique: false,
			definition: sql`(${join(tenantFirst(table, withId(columns)))}) WHERE deleted_at IS NOT NULL`,
		},
	];
}

/** What LOOKUP reads while the cache is being rebuilt. */
function normalizedKeyIndex(table: EntityTable): IndexDeclaration[] {
	const { entity, schema } = table;
	if (!entity.createKvTrigger) return [];
	const tenant = entity.tenantScoped ? sql`${ident("tenant_id")}, ` : empty;
	const key = sql`${ident(schema, "rem_normalize_key")}(${keyExpression(entity)})`;
	return [
		{
			name: indexName("norm", entity.tableName, ["key"]),
			tableName: entity.tableName,
			isUnique: false,
			definition: sql`(${tenant}(${key})) WHERE ${liveKeyed(entity)}`,
		},
	];
}

/** Made with the table of vectors: what bounds an exact scan. */
export function vectorScopeIndex({ entity }: EntityTable): IndexDeclaration {
	return {
		name: boundedName(`idx_${entity.embeddingsTableName}_scope`),
		tableName: entity.embeddingsTableName,
		isUnique: false,
		definition: sql`(tenant_id, field_name, provider, model, user_id)`,
	};
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
