import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { sendPipelined } from "../db/pipelined.ts";
import { embeddingsRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import type { PassageVector, VectorSpace } from "../models/vector.ts";
import { sql } from "../sql.ts";
import { type EntityField, textKey } from "./texts.ts";
import {
	type CurrentText,
	deleteOutdatedSql,
	type FieldVector,
	isWritten,
	type RowLock,
	type StoredVector,
	writeVectorsSql,
} from "./write-vectors.ts";

/** A text with its new vectors: one of the whole text, or one of each passage. */
export interface EmbeddedText extends EntityField {
	/** sha256 of the whole text. */
	readonly contentHash: Buffer;
	readonly passages: readonly PassageVector[];
}

interface VectorsToStore {
	readonly texts: readonly EmbeddedText[];
	readonly space: VectorSpace;
	readonly rowLock: RowLock;
}

/**
 * Stores the vectors of texts in the caller's transaction, then removes the
 * vectors that they replace: of an older text, and of passages that the text no
 * longer has. Returns the texts whose vectors were stored.
 */
export async function storeVectors(
	tx: Handle,
	table: EntityTable,
	{ texts, space, rowLock }: VectorsToStore,
): Promise<readonly EmbeddedText[]> {
	if (texts.length === 0) return [];
	const vectorOid = await tx.vectorOid();
	/** By the text's key, whether it had vectors before. */
	const returned = new Map<string, boolean>();
	await sendPipelined<FieldVector, StoredVector>(tx, vectorsOf(texts), {
		build: (slice) =>
			writeVectorsSql(table, slice, { space, rowLock, vectorOid }),
		onResult: ({ rows, rowCount }, slice) => {
			if (isWritten(rowLock)) checkAllStored(table, rowCount, slice.length);
			for (const row of rows)
				if (row.chunk === 0) returned.set(textKey(row), row.isReplaced);
		},
	});
	const stored = isWritten(rowLock)
		? texts
		: texts.filter((text) => returned.has(textKey(text)));
	// A new row has no older vectors. The text of a row that the caller did not
	// write is the same as before, and so are vectors that were not replaced.
	if (rowLock !== "new")
		await removeOutdated(tx, table, {
			texts: stored
				.filter((text) => rowLock !== "wait" || returned.get(textKey(text)))
				.map((text) => ({ ...text, chunks: text.passages.length })),
			space,
		});
	return stored;
}

interface OutdatedVectors {
	readonly texts: readonly CurrentText[];
	/** Where their new vectors are, if there are any. */
	readonly space: VectorSpace | undefined;
}

/** Removes the vectors that are not those of the texts as they are now. */
export async function removeOutdated(
	tx: Handle,
	table: EntityTable,
	{ texts, space }: OutdatedVectors,
): Promise<void> {
	await sendPipelined(tx, texts, {
		build: (slice) => deleteOutdatedSql(table, slice, space),
	});
}

interface VectorsToRemove {
	readonly ids: readonly string[];
	readonly fields: readonly string[];
	readonly space: VectorSpace;
}

/** Removes the vectors of a model that fields of rows have, whatever their texts. */
export async function removeVectors(
	tx: Handle,
	table: EntityTable,
	{ ids, fields, space }: VectorsToRemove,
): Promise<void> {
	const { provider, model, dimensions } = space;
	await tx.query(sql`DELETE FROM ${embeddingsRef(table)}
WHERE entity_id = ANY (${encodeArray("uuid", ids)}::uuid[]) AND field_name = ANY (${encodeArray("text", fields)}::text[])
  AND (provider, model, dimensions) = (${provider}, ${model}, ${dimensions}::integer)`);
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

/** The rows that the vectors of texts are stored as. */
function* vectorsOf(texts: readonly EmbeddedText[]): Generator<FieldVector> {
	// Name by name: spreading both took 3 µs for each of many thousands.
	for (const { entityId, field, contentHash, passages } of texts)
		for (const [chunk, { vector, start, end }] of passages.entries())
			yield { entityId, field, contentHash, vector, start, end, chunk };
}
