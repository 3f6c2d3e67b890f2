import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { arrayLiteral } from "../db/encode.ts";
import { rowsPerStatement } from "../db/pipelined.ts";
import {
	embeddingsRef,
	firstStatisticsRef,
	tableRef,
	wordsRef,
} from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { hasWords } from "../schema/word-indexes.ts";
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
 * cache then scan all of a table for each statement, until autovacuum comes
 * by. A load of 100,000 rows fell from 7,500 rows a second to 1,500.
 */
export async function gatherFirstStatistics(
	db: Handle,
	table: EntityTable,
): Promise<void> {
	await analyzeThose(db, table, raw("c.reltuples < 0"));
}

/** From so many times as many rows on, a plan for the estimate is a bad one. */
const farOff = 10;

/** What was loaded for a tenant. */
export interface TenantLoad {
	readonly tenantId: string;
	readonly rowsLoaded: number;
}

/**
 * Analyses the tables after a load of a tenant that statistics take for a tenth of
 * it at most, as of one that is new. Autovacuum would notice it when a share of the
 * whole table has changed; until then its searches and traversals are planned for
 * a row or two. Not again within a minute: a sample may miss a tenant.
 */
export async function gatherTenantStatistics(
	db: Handle,
	table: EntityTable,
	{ tenantId, rowsLoaded }: TenantLoad,
): Promise<void> {
	const { rows } = await db.query<{
		"QUERY PLAN": [{ Plan: { "Plan Rows": number } }];
	}>(
		sql`EXPLAIN (FORMAT JSON) SELECT FROM ${tableRef(table)} WHERE tenant_id = ${tenantId}`,
		{ idempotent: true },
	);
	const estimate = rows[0]?.["QUERY PLAN"][0].Plan["Plan Rows"] ?? rowsLoaded;
	if (estimate * farOff > rowsLoaded) return;
	await analyzeThose(
		db,
		table,
		sql`greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid), '-infinity')
    < clock_timestamp() - interval '1 minute'`,
	);
}

/** Analyses the tables that meet the condition, as this role or as the owner. */
async function analyzeThose(
	db: Handle,
	table: EntityTable,
	condition: Sql,
): Promise<void> {
	const asOwner = firstStatisticsRef(table.schema);
	const { rows } = await db.query<Analyzed>(
		sql`
SELECT c.oid::regclass::text AS name, c.relname::text AS "relationName", has_table_privilege(c.oid, 'MAINTAIN') AS "isOurs"
FROM pg_class AS c
WHERE c.oid IN (${join(writtenTables(table).map(oidOf))}) AND ${condition}
  AND (has_table_privilege(c.oid, 'MAINTAIN')
    OR has_function_privilege(to_regprocedure(${`${toText(asOwner)}(text[])`})::oid, 'EXECUTE'))`,
		{ idempotent: true },
	);
	const ours = rows.filter(({ isOurs }) => isOurs);
	// The owner of the lock analyses it, or is about to change it.
	if (ours.length > 0)
		await db.query(
			sql`ANALYZE (SKIP_LOCKED) ${join(ours.map(({ name }) => raw(name)))}`,
			{ idempotent: true },
		);
	const others = rows.filter(({ isOurs }) => !isOurs);
	if (others.length > 0)
		await db.query(
			sql`SELECT ${asOwner}(${arrayLiteral(others.map(({ relationName }) => relationName))}::text[])`,
			{ idempotent: true },
		);
}

interface Analyzed {
	readonly name: string;
	readonly relationName: string;
	/** Whether this role may analyse it; else a function of row level security does, as the owner. */
	readonly isOurs: boolean;
}

/** The tables whose statistics a load of the entity needs. */
export function writtenTables(table: EntityTable): Sql[] {
	const { entity, schema } = table;
	return [
		tableRef(table),
		...(entity.createEmbeddings
			? [embeddingsRef(table), embeddingQueueRef(schema)]
			: []),
		...(hasWords(entity) ? [wordsRef(table)] : []),
		...(entity.createKvTrigger ? [ident(schema, "kv_store")] : []),
	];
}

function oidOf(table: Sql): Sql {
	return sql`to_regclass(${literal(toText(table))})`;
}
