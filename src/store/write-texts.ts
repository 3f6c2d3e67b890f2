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
	let ofOpenRows: readonly EntityField[] = [];
	if (!table.entity.createEmbeddings) return { written: 0, ofOpenRows };
	let sum = 0;
	if (space !== undefined) {
		for (const hold of ["new", "locked", "open"] as const) {
			const held = rows.flatMap((row, index) =>
				holdOf(row) === hold && row.texts.length > 0
					? [{ row, id: ids[index] as string }]
					: [],
			);
			if (held.length === 0) continue;
			const written = await writeVectors(
				tx,
				table,
				space,
				vectorsOf(prepared, held),
				hold,
			);
			sum += written.texts.length;
			if (hold === "open") ofOpenRows = written.texts;
			if (!written.mayReplaceAny) continue;
			await sendInTurn(
				tx,
				textsSplitAnew(prepared, held, written),
				(slice) => deleteSurplusChunksSql(table, space, slice),
				() => {},
			);
		}
	}
	await sendInTurn(
		tx,
		staleTexts(rows, ids),
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
	/** Whether any text may have had vectors already, and so more than now. */
	readonly mayReplaceAny: boolean;
	mayReplace(text: EntityField): boolean;
}

async function writeVectors(
	tx: Handle,
	table: EntityTable,
	space: VectorSpace,
	vectors: Iterable<FieldVector>,
	hold: RowHold,
): Promise<WrittenVectors> {
	const texts: EntityField[] = [];
	const replaced = new Set<string>();
	const vectorOid = await tx.vectorOid();
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
		mayReplaceAny: hold === "locked" || replaced.size > 0,
		mayReplace: (text) => hold === "locked" || replaced.has(textKey(text)),
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

/** A row, and the id it has by now. */
interface RowWithId {
	readonly row: PlannedRow;
	readonly id: string;
}

function* vectorsOf(
	{ vectors }: Prepared,
	rows: readonly RowWithId[],
): Generator<FieldVector> {
	for (const { row, id } of rows)
		for (const { field, hash, hashBytes, ready } of row.texts)
			yield* chunksOf(
				{ entityId: id, field, contentHash: hashBytes },
				passagesOf(vectors, hash, ready),
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
function* textsSplitAnew(
	{ vectors }: Prepared,
	rows: readonly RowWithId[],
	written: WrittenVectors,
): Generator<ChunkCount> {
	for (const { row, id } of rows)
		for (const { field, hash, hashBytes, ready } of row.texts) {
			if (row.touched.some((touched) => touched.field === field)) continue;
			const chunks = passagesOf(vectors, hash, ready).length;
			const text = { entityId: id, field, contentHash: hashBytes, chunks };
			if (written.mayReplace(text)) yield text;
		}
}

/** A new row has no older vectors. */
function* staleTexts(
	rows: readonly PlannedRow[],
	ids: readonly string[],
): Generator<FieldText> {
	for (const [index, { storedId, touched }] of rows.entries()) {
		if (storedId === undefined) continue;
		const entityId = ids[index] as string;
		for (const { field, hashBytes } of touched)
			yield { entityId, field, contentHash: hashBytes };
	}
}
