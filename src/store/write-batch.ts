import type { Handle } from "../db/database.ts";
import { sendInTurn } from "../db/in-turn.ts";
import { RemError } from "../errors.ts";
import type { PassageVector } from "../models/passage-vector.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { uuidv7 } from "../util/uuid.ts";
import {
	anyQueuedSql,
	type EntityField,
	queueTextsSql,
	settleTextsSql,
} from "../vectors/queue-texts.ts";
import {
	type ChunkCount,
	chunksOf,
	deleteStaleVectorsSql,
	deleteSurplusChunksSql,
	type FieldText,
	type FieldVector,
	type RowHold,
	type StoredVector,
	writeVectorsSql,
} from "../vectors/write-vectors.ts";
import type { MergeField } from "./merge.ts";
import type { PlannedRow } from "./plan-rows.ts";
import { isFoundByKey } from "./read-stored.ts";
import type { UpsertResult } from "./upsert-result.ts";
import { readWritten, type WrittenRow, writeRowsSql } from "./write-rows.ts";

/** By the hash of a text: its vector, or those of its passages. */
export type TextVectors = ReadonlyMap<string, readonly PassageVector[]>;

/** A batch that only needs a transaction. */
export interface Prepared {
	/** As validated, duplicates included. */
	readonly input: readonly ValidRow[];
	/** One row for each row of the database, in the order of locking. */
	readonly rows: readonly PlannedRow[];
	/** For each row of the input, its place in `rows`. */
	readonly places: readonly number[];
	readonly space: VectorSpace | undefined;
	/** Vectors by the hash of their text. */
	readonly vectors: TextVectors;
}

/** Another writer made, changed or deleted a row between our look and our lock: look again. */
export class RowChanged extends Error {}

/** Writes rows, then their vectors; the caller's transaction makes it one. */
export async function writeBatch(
	tx: Handle,
	table: EntityTable,
	prepared: Prepared,
	merge: readonly MergeField[],
): Promise<UpsertResult> {
	const { input, rows, places } = prepared;
	// A row that is taken for stored may be deleted by now: it then needs an id
	// of its own, so every row is sent with a new one.
	const ids = rows.map(({ row }) => row.id ?? uuidv7());
	const inserted = await writeChangedRows(tx, table, rows, ids, merge);
	const embeddingsGenerated = await writeTexts(tx, table, prepared, ids);
	const embeddingsQueued = await queueRest(tx, table, prepared, ids);
	return {
		inserted,
		updated: rows.length - inserted,
		unchanged: rows.filter(({ isChanged }) => !isChanged).length,
		duplicates: input.length - rows.length,
		embeddingsGenerated,
		embeddingsReused: rows.reduce((sum, row) => sum + row.reused, 0),
		embeddingsQueued,
		kvEntries: table.entity.createKvTrigger
			? rows.filter(({ hasKey }) => hasKey).length
			: 0,
		ids: places.map((place) => ids[place] as string),
	};
}

/** Returns how many were new; `ids` become those that the database has. */
async function writeChangedRows(
	tx: Handle,
	table: EntityTable,
	rows: readonly PlannedRow[],
	ids: string[],
	merge: readonly MergeField[],
): Promise<number> {
	const changed = rows.flatMap((planned, index) => {
		const { row, isChanged, storedId } = planned;
		const id = ids[index] as string;
		if (!isChanged) ids[index] = storedId ?? id;
		return isChanged ? [{ row, id, planned, index }] : [];
	});
	let inserted = 0;
	for (const arbiter of ["key", "id"] as const)
		await sendInTurn(
			tx,
			changed.filter(({ row }) => isFoundByKey(row) === (arbiter === "key")),
			(slice) => writeRowsSql(table, slice, { arbiter, merge }),
			(result, slice) => {
				const written = readWritten(table, slice, result);
				slice.forEach(({ planned, index }, at) => {
					const row = written[at] as WrittenRow;
					checkUnchangedSince(planned, row);
					ids[index] = row.id;
					if (row.inserted) inserted++;
				});
			},
		);
	return inserted;
}

/** What we planned by what we read: a row or text that is another now needs another plan. */
function checkUnchangedSince(planned: PlannedRow, written: WrittenRow): void {
	const handled = new Set(planned.touched.map(({ field }) => field));
	const cameOrWent = written.inserted !== (planned.storedId === undefined);
	if (cameOrWent || written.changedTexts.some((name) => !handled.has(name)))
		throw new RowChanged();
}

/** Stores new vectors and removes stale ones; returns how many texts were given theirs. */
async function writeTexts(
	tx: Handle,
	table: EntityTable,
	prepared: Prepared,
	ids: readonly string[],
): Promise<number> {
	const { rows, space } = prepared;
	if (!table.entity.createEmbeddings) return 0;
	const withId = rows.map((row, index) => ({ row, id: ids[index] as string }));
	let stored = 0;
	if (space !== undefined) {
		for (const hold of ["new", "locked", "open"] as const) {
			const held = withId.filter(({ row }) => holdOf(row) === hold);
			const written = await writeVectors(
				tx,
				table,
				space,
				held.flatMap(({ row, id }) => vectorsOf(prepared, row, id)),
				hold,
			);
			stored += written.texts;
			await sendInTurn(
				tx,
				held
					.flatMap(({ row, id }) => textsSplitAnew(prepared, row, id))
					.filter((text) => written.mayReplace(text)),
				(slice) => deleteSurplusChunksSql(table, space, slice),
				() => {},
			);
		}
	}
	await sendInTurn(
		tx,
		withId.flatMap(({ row, id }) => staleTexts(row, id)),
		(slice) => deleteStaleVectorsSql(table, slice),
		() => {},
	);
	return stored;
}

