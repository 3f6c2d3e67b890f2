import type { Handle } from "../db/database.ts";
import { sendInTurn } from "../db/in-turn.ts";
import { RemError } from "../errors.ts";
import type { PassageVector } from "../models/passage-vector.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { EntityField } from "../vectors/queue-texts.ts";
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
import type { PlannedRow } from "./plan-rows.ts";
import type { Prepared, TextVectors } from "./prepare.ts";

export interface WrittenTexts {
	/** How many texts were given their vector. */
	readonly written: number;
	/** Those of rows that the batch did not write: these are locked since, and only these. */
	readonly ofOpenRows: readonly EntityField[];
}

/** Stores new vectors and removes stale ones. */
export async function writeTexts(
	tx: Handle,
	table: EntityTable,
	prepared: Prepared,
	ids: readonly string[],
): Promise<WrittenTexts> {
	const { rows, space } = prepared;
	const ofOpenRows: EntityField[] = [];
	if (!table.entity.createEmbeddings) return { written: 0, ofOpenRows };
	const withId = rows.map((row, index) => ({ row, id: ids[index] as string }));
	let sum = 0;
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
			sum += written.texts.length;
			if (hold === "open") ofOpenRows.push(...written.texts);
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
	return { written: sum, ofOpenRows };
}

export function holdOf({ storedId, isChanged }: PlannedRow): RowHold {
	if (storedId === undefined) return "new";
	return isChanged ? "locked" : "open";
}

interface WrittenVectors {
	/** Texts that have got their vectors. */
	readonly texts: readonly EntityField[];
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
	const texts: EntityField[] = [];
	const replaced = new Set<string>();
	const vectorOid = vectors.length === 0 ? 0 : await tx.vectorOid();
	await sendInTurn(
		tx,
		vectors,
		(slice) => writeVectorsSql(table, space, slice, vectorOid, hold),
		({ rows, rowCount }, slice) => {
			if (hold !== "open") {
				checkAllStored(table, rowCount, slice.length);
				texts.push(...slice.filter(({ chunk }) => chunk === 0));
				return;
			}
			for (const stored of rows as unknown as StoredVector[]) {
				if (stored.chunk !== 0) continue;
				texts.push(stored);
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
