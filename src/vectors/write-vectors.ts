import { encodeArray, encodeVectorArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { PassageVector, VectorSpace } from "../models/vector.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { type EntityField, textArrays } from "./texts.ts";

/** A vector of one field's text, or of a passage of it. */
export interface FieldVector extends PassageVector, EntityField {
	/** sha256 of the field's whole text. */
	readonly contentHash: Buffer;
	/** Which passage of the text, from 0. */
	readonly chunk: number;
}

/** A vector that was stored. */
export interface StoredVector extends EntityField {
	readonly chunk: number;
	/** Whether it replaced an older one. */
	readonly isReplaced: boolean;
}

/**
 * How the rows of the texts are protected against other writers:
 * - `new`: the transaction inserted them, so that they have no vectors yet;
 * - `locked`: the transaction wrote them;
 * - `wait`: not yet; rows that another transaction is writing are waited for;
 * - `skip`: not yet; rows that another transaction is writing are left out.
 */
export type RowLock = "new" | "locked" | "wait" | "skip";

/** Whether the caller's transaction wrote the rows, so that no other can. */
export function isWritten(rowLock: RowLock): boolean {
	return rowLock === "new" || rowLock === "locked";
}

interface WriteOptions {
	readonly space: VectorSpace;
	readonly rowLock: RowLock;
	/** The OID of the type `vector` in this database. */
	readonly vectorOid: number;
}

/**
 * Stores vectors in one statement, those of a text's passages one after the
 * other. A vector is only stored while the text still has the hash it was made
 * from: the row is locked and compared, so that a vector of an older text never
 * wins. What was stored is then returned as {@link StoredVector}; a text has one
 * `chunk` 0. Rows that the transaction wrote need no comparison, and nothing is
 * returned.
 */
export function writeVectorsSql(
	table: EntityTable,
	vectors: readonly FieldVector[],
	{ space, rowLock, vectorOid }: WriteOptions,
): Sql {
	const isOwn = isWritten(rowLock);
	const integers = (of: (vector: FieldVector) => number | null) =>
		sql`${encodeArray("integer", vectors.map(of))}::integer[]`;
	const embeddings = encodeVectorArray(
		vectorOid,
		vectors.map(({ vector }) => vector),
	);
	const arrays = hashedArrays(vectors);
	const { ids, fields, hashes } = arrays;
	const owner = isOwn
		? sql`${tableRef(table)} AS r ON r.id = i.entity_id`
		: sql`current AS r ON r.id = i.entity_id AND r.field_name = i.field_name`;
	const current = isOwn
		? empty
		: currentTexts(table, vectors, { arrays, rowLock });
	// unnest in the SELECT list streams; in FROM it would first copy every vector
	// into a tuplestore, which took 15 % longer.
	return sql`${current}INSERT INTO ${embeddingsRef(table)}
  (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, chunk_start, chunk_end, embedding)
SELECT i.entity_id, ${tenant(table)}, r.user_id, i.field_name, ${space.provider}::text, ${space.model}::text,
  ${space.dimensions}::integer, i.content_hash, i.chunk, i.chunk_start, i.chunk_end, i.embedding
FROM (
  SELECT unnest(${ids}) AS entity_id, unnest(${fields}) AS field_name, unnest(${hashes}) AS content_hash,
    unnest(${integers(({ chunk }) => chunk)}) AS chunk, unnest(${integers(({ start }) => start)}) AS chunk_start,
    unnest(${integers(({ end }) => end)}) AS chunk_end, unnest(${embeddings}::vector[]) AS embedding
) AS i
JOIN ${owner}${rowLock === "new" ? empty : replaceOlder}${isOwn ? empty : returnStored}`;
}

// Only where a conflict is possible: the check took a fifth of the server's time.
const replaceOlder = sql`
ON CONFLICT (entity_id, field_name, provider, model, dimensions, chunk) DO UPDATE SET
  embedding = excluded.embedding, content_hash = excluded.content_hash,
  chunk_start = excluded.chunk_start, chunk_end = excluded.chunk_end, updated_at = excluded.updated_at`;

const returnStored = sql`
RETURNING new.entity_id AS "entityId", new.field_name AS field, new.chunk, old.chunk IS NOT NULL AS "isReplaced"`;

function tenant({ entity }: EntityTable): Sql {
	return entity.tenantScoped ? sql`r.tenant_id` : literal("*");
}

/**
 * The texts that are unchanged, with their rows locked. Each is hashed once,
 * however many passages it has: a text of 10 MB has hundreds.
 */
function currentTexts(
	table: EntityTable,
	vectors: readonly FieldVector[],
	{ arrays, rowLock }: { arrays: HashedArrays; rowLock: RowLock },
): Sql {
	const texts = vectors.filter(({ entityId, field }, at) => {
		const before = vectors[at - 1];
		return before?.entityId !== entityId || before.field !== field;
	});
	// As a rule a text has one passage, and its arrays are encoded already.
	const { ids, fields, hashes } =
		texts.length === vectors.length ? arrays : hashedArrays(texts);
	const tenantId = table.entity.tenantScoped ? sql`r.tenant_id, ` : empty;
	return sql`WITH current AS MATERIALIZED (
  SELECT r.id, ${tenantId}r.user_id, t.field_name
  FROM unnest(${ids}, ${fields}, ${hashes}) AS t (entity_id, field_name, content_hash)
  JOIN ${tableRef(table)} AS r ON r.id = t.entity_id
  WHERE r.deleted_at IS NULL AND sha256(convert_to(${fieldText(table, vectors)}, 'UTF8')) = t.content_hash
  ORDER BY r.id FOR SHARE OF r${raw(rowLock === "skip" ? " SKIP LOCKED" : "")}
)
`;
}

/** The row's present text of the field that a vector is for. */
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

/** A text as it is now. */
export interface CurrentText extends EntityField {
	/** sha256 of the text; `null`: there is no text. */
	readonly contentHash: Buffer | null;
	/** How many vectors of it were stored; `undefined`: none were. */
	readonly chunks?: number;
}

/**
 * Removes the vectors, of any model, of older texts; and those of the space that
 * belong to passages which the same text no longer has.
 */
export function deleteOutdatedSql(
	table: EntityTable,
	texts: readonly CurrentText[],
	space: VectorSpace | undefined,
): Sql {
	const { ids, fields, hashes } = hashedArrays(texts);
	const chunks = encodeArray(
		"integer",
		texts.map(({ chunks }) => chunks ?? null),
	);
	const isSurplus =
		space === undefined
			? empty
			: sql` OR e.chunk >= i.chunks AND e.provider = ${space.provider} AND e.model = ${space.model}
    AND e.dimensions = ${space.dimensions}`;
	return sql`DELETE FROM ${embeddingsRef(table)} AS e
USING unnest(${ids}, ${fields}, ${hashes}, ${chunks}::integer[]) AS i (entity_id, field_name, content_hash, chunks)
WHERE e.entity_id = i.entity_id AND e.field_name = i.field_name
  AND (e.content_hash IS DISTINCT FROM i.content_hash${isSurplus})`;
}

type HashedArrays = ReturnType<typeof hashedArrays>;

function hashedArrays(
	texts: readonly Pick<CurrentText, "entityId" | "field" | "contentHash">[],
) {
	const hashes = texts.map(({ contentHash }) => contentHash);
	return {
		...textArrays(texts),
		hashes: sql`${encodeArray("bytea", hashes)}::bytea[]`,
	};
}
