import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { rowsPerStatement } from "../db/in-turn.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, join, literal, raw, type Sql, sql, toText } from "../sql.ts";

/**
 * Rows of a load that are written before its tables are looked at: looking takes
 * 25 ms, and without statistics 5,000 rows are not slower yet.
 */
export const rowsBeforeStatistics = 10 * rowsPerStatement;

/**
 * Analyses those of the tables that never were, once there are rows to see.
 * Without statistics PostgreSQL takes `deleted_at IS NULL` for rare, and any
 * index of live rows for a short one: reads by key and the plans that triggers
 * keep then go through all of a table for each statement, until autovacuum comes
 * by. A load of 100,000 rows fell from 7,500 rows a second to 1,500.
 */
export async function gatherFirstStatistics(
	db: Handle,
	table: EntityTable,
): Promise<void> {
	const { rows } = await db.query<{ name: string }>(
		sql`
SELECT c.oid::regclass::text AS name FROM pg_class AS c
WHERE c.oid IN (${join(writtenTables(table).map(oidOf))})
  AND c.reltuples < 0 AND has_table_privilege(c.oid, 'MAINTAIN')`,
		{ idempotent: true },
	);
	if (rows.length === 0) return;
	const names = rows.map(({ name }) => raw(name));
	// Whoever has the lock analyses it, or is about to change it.
	await db.query(sql`ANALYZE (SKIP_LOCKED) ${join(names)}`, {
		idempotent: true,
	});
}

/** The tables whose statistics a load of the entity needs. */
export function writtenTables(table: EntityTable): Sql[] {
	const { entity, schema } = table;
	return [
		tableRef(table),
		...(entity.createEmbeddings
			? [embeddingsRef(table), embeddingQueueRef(schema)]
			: []),
		...(entity.createKvTrigger ? [ident(schema, "kv_store")] : []),
	];
}

function oidOf(table: Sql): Sql {
	return sql`to_regclass(${literal(toText(table))})`;
}
