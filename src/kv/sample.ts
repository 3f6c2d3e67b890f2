import type { Handle } from "../db/database.ts";
import { ident, type Sql, sql, toText } from "../sql.ts";
import { compareRange, type KvDifference } from "./compare.ts";
import type { KvSource } from "./sources.ts";
import { kvStore } from "./tables.ts";

/** Compares at most so many entities and so many entries of a type, picked at random, from whole pages of the tables. */
export async function compareSample(
	tx: Handle,
	schema: string,
	source: KvSource,
	size: number,
): Promise<{ found: number; differences: KvDifference[] }> {
	const store = kvStore(schema);
	const table = ident(schema, source.entityType);
	const entities = sql`SELECT id FROM ${table} ${await pagesOf(tx, table, size)} ORDER BY random() LIMIT ${size}`;
	const entries = sql`SELECT entity_id FROM ${store} ${await pagesOf(tx, store, size)}
WHERE entity_type = ${source.entityType} ORDER BY random() LIMIT ${size}`;
	const { rows } = await tx.query<{ ids: string[] }>(
		sql`SELECT coalesce(array_agg(id::text), '{}') AS ids FROM ((${entities}) UNION (${entries})) AS picked`,
	);
	const ids = `{${rows[0]?.ids.join(",") ?? ""}}`;
	return compareRange(
		tx,
		schema,
		source,
		sql`entity_id = ANY (${ids}::uuid[])`,
	);
}

// Pages hold rows that are gone, too, and kv_store those of other types.
const spare = 20;

/** All of a small table, some pages of a large one. */
async function pagesOf(tx: Handle, table: Sql, size: number): Promise<Sql> {
	const { rows } = await tx.query<{ rows: number }>(
		sql`SELECT reltuples::float8 AS rows FROM pg_class WHERE oid = ${toText(table)}::regclass`,
	);
	const share = (spare * size) / Math.max(1, rows[0]?.rows ?? 1);
	return sql`TABLESAMPLE SYSTEM (${Math.min(100, 100 * share)}::float8)`;
}
