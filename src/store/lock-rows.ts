import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { sendInTurn } from "../db/in-turn.ts";
import { tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { type Sql, sql } from "../sql.ts";
import type { PlannedRow } from "./plan-rows.ts";
import { isFoundByKey } from "./read-stored.ts";

/**
 * Locks the stored rows of a batch that several statements touch: rows by key,
 * rows by id, and rows that only get vectors. Each statement locks in the order of
 * ids, but one after the other they do not. A batch of one kind needs no statement
 * more.
 */
export async function lockRows(
	tx: Handle,
	table: EntityTable,
	rows: readonly PlannedRow[],
): Promise<void> {
	const touched = rows.filter(
		({ storedId, isChanged, texts }) =>
			storedId !== undefined && (isChanged || texts.length > 0),
	);
	const kinds = new Set(
		touched.map(({ row, isChanged }) =>
			isChanged ? (isFoundByKey(row) ? "by key" : "by id") : "unchanged",
		),
	);
	if (kinds.size < 2) return;
	await sendInTurn(
		tx,
		touched.map(({ storedId }) => storedId as string),
		(ids) => lockSql(table, ids),
		() => {},
	);
}

function lockSql(table: EntityTable, ids: readonly string[]): Sql {
	return sql`SELECT FROM ${tableRef(table)} AS t
WHERE t.id = ANY (${encodeArray("uuid", ids)}::uuid[])
ORDER BY t.id FOR NO KEY UPDATE`;
}
