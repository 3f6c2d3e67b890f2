import type { Handle, QueryOptions } from "../db/database.ts";
import { type Sql, sql } from "../sql.ts";

/** Rows that PostgreSQL looks for in an index, whichever plan it makes. */
const alwaysIndexed = 250;

/** Rows of a tenant in a table. */
export interface TenantRows {
	readonly ref: Sql;
	readonly tenant: string;
	readonly readsUnlogged?: boolean;
}

/**
 * Whether PostgreSQL expects of any tenant as many rows as of this one, roughly: a
 * prepared statement is planned for a tenant of average size. In one far larger than
 * that, PostgreSQL would read all of its rows where it should ask an index.
 */
export async function isUsualSize(
	db: Handle,
	{ ref, tenant, readsUnlogged = false }: TenantRows,
): Promise<boolean> {
	const estimate = (value: Sql) =>
		estimatedRows(db, sql`SELECT FROM ${ref} WHERE tenant_id = ${value}`, {
			readsUnlogged,
		});
	// What a subquery returns is not known when the plan is made, as is a parameter of a prepared statement.
	const ofAny = await estimate(sql`(SELECT ${tenant}::text)`);
	if (ofAny >= alwaysIndexed) return true;
	return (await estimate(sql`${tenant}`)) <= 2 * ofAny;
}

/** How many rows PostgreSQL expects a statement to return. */
export async function estimatedRows(
	db: Handle,
	statement: Sql,
	options: Pick<QueryOptions, "readsUnlogged"> = {},
): Promise<number> {
	const { rows } = await db.query<{
		"QUERY PLAN": [{ Plan: { "Plan Rows": number } }];
	}>(sql`EXPLAIN (FORMAT JSON) ${statement}`, { ...options, idempotent: true });
	return rows[0]?.["QUERY PLAN"][0].Plan["Plan Rows"] ?? 0;
}
