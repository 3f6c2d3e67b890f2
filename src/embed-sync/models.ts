import type { Handle } from "../db/database.ts";
import {
	embeddingModelsRef,
	embeddingQueueRef,
} from "../db/embedding-queue.ts";
import { embeddingsRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { join, literal, raw, type Sql, sql } from "../sql.ts";

/**
 * - `active`: searches use it, and every text has its vector or waits for it
 * - `filling`: vectors are made beside the active ones, for a change of model
 * - `retired`: its vectors are what they were when another model took over
 */
export type ModelState = "active" | "filling" | "retired";

/** A model that a table has vectors of. */
export interface TableModel extends VectorSpace {
	readonly tableName: string;
	readonly state: ModelState;
}

export async function readModels(
	db: Handle,
	schema: string,
): Promise<TableModel[]> {
	const { rows } = await db.query<TableModel>(
		sql`
SELECT entity_type AS "tableName", provider, model, dimensions, state
FROM ${embeddingModelsRef(schema)} ORDER BY entity_type, created_at`,
		{ idempotent: true },
	);
	return rows;
}

interface ActiveModel extends VectorSpace {
	readonly schema: string;
	readonly tableName: string;
}

/** The models that searches use in several schemas. */
export async function readActiveModels(
	db: Handle,
	schemas: readonly string[],
): Promise<ActiveModel[]> {
	const reads = schemas.map(
		(schema) =>
			sql`SELECT ${literal(schema)} AS schema, entity_type AS "tableName", provider, model, dimensions FROM ${embeddingModelsRef(schema)} WHERE state = 'active'`,
	);
	const { rows } = await db.query<ActiveModel>(join(reads, "\nUNION ALL "), {
		idempotent: true,
	});
	return rows;
}

/** A table, and a model whose vectors it is to have. */
export interface Target {
	readonly table: EntityTable;
	readonly space: VectorSpace;
}

interface Partition {
	readonly table: Pick<EntityTable, "schema" | "entity">;
	readonly space: VectorSpace;
}

/** Which of the tables have vectors of the model beside them, by their place. */
export async function partitionsWithVectors(
	db: Handle,
	partitions: readonly Partition[],
): Promise<Set<number>> {
	const parts = partitions.map(
		({ table, space }, at) =>
			sql`SELECT ${raw(String(at))} AS at WHERE EXISTS (SELECT FROM ${embeddingsRef(table)} AS e WHERE ${isSpace("e", space)})`,
	);
	const { rows } = await db.query<{ at: number }>(join(parts, "\nUNION ALL "), {
		idempotent: true,
	});
	return new Set(rows.map(({ at }) => at));
}

/** Whether the table has vectors of the model. */
export async function hasVectors(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
): Promise<boolean> {
	return (await partitionsWithVectors(db, [{ table, space }])).has(0);
}

/** Makes the model the table's active one, if it has none, or one that has no vector and no successor yet. */
export async function adoptModel(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
): Promise<void> {
	const models = embeddingModelsRef(table.schema);
	const queue = embeddingQueueRef(table.schema);
	const type = table.entity.tableName;
	await db.transaction(async (tx) => {
		const { rows } = await tx.query<VectorSpace>(sql`
DELETE FROM ${models} AS m
WHERE m.entity_type = ${type} AND m.state = 'active' AND NOT ${isSpace("m", space)}
  AND NOT EXISTS (SELECT FROM ${models} AS o WHERE o.entity_type = m.entity_type AND o.state <> 'active')
  AND NOT EXISTS (SELECT FROM ${embeddingsRef(table)} AS e
    WHERE (e.provider, e.model, e.dimensions) = (m.provider, m.model, m.dimensions))
RETURNING provider, model, dimensions`);
		await tx.query(sql`
WITH adopted AS MATERIALIZED (
  SELECT ${type}::text, ${space.provider}::text, ${space.model}::text, ${space.dimensions}::integer, 'active'
  WHERE NOT EXISTS (SELECT FROM ${models} WHERE entity_type = ${type} AND state = 'active')
)
INSERT INTO ${models} (entity_type, provider, model, dimensions, state) SELECT * FROM adopted
ON CONFLICT (entity_type, provider, model, dimensions) DO UPDATE SET state = 'active', updated_at = excluded.updated_at`);
		const [forgotten] = rows;
		if (forgotten === undefined) return;
		// What waited for the one waits for the other.
		await tx.query(sql`
WITH moved AS MATERIALIZED (
  SELECT entity_type, entity_id, field_name, ${space.provider}::text, ${space.model}::text, ${space.dimensions}::integer, queued_at
  FROM ${queue} AS q WHERE q.entity_type = ${type} AND ${isSpace("q", forgotten)}
)
INSERT INTO ${queue} (entity_type, entity_id, field_name, provider, model, dimensions, queued_at) SELECT * FROM moved
ON CONFLICT DO NOTHING`);
		await tx.query(
			sql`DELETE FROM ${queue} AS q WHERE q.entity_type = ${type} AND ${isSpace("q", forgotten)}`,
		);
	});
}

/**
 * Adds a model to the table, beside the active one. From here on every text that
 * changes is queued for it; transactions that began before, and do not know it,
 * are waited for.
 */
export async function beginModel(
	db: Handle,
	{ table, space }: Target,
	signal: AbortSignal | undefined,
): Promise<void> {
	const models = embeddingModelsRef(table.schema);
	const { rowCount } = await db.query(sql`
WITH added AS MATERIALIZED (
  SELECT ${table.entity.tableName}::text, ${space.provider}::text, ${space.model}::text, ${space.dimensions}::integer,
    CASE WHEN EXISTS (SELECT FROM ${models} WHERE entity_type = ${table.entity.tableName} AND state = 'active')
      THEN 'filling' ELSE 'active' END
)
INSERT INTO ${models} AS m (entity_type, provider, model, dimensions, state) SELECT * FROM added
ON CONFLICT (entity_type, provider, model, dimensions) DO UPDATE SET state = 'filling', updated_at = excluded.updated_at
WHERE m.state = 'retired'`);
	if (rowCount > 0) await awaitWriters(db, table, signal);
}

const writersPollMs = 50;

/** Waits for the transactions that are writing to the table now. No client is blocked, as it would be by a lock. */
export async function awaitWriters(
	db: Handle,
	table: EntityTable,
	signal: AbortSignal | undefined,
): Promise<void> {
	const writers = async () => {
		const { rows } = await db.query<{ id: string }>(sql`
SELECT DISTINCT l.virtualtransaction AS id
FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE c.relnamespace = ${table.schema}::regnamespace AND c.relname = ${table.entity.tableName}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()`);
		return new Set(rows.map(({ id }) => id));
	};
	let left = await writers();
	while (left.size > 0 && signal?.aborted !== true) {
		await new Promise((resolve) => setTimeout(resolve, writersPollMs));
		const now = await writers();
		left = new Set([...left].filter((id) => now.has(id)));
	}
}

/** Makes a model that was filled the one that searches use. Returns false if it is not filling. */
export async function activateModel(
	tx: Handle,
	table: EntityTable,
	space: VectorSpace,
): Promise<void> {
	const models = embeddingModelsRef(table.schema);
	await tx.query(sql`
UPDATE ${models} SET state = 'retired', updated_at = now()
WHERE entity_type = ${table.entity.tableName} AND state = 'active'`);
	await tx.query(sql`
UPDATE ${models} AS m SET state = 'active', updated_at = now()
WHERE m.entity_type = ${table.entity.tableName} AND ${isSpace("m", space)}`);
}

const rowsPerDelete = 5000;

/** Removes a model's vectors, some at a time, and what waits for it; returns how many vectors there were. */
export async function removeModel(
	db: Handle,
	{ table, space }: Target,
	signal: AbortSignal | undefined,
): Promise<number> {
	const type = table.entity.tableName;
	await db.query(sql`
DELETE FROM ${embeddingModelsRef(table.schema)} AS m WHERE m.entity_type = ${type} AND ${isSpace("m", space)}`);
	await db.query(sql`
DELETE FROM ${embeddingQueueRef(table.schema)} AS q WHERE q.entity_type = ${type} AND ${isSpace("q", space)}`);
	let removed = 0;
	for (;;) {
		signal?.throwIfAborted();
		const { rowCount } = await db.query(sql`
DELETE FROM ${embeddingsRef(table)} WHERE id IN (
  SELECT e.id FROM ${embeddingsRef(table)} AS e WHERE ${isSpace("e", space)} LIMIT ${rowsPerDelete})`);
		removed += rowCount;
		if (rowCount < rowsPerDelete) return removed;
	}
}

/** The rows of a space, of whatever has its three columns. */
export function isSpace(
	alias: "m" | "q" | "e",
	{ provider, model, dimensions }: VectorSpace,
): Sql {
	const columns = {
		m: sql`(m.provider, m.model, m.dimensions)`,
		q: sql`(q.provider, q.model, q.dimensions)`,
		e: sql`(e.provider, e.model, e.dimensions)`,
	}[alias];
	return sql`${columns} = (${provider}, ${model}, ${dimensions}::integer)`;
}
