import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, join, raw, type Sql, sql } from "../sql.ts";
import { isUuid } from "../util/uuid.ts";

/** What can be done with rows by their id. */
export type Change = "delete" | "restore" | "purge";

/**
 * Writers lock rows in one order; what their triggers, foreign keys and unique
 * indexes lock may be in another. The server rolls one of them back, and it runs
 * again.
 */
export const changeRetries = 20;

/** Which rows are changed, and whose they may be. */
export interface RowChange {
	readonly change: Change;
	readonly ids: readonly string[];
	/** `undefined` for entities without tenants. */
	readonly tenantId: string | undefined;
	/** That user's and shared rows; `null`: shared ones; `undefined`: the whole tenant's. */
	readonly userId?: string | null | undefined;
}

/**
 * Deletes softly, restores or removes the rows of the tenant, and returns the
 * ids of those it changed: a row that is already so, or another tenant's, is not
 * among them.
 */
export async function changeRows(
	db: Handle,
	table: EntityTable,
	wanted: RowChange,
): Promise<string[]> {
	// Something that is no UUID is no row's id: it is not found, which is no error.
	const lowered = wanted.ids.map((id) => id.toLowerCase());
	const uuids = [...new Set(lowered)].filter(isUuid);
	if (uuids.length === 0) return [];
	const { rows } = await db.query<{ id: string }>(
		changeSql(table, { ...wanted, ids: uuids.sort() }),
		{ isLimited: true, retries: changeRetries },
	);
	return rows.map(({ id }) => id);
}

function changeSql(
	table: EntityTable,
	{ change, ids, tenantId, userId }: RowChange,
): Sql {
	const state = {
		delete: sql` AND t.deleted_at IS NULL`,
		restore: sql` AND t.deleted_at IS NOT NULL`,
		purge: empty,
	}[change];
	const conditions = join(
		[
			sql`t.id = ANY (${encodeArray("uuid", ids)}::uuid[])`,
			...(tenantId === undefined ? [] : [sql`t.tenant_id = ${tenantId}`]),
			...(userId === undefined
				? []
				: [sql`(t.user_id = ${userId} OR t.user_id IS NULL)`]),
		],
		" AND ",
	);
	// Locked in one order, so that two of these never wait for each other.
	const locked = sql`SELECT t.id FROM ${tableRef(table)} AS t WHERE ${conditions}${state} ORDER BY t.id FOR UPDATE`;
	if (change === "purge")
		return sql`WITH locked AS (${locked})
DELETE FROM ${tableRef(table)} AS t USING locked WHERE t.id = locked.id
RETURNING t.id`;
	const deletedAt = raw(change === "delete" ? "now()" : "NULL");
	return sql`WITH locked AS (${locked})
UPDATE ${tableRef(table)} AS t SET deleted_at = ${deletedAt}, updated_at = now()
FROM locked WHERE t.id = locked.id
RETURNING t.id`;
}
