import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { sendPipelined } from "../db/pipelined.ts";
import { tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { type Sql, sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import { uuidv7 } from "../util/uuid.ts";
import {
	gatherFirstStatistics,
	rowsBeforeStatistics,
} from "./first-statistics.ts";
import type { MergeField } from "./merge.ts";
import type { PlannedRow } from "./plan-rows.ts";
import type { Prepared } from "./prepare.ts";
import { isFoundByKey, RowChanged } from "./read-stored.ts";
import type { UpsertResult } from "./upsert-result.ts";
import {
	type Arbiter,
	readWritten,
	type WrittenRow,
	writeRowsSql,
} from "./write-rows.ts";
import { writeTexts } from "./write-texts.ts";

/** Writes rows, then their vectors; the caller's transaction makes it one. */
export async function writeBatch(
	tx: Handle,
	table: EntityTable,
	{
		merge,
		boundUser,
		...prepared
	}: Prepared & Pick<RowsToWrite, "merge" | "boundUser">,
): Promise<UpsertResult> {
	const { input, rows, places, newId = uuidv7 } = prepared;
	// A row that is taken for stored may be deleted by now: it then needs an id
	// of its own, so every row that is sent has a new one.
	const ids = rows.map(({ row, isChanged, storedId }) =>
		isChanged || storedId === undefined ? (row.id ?? newId(row)) : storedId,
	);
	await lockRows(tx, table, rows);
	const inserted = await writeChangedRows(tx, table, {
		rows,
		ids,
		merge,
		boundUser,
	});
	const texts = await writeTexts(tx, table, { ...prepared, ids });
	return {
		inserted,
		updated: rows.length - inserted,
		unchanged: rows.filter(({ isChanged }) => !isChanged).length,
		duplicates: input.length - rows.length,
		embeddingsGenerated: texts.embedded,
		embeddingsReused: rows.reduce((sum, row) => sum + row.reused, 0),
		embeddingsQueued: texts.queued,
		kvEntries: table.entity.createKvTrigger
			? rows.filter(({ hasKey }) => hasKey).length
			: 0,
		ids: places.map((place) => elementAt(ids, place)),
	};
}

/**
 * Locks the stored rows of a batch that several statements touch: rows by key,
 * rows by id, and rows that only get vectors. Each statement locks in the order of
 * ids, but one after the other they do not. A batch of one kind needs no
 * further statement.
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
	const ids = touched.flatMap(({ storedId }) => storedId ?? []);
	await lockIds(tx, table, ids);
}

/** Locks rows that exist, in the order of their ids. */
export function lockIds(
	tx: Handle,
	table: EntityTable,
	ids: readonly string[],
): Promise<void> {
	return sendPipelined(tx, ids, { build: (slice) => lockSql(table, slice) });
}

function lockSql(table: EntityTable, ids: readonly string[]): Sql {
	return sql`SELECT FROM ${tableRef(table)} AS t
WHERE t.id = ANY (${encodeArray("uuid", ids)}::uuid[])
ORDER BY t.id FOR NO KEY UPDATE`;
}

interface RowsToWrite {
	readonly rows: readonly PlannedRow[];
	/** Of each row. */
	readonly ids: string[];
	readonly merge: readonly MergeField[];
	/** As of the rows' scope: whose rows they may be. */
	readonly boundUser: string | null | undefined;
}

/** Returns how many were new; `ids` become those that the database has. */
async function writeChangedRows(
	tx: Handle,
	table: EntityTable,
	{ rows, ids, merge, boundUser }: RowsToWrite,
): Promise<number> {
	const changed = rows.flatMap((planned, index) => {
		const { row, isChanged } = planned;
		return isChanged
			? [{ row, id: elementAt(ids, index), planned, index }]
			: [];
	});
	let inserted = 0;
	const send = (rows: typeof changed, arbiter: Arbiter) =>
		sendPipelined(tx, rows, {
			build: (slice) =>
				writeRowsSql(table, slice, { arbiter, merge, boundUser }),
			onResult: (result, slice) => {
				const written = readWritten(table, slice, result);
				slice.forEach(({ planned, index }, at) => {
					const row = elementAt(written, at);
					checkUnchangedSince(planned, row);
					ids[index] = row.id;
					if (row.inserted) inserted++;
				});
			},
		});
	for (const arbiter of ["key", "id"] as const) {
		const rows = changed.filter(
			({ row }) => isFoundByKey(row) === (arbiter === "key"),
		);
		await send(rows.slice(0, rowsBeforeStatistics), arbiter);
		if (rows.length <= rowsBeforeStatistics) continue;
		await gatherFirstStatistics(tx, table);
		await send(rows.slice(rowsBeforeStatistics), arbiter);
	}
	return inserted;
}

/** The plan depends on what was read: a row or text that has changed since needs another plan. */
export function checkUnchangedSince(
	planned: PlannedRow,
	written: WrittenRow,
): void {
	const handled = new Set(planned.touched.map(({ field }) => field));
	const cameOrWent = written.inserted !== (planned.storedId === undefined);
	if (cameOrWent || written.changedTexts.some((name) => !handled.has(name)))
		throw new RowChanged();
}