function holdOf({ storedId, isChanged }: PlannedRow): RowHold {
	if (storedId === undefined) return "new";
	return isChanged ? "locked" : "open";
}

interface WrittenVectors {
	/** How many texts have got their vectors. */
	readonly texts: number;
	/** Whether the text may have had vectors already, and so more than now. */
	mayReplace(text: EntityField): boolean;
}

async function writeVectors(
	tx: Handle,
	table: EntityTable,
	space: VectorSpace,
	vectors: readonly FieldVector[],
	hold: RowHold,
): Promise<WrittenVectors> {
	let texts = 0;
	const replaced = new Set<string>();
	const vectorOid = vectors.length === 0 ? 0 : await tx.vectorOid();
	await sendInTurn(
		tx,
		vectors,
		(slice) => writeVectorsSql(table, space, slice, vectorOid, hold),
		({ rows, rowCount }, slice) => {
			if (hold !== "open") {
				checkAllStored(table, rowCount, slice.length);
				texts += slice.filter(({ chunk }) => chunk === 0).length;
				return;
			}
			for (const stored of rows as unknown as StoredVector[]) {
				if (stored.chunk !== 0) continue;
				texts++;
				if (stored.isReplaced) replaced.add(textKey(stored));
			}
		},
	);
	return {
		texts,
		mayReplace: (text) => hold !== "open" || replaced.has(textKey(text)),
	};
}

function checkAllStored(
	{ entity }: EntityTable,
	stored: number,
	sent: number,
): void {
	if (stored === sent) return;
	throw new RemError(
		"DATABASE",
		`${stored} of ${sent} vectors of "${entity.tableName}" were stored`,
		{ hint: "nothing was written; a trigger of yours may have removed rows" },
	);
}

function textKey({ entityId, field }: EntityField): string {
	return `${entityId} ${field}`;
}

function vectorsOf(
	{ vectors }: Prepared,
	row: PlannedRow,
	entityId: string,
): FieldVector[] {
	return row.texts.flatMap(({ field, hash, hashBytes, ready }) =>
		chunksOf(
			{ entityId, field, contentHash: hashBytes },
			passagesOf(vectors, hash, ready),
		),
	);
}

/** A ready vector is that of the whole text. */
function passagesOf(
	vectors: TextVectors,
	hash: string,
	ready: Float32Array | undefined,
): readonly PassageVector[] {
	return ready === undefined
		? (vectors.get(hash) ?? [])
		: [{ vector: ready, start: null, end: null }];
}

/** Texts that are what they were: their older vectors are not stale, but may be more than the new ones. */
function textsSplitAnew(
	{ vectors }: Prepared,
	row: PlannedRow,
	entityId: string,
): ChunkCount[] {
	if (row.storedId === undefined) return [];
	const touched = new Set(row.touched.map(({ field }) => field));
	return row.texts
		.filter(({ field }) => !touched.has(field))
		.map(({ field, hash, hashBytes, ready }) => ({
			entityId,
			field,
			contentHash: hashBytes,
			chunks: passagesOf(vectors, hash, ready).length,
		}));
}

/** A new row has no older vectors. */
function staleTexts(row: PlannedRow, entityId: string): FieldText[] {
	if (row.storedId === undefined) return [];
	return row.touched.map(({ field, hashBytes }) => ({
		entityId,
		field,
		contentHash: hashBytes,
	}));
}

/**
 * The queue's part: what now has its vector, or no text, waits no longer; what
 * was left without one does. Returns how many were queued.
 */
async function queueRest(
	tx: Handle,
	table: EntityTable,
	{ rows, space, vectors }: Prepared,
	ids: readonly string[],
): Promise<number> {
	if (space === undefined) return 0;
	const fields = (
		of: (row: PlannedRow) => readonly string[],
		chosen: (row: PlannedRow) => boolean = () => true,
	) =>
		rows.flatMap((row, index): EntityField[] =>
			chosen(row)
				? of(row).map((field) => ({ entityId: ids[index] as string, field }))
				: [],
		);
	await settle(
		tx,
		table,
		// A new row was not in the queue.
		fields(handledFields, (row) => row.storedId !== undefined),
	);
	let queued = 0;
	const failed = fields(({ texts }) =>
		texts
			.filter(({ hash, ready }) => ready === undefined && !vectors.has(hash))
			.map(({ field }) => field),
	);
	for (const { texts, onlyKnown } of [
		{ texts: failed, onlyKnown: false },
		{ texts: fields(({ left }) => left), onlyKnown: true },
	])
		await sendInTurn(
			tx,
			texts,
			(slice) => queueTextsSql(table, space, slice, onlyKnown),
			({ rowCount }) => {
				queued += rowCount;
			},
		);
	return queued;
}

/** As a rule nothing waits, and that is asked first. */
async function settle(
	tx: Handle,
	table: EntityTable,
	texts: readonly EntityField[],
): Promise<void> {
	if (texts.length === 0 || !(await isQueued(tx, table))) return;
	await sendInTurn(
		tx,
		texts,
		(slice) => settleTextsSql(table, slice),
		() => {},
	);
}

async function isQueued(tx: Handle, table: EntityTable): Promise<boolean> {
	const { rows } = await tx.query(anyQueuedSql(table));
	return rows.length > 0;
}

/** Fields whose text is another now, or has got its vector. */
function handledFields({ touched, texts }: PlannedRow): string[] {
	return [...new Set([...touched, ...texts].map(({ field }) => field))];
}
