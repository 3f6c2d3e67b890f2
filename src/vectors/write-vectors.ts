import { encodeArray, encodeVectorArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { PassageVector } from "../models/passage-vector.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";

/** A vector of one field's text, or of a passage of it. */
export interface FieldVector extends PassageVector {
	readonly entityId: string;
	readonly field: string;
	/** That of the field's whole text. */
	readonly contentHash: Buffer;
	/** Which passage of the text, from 0. */
	readonly chunk: number;
}

/** A vector that was stored, by its place. */
export interface StoredVector {
	readonly entityId: string;
	readonly field: string;
	readonly chunk: number;
	/** Whether another was there before. */
	readonly isReplaced: boolean;
}

/** The rows that a text's vectors are stored as. */
export function chunksOf(
	{
		entityId,
		field,
		contentHash,
	}: Pick<FieldVector, "entityId" | "field" | "contentHash">,
	passages: readonly PassageVector[],
): FieldVector[] {
	// Name by name: spreading both took 3 µs for each of many thousands.
	return passages.map(({ vector, start, end }, chunk) => ({
		entityId,
		field,
		contentHash,
		vector,
		start,
		end,
		chunk,
	}));
}

/**
 * Of the rows that vectors belong to: made by the caller's transaction, so that
 * they have no vectors yet; written by it, so that nobody else can; or neither,
 * and those that somebody is writing are waited for (`open`) or left out (`skip`).
 */
export type RowHold = "new" | "locked" | "open" | "skip";

/**
 * Stores vectors in one statement, those of a text's passages one after the
 * other. A vector is only stored while the text still
 * has the hash it was made from: the row is locked and looked at, so that a
 * vector of an older text never wins. What was stored is then returned as
 * {@link StoredVector}; a text has one `chunk` 0. Of rows that are held the
 * look is saved, and nothing returned.
 */
export function writeVectorsSql(
	table: EntityTable,
	space: VectorSpace,
	vectors: readonly FieldVector[],
	vectorOid: number,
	hold: RowHold,
): Sql {
	const isHeld = hold === "new" || hold === "locked";
	const integers = (of: (vector: FieldVector) => number | null) =>
		sql`${encodeArray("integer", vectors.map(of))}::integer[]`;
	const embeddings = encodeVectorArray(
		vectorOid,
		vectors.map(({ vector }) => vector),
	);
	const arrays = textArrays(vectors);
	const { ids, fields, hashes } = arrays;
	const owner = isHeld
		? sql`${tableRef(table)} AS r ON r.id = i.entity_id`
		: sql`current AS r ON r.id = i.entity_id AND r.field_name = i.field_name`;
	// unnest in the SELECT list streams; in FROM it would first copy every vector
	// into a tuplestore, which took 15 % longer.
	return sql`${isHeld ? empty : currentTexts(table, vectors, arrays, hold)}INSERT INTO ${embeddingsRef(table)}
  (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, chunk_start, chunk_end, embedding)
SELECT i.entity_id, ${tenant(table)}, r.user_id, i.field_name, ${space.provider}::text, ${space.model}::text,
  ${space.dimensions}::integer, i.content_hash, i.chunk, i.chunk_start, i.chunk_end, i.embedding
FROM (
  SELECT unnest(${ids}) AS entity_id, unnest(${fields}) AS field_name, unnest(${hashes}) AS content_hash,
    unnest(${integers(({ chunk }) => chunk)}) AS chunk, unnest(${integers(({ start }) => start)}) AS chunk_start,
    unnest(${integers(({ end }) => end)}) AS chunk_end, unnest(${embeddings}::vector[]) AS embedding
) AS i
JOIN ${owner}${hold === "new" ? empty : replaceOlder}${isHeld ? empty : returnStored}`;
}

// A conflict that cannot be is not looked for: it took a fifth of the server's time.
const replaceOlder = sql`
ON CONFLICT (entity_id, field_name, provider, model, dimensions, chunk) DO UPDATE SET
  embedding = excluded.embedding, content_hash = excluded.content_hash,
  chunk_start = excluded.chunk_start, chunk_end = excluded.chunk_end, updated_at = now()`;

const returnStored = sql`
RETURNING new.entity_id AS "entityId", new.field_name AS field, new.chunk, old.chunk IS NOT NULL AS "isReplaced"`;

function tenant({ entity }: EntityTable): Sql {
	return entity.tenantScoped ? sql`r.tenant_id` : literal("*");
}

/**
 * The texts that are still what they were, and locked. Each is hashed once,
 * however many passages it has: a text of 10 MB has hundreds.
 */
function currentTexts(
	table: EntityTable,
	vectors: readonly FieldVector[],
	arrays: TextArrays,
	hold: RowHold,
): Sql {
	const texts = vectors.filter(({ entityId, field }, at) => {
		const before = vectors[at - 1];
		return before?.entityId !== entityId || before.field !== field;
	});
	// As a rule a text has one passage, and its arrays are encoded already.
	const { ids, fields, hashes } =
		texts.length === vectors.length ? arrays : textArrays(texts);
	const tenantId = table.entity.tenantScoped ? sql`r.tenant_id, ` : empty;
	return sql`WITH current AS MATERIALIZED (
  SELECT r.id, ${tenantId}r.user_id, t.field_name
  FROM unnest(${ids}, ${fields}, ${hashes}) AS t (entity_id, field_name, content_hash)
  JOIN ${tableRef(table)} AS r ON r.id = t.entity_id
  WHERE r.deleted_at IS NULL AND sha256(convert_to(${fieldText(table, vectors)}, 'UTF8')) = t.content_hash
  ORDER BY r.id FOR SHARE OF r${raw(hold === "skip" ? " SKIP LOCKED" : "")}
)
`;
}

/** The text that the row holds now in the field that a vector is for. */
function fieldText(table: EntityTable, vectors: readonly FieldVector[]): Sql {
	const names = new Set(vectors.map(({ field }) => field));
	const cases = table.entity.embedFields
		.filter(({ name }) => names.has(name))
		.map(
			({ name, column }) =>
				sql`WHEN ${literal(name)} THEN ${ident("r", column)}`,
		);
	return sql`CASE t.field_name ${join(cases, " ")} END`;
}

/** A text as it is now; `null`: there is none. */
export interface FieldText {
	readonly entityId: string;
	readonly field: string;
	readonly contentHash: Buffer | null;
}

/** Removes the vectors, of whatever model, that are not those of the texts as they are now. */
export function deleteStaleVectorsSql(
	table: EntityTable,
	texts: readonly FieldText[],
): Sql {
	const { ids, fields, hashes } = textArrays(texts);
	return sql`DELETE FROM ${embeddingsRef(table)} AS e
USING unnest(${ids}, ${fields}, ${hashes}) AS i (entity_id, field_name, content_hash)
WHERE e.entity_id = i.entity_id AND e.field_name = i.field_name
  AND e.content_hash IS DISTINCT FROM i.content_hash`;
}

/** A text whose vectors were stored anew, though it had not changed. */
export interface ChunkCount extends FieldText {
	readonly contentHash: Buffer;
	/** How many vectors it has now. */
	readonly chunks: number;
}

/** Removes the vectors of passages that the same text no longer has, since it was split in another way. */
export function deleteSurplusChunksSql(
	table: EntityTable,
	space: VectorSpace,
	texts: readonly ChunkCount[],
): Sql {
	const { ids, fields, hashes } = textArrays(texts);
	const counts = encodeArray(
		"integer",
		texts.map(({ chunks }) => chunks),
	);
	return sql`DELETE FROM ${embeddingsRef(table)} AS e
USING unnest(${ids}, ${fields}, ${hashes}, ${counts}::integer[]) AS i (entity_id, field_name, content_hash, chunks)
WHERE e.entity_id = i.entity_id AND e.field_name = i.field_name
  AND e.provider = ${space.provider} AND e.model = ${space.model} AND e.dimensions = ${space.dimensions}
  AND e.content_hash = i.content_hash AND e.chunk >= i.chunks`;
}

interface TextArrays {
	readonly ids: Sql;
	readonly fields: Sql;
	readonly hashes: Sql;
}

function textArrays(texts: readonly FieldText[]): TextArrays {
	const ids = texts.map(({ entityId }) => entityId);
	const fields = texts.map(({ field }) => field);
	const hashes = texts.map(({ contentHash }) => contentHash);
	return {
		ids: sql`${encodeArray("uuid", ids)}::uuid[]`,
		fields: sql`${encodeArray("text", fields)}::text[]`,
		hashes: sql`${encodeArray("bytea", hashes)}::bytea[]`,
	};
}
