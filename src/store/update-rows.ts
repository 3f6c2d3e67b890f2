import type { Handle } from "../db/database.ts";
import { sendPipelined, slices } from "../db/pipelined.ts";
import { tableRef } from "../db/tables.ts";
import { whereSql } from "../filters/where.ts";
import { sharedTenant } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import { patchedKey, type ValidPatch } from "../models/validate-patch.ts";
import { type Sql, sql } from "../sql.ts";
import { valueAt } from "../util/present.ts";
import { asDrift, attempts, tooBusy, writeSettings } from "./batch-upsert.ts";
import { findRows, iterateRows } from "./find-rows.ts";
import type { PlannedRow } from "./plan-rows.ts";
import {
	type Prepared,
	prepare,
	type TextVectors,
	type UpsertOptions,
} from "./prepare.ts";
import { RowChanged } from "./read-stored.ts";
import type { UpdateResult } from "./upsert-result.ts";
import { checkUnchangedSince, lockIds, lockRows } from "./write-batch.ts";
import { type RowsChange, readUpdated, updateRowsSql } from "./write-rows.ts";
import { writeTexts } from "./write-texts.ts";

export interface RowsUpdate {
	/** Of live rows; it names their tenant, where they have one. */
	readonly filter: Readonly<Record<string, unknown>>;
	readonly patch: ValidPatch;
	/** `undefined` for entities without tenants. */
	readonly tenantId: string | undefined;
}

/**
 * Gives the rows that fulfil the filter the values of the patch, in one
 * transaction: read and compared, embedded what changed, then locked and
 * written. A row that another writer changed in between is read again, and
 * counts as what it is by then.
 */
export async function updateRows(
	db: Handle,
	table: EntityTable,
	update: RowsUpdate,
	options: UpsertOptions,
): Promise<UpdateResult> {
	const condition = sql`${whereSql(table, update.filter, "t")} AND t.deleted_at IS NULL`;
	const call = { db, table, options: { ...options, updatesOnly: true } };
	const filtersById = typeof update.filter.id === "string";
	let vectors: TextVectors | undefined;
	for (let attempt = 1; ; attempt++) {
		try {
			const rows = await rowsToUpdate(db, table, update, condition);
			const prepared = await prepare(call, rows, vectors);
			vectors = prepared.vectors;
			const [row] = rows;
			if (row === undefined) return nothingUpdated;
			return await db.transaction(
				async (tx) => {
					if (update.patch.needsRow)
						await checkLocked(tx, table, prepared, update.patch);
					return writeUpdate(tx, table, prepared, {
						row,
						condition,
						merge: options.merge,
					});
				},
				{
					retries: attempts,
					isLimited: true,
					// The rows of another filter may not fulfil it the second time.
					idempotent: filtersById,
					settings: writeSettings(table, prepared.space),
				},
			);
		} catch (error) {
			if (!(error instanceof RowChanged)) throw asDrift(table, error);
			if (attempt === attempts) throw tooBusy(table);
		}
	}
}

const nothingUpdated: UpdateResult = {
	updated: 0,
	unchanged: 0,
	embeddingsGenerated: 0,
	embeddingsReused: 0,
	embeddingsQueued: 0,
};

/** The rows as they would be validated, each with what the patch supplies. */
async function rowsToUpdate(
	db: Handle,
	table: EntityTable,
	{ filter, patch, tenantId }: RowsUpdate,
	condition: Sql,
): Promise<ValidRow[]> {
	const { entity } = table;
	const shared = {
		tenantId: tenantId ?? sharedTenant,
		userId: patch.userId ?? null,
		hasUserId: patch.userId !== undefined,
		supplied: patch.supplied,
		defaults: {},
		unwritable: patch.unwritable,
		vectors: patch.vectors,
	};
	const found: { readonly id: string; readonly key: string | null }[] = [];
	if (patch.needsRow)
		for await (const row of iterateRows(db, { table, filter }))
			found.push({
				id: String(row.id),
				key: patchedKey(entity, row, patch),
			});
	else {
		const { rows } = await db.query<{ id: string }>(
			sql`SELECT t.id FROM ${tableRef(table)} AS t WHERE ${condition} ORDER BY t.id`,
			{ idempotent: true },
		);
		for (const { id } of rows) found.push({ id, key: null });
	}
	return found.map((row, index) => ({ ...shared, ...row, index }));
}

/** Locks the rows and checks them once more: another writer may have changed what the patch was checked with. */
async function checkLocked(
	tx: Handle,
	table: EntityTable,
	{ rows }: Prepared,
	patch: ValidPatch,
): Promise<void> {
	const ids = storedIds(rows).sort();
	await lockIds(tx, table, ids);
	for (const slice of slices(ids))
		for (const row of await findRows(
			tx,
			{ table, filter: { id: { in: slice } } },
			{},
		))
			patchedKey(table.entity, row, patch);
}

function storedIds(rows: Prepared["rows"]): string[] {
	return rows.flatMap(({ storedId }) => storedId ?? []);
}

async function writeUpdate(
	tx: Handle,
	table: EntityTable,
	prepared: Prepared,
	change: RowsChange,
): Promise<UpdateResult> {
	const { rows } = prepared;
	const ids = storedIds(rows);
	await lockRows(tx, table, rows);
	await writeChanged(tx, table, rows, change);
	const texts = await writeTexts(tx, table, { ...prepared, ids });
	return {
		updated: rows.length,
		unchanged: rows.filter(({ isChanged }) => !isChanged).length,
		embeddingsGenerated: texts.embedded,
		embeddingsReused: rows.reduce((sum, row) => sum + row.reused, 0),
		embeddingsQueued: texts.queued,
	};
}

async function writeChanged(
	tx: Handle,
	table: EntityTable,
	rows: readonly PlannedRow[],
	change: RowsChange,
): Promise<void> {
	const changed = new Map(
		rows.flatMap((planned) =>
			planned.isChanged && planned.storedId !== undefined
				? [[planned.storedId, planned] as const]
				: [],
		),
	);
	await sendPipelined(tx, changed.keys(), {
		build: (ids) => updateRowsSql(table, ids, change),
		onResult: (result, ids) => {
			const written = readUpdated(table, change.row, result);
			if (written.length !== ids.length) throw new RowChanged();
			for (const row of written)
				checkUnchangedSince(valueAt(changed, row.id), row);
		},
	});
}
