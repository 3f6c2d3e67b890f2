import { embeddingsRef, tableRef } from "../db/tables.ts";
import {
	type ColumnType,
	definitionOf,
	elementTypeOf,
	isArrayType,
} from "../models/column-types.ts";
import type { Field } from "../models/field.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { unlessCitus } from "./citus.ts";
import { embeddingReplicaTriggerDdl } from "./embedding-replica-trigger.ts";
import { embeddingTriggersDdl } from "./embedding-trigger.ts";
import { vectorScopeIndex } from "./index-types/btree.ts";
import { createIndex } from "./indexes.ts";
import { keyExpression, liveKeyed } from "./key.ts";
import { type EntityDdlOptions, ownershipMark } from "./ownership.ts";
import { wordsDdl } from "./words.ts";

/** The comment of an entity's table. */
export const entityMark = `${ownershipMark}: entity`;

/** The entity's table and what an upsert cannot do without: its key's unique index. */
export function tableDdl(table: EntityTable): Sql {
	const { entity } = table;
	const columns = [
		sql`id UUID PRIMARY KEY DEFAULT uuidv7()`,
		...(entity.tenantScoped ? [sql`tenant_id VARCHAR(100) NOT NULL`] : []),
		sql`user_id VARCHAR(100)`,
		...entity.fields.map(columnDdl),
		sql`graph_edges JSONB NOT NULL DEFAULT '[]'`,
		sql`metadata JSONB NOT NULL DEFAULT '{}'`,
		sql`tags TEXT[] NOT NULL DEFAULT '{}'`,
		sql`created_at TIMESTAMPTZ(3) NOT NULL DEFAULT now()`,
		sql`updated_at TIMESTAMPTZ(3) NOT NULL DEFAULT now()`,
		sql`deleted_at TIMESTAMPTZ(3)`,
		...keyLengthCheck(table),
	];
	return sql`CREATE TABLE IF NOT EXISTS ${tableRef(table)} (
  ${join(columns, ",\n  ")}
) WITH (
  ${frequentAutovacuum}
);
COMMENT ON TABLE ${tableRef(table)} IS ${literal(entityMark)};
${keyIndex(table)}`;
}

/**
 * With PostgreSQL's own tenth of the table, statistics do not know a new tenant
 * until very many rows have changed, and its searches and traversals are planned
 * for no rows: 8 to 30 times slower.
 */
const frequentAutovacuum = raw(`-- Statistics are to know a new tenant soon.
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02`);

/** A column as CREATE TABLE and ADD COLUMN write it. */
export function columnDdl(field: Field): Sql {
	const notNull = field.nullable ? empty : sql` NOT NULL`;
	return sql`${ident(field.column)} ${raw(columnType(field).toUpperCase())}${notNull}${defaultDdl(field)}`;
}

/** The type of the column. Tenants and users are short, as kv_store has them. */
export function columnType({
	name,
	type,
}: Pick<Field, "name" | "type">): string {
	if (name === "tenantId" || name === "userId") return "varchar(100)";
	const ddl = definitionOf(type).ddl ?? elementTypeOf(type);
	return isArrayType(type) ? `${ddl}[]` : ddl;
}

function defaultDdl(field: Field): Sql {
	const value = defaultExpression(field);
	return value === undefined ? empty : sql` DEFAULT ${value}`;
}

/** The default that the table has, if it is the same for every row. */
function defaultExpression(field: Field): Sql | undefined {
	const { type, defaultValue } = field;
	return defaultValue === undefined || defaultValue === null
		? undefined
		: constant(type, defaultValue);
}

function constant(type: ColumnType, value: unknown): Sql {
	if (type === "jsonb") return literal(JSON.stringify(value));
	if (Array.isArray(value)) {
		if (value.length === 0) return raw("'{}'");
		const element = elementTypeOf(type);
		return sql`ARRAY[${join(value.map((item) => constant(element, item)))}]::${raw(type)}`;
	}
	return typeof value === "string" ? literal(value) : raw(String(value));
}

/** Refuses at the primary table what the cache's column would refuse in a trigger. */
function keyLengthCheck({ entity }: EntityTable): Sql[] {
	if (entity.keyFields === null) return [];
	const name = boundedName(`${entity.tableName}_key_length`);
	return [
		sql`CONSTRAINT ${ident(name)} CHECK (char_length(${keyExpression(entity)}) <= 255)`,
	];
}

/** The arbiter of every upsert: one live row per tenant, user and key. */
function keyIndex(table: EntityTable): Sql {
	const { entity } = table;
	if (entity.keyFields === null) return empty;
	return sql`CREATE UNIQUE INDEX IF NOT EXISTS ${ident(keyIndexName(table))} ON ${tableRef(table)}
  (${join(keyColumns(table).map((column) => ident(column)))}) NULLS NOT DISTINCT
  WHERE ${liveKeyed(entity)};
`;
}

export function keyIndexName({ entity }: EntityTable): string {
	return boundedName(`uq_${entity.tableName}`);
}

/** Columns of the key's unique index, in its order. */
export function keyColumns({ entity }: EntityTable): string[] {
	return [
		...(entity.tenantScoped ? ["tenant_id"] : []),
		"user_id",
		...(entity.keyFields ?? []).map((field) => field.column),
	];
}

/** The table of vectors, and the triggers that maintain it. */
export function embeddingsDdl(
	table: EntityTable,
	options: EntityDdlOptions = {},
): Sql {
	const { entity } = table;
	if (!entity.createEmbeddings) return empty;
	const embeddings = embeddingsRef(table);
	const unique = boundedName(`uq_${entity.embeddingsTableName}`);
	const dimensions = boundedName(`${entity.embeddingsTableName}_dimensions`);
	return sql`CREATE TABLE IF NOT EXISTS ${embeddings} (
  id UUID PRIMARY KEY DEFAULT uuidv7(),
  entity_id UUID NOT NULL REFERENCES ${tableRef(table)} (id) ON DELETE CASCADE,
  tenant_id VARCHAR(100) NOT NULL,
  user_id VARCHAR(100),
  field_name VARCHAR(100) NOT NULL,
  provider VARCHAR(50) NOT NULL,
  model VARCHAR(100) NOT NULL,
  dimensions INTEGER NOT NULL,
  content_hash BYTEA NOT NULL,
  chunk INTEGER NOT NULL DEFAULT 0,
  chunk_start INTEGER,
  chunk_end INTEGER,
  embedding vector NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT ${ident(unique)} UNIQUE (entity_id, field_name, provider, model, dimensions, chunk),
  CONSTRAINT ${ident(dimensions)} CHECK (vector_dims(embedding) = dimensions)
) WITH (
  -- Vectors stay in the row: exact scans are 2.5 to 3 times faster than from TOAST.
  toast_tuple_target = 8160,
  ${frequentAutovacuum}
);
-- Statistics on vectors say nothing to the planner, and take long to make.
${unlessCitus(sql`ALTER TABLE ${embeddings} ALTER COLUMN embedding SET STATISTICS 0;`)}COMMENT ON TABLE ${embeddings} IS ${literal(`${ownershipMark}: embeddings of ${entity.tableName}`)};
${createIndex(table.schema, vectorScopeIndex(table))}${embeddingTriggersDdl(table)}${embeddingReplicaTriggerDdl(table)}${wordsDdl(table, options)}`;
}
