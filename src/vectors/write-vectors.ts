import { encodeArray, encodeVectorArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { empty, ident, join, literal, type Sql, sql } from "../sql.ts";

/** The vector of one field's whole text. */
export interface FieldVector {
	readonly entityId: string;
	readonly field: string;
	readonly contentHash: Buffer;
	readonly vector: Float32Array;
}

/**
 * Stores vectors in one statement. A vector is only stored while the text still
 * has the hash it was made from: the row is locked and looked at, so that a
 * vector of an older text never wins.
 *
 * @param isLocked the caller's transaction has written these rows, so that
 *   nobody else can: the look is saved
 */
export function writeVectorsSql(
	table: EntityTable,
	space: VectorSpace,
	vectors: readonly FieldVector[],
	vectorOid: number,
	isLocked: boolean,
): Sql {
	const ids = encodeArray(
		"uuid",
		vectors.map(({ entityId }) => entityId),
	);
	const fields = encodeArray(
		"text",
		vectors.map(({ field }) => field),
	);
	const hashes = encodeArray(
		"bytea",
		vectors.map(({ contentHash }) => contentHash),
	);
	const embeddings = encodeVectorArray(
		vectorOid,
		vectors.map(({ vector }) => vector),
	);
	const guard = isLocked
		? empty
		: sql`
    AND r.deleted_at IS NULL AND sha256(convert_to(${fieldText(table, vectors)}, 'UTF8')) = i.content_hash
  FOR SHARE OF r`;
	// unnest in the SELECT list streams; in FROM it would first copy every vector
	// into a tuplestore, which took 15 % longer.
	return sql`INSERT INTO ${embeddingsRef(table)}
  (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, embedding)
SELECT w.entity_id, w.tenant_id, w.user_id, w.field_name, ${space.provider}::text, ${space.model}::text,
  ${space.dimensions}::integer, w.content_hash, 0, w.embedding
FROM (
  SELECT i.*, ${table.entity.tenantScoped ? sql`r.tenant_id` : sql`'*' AS tenant_id`}, r.user_id
  FROM (
    SELECT unnest(${ids}::uuid[]) AS entity_id, unnest(${fields}::text[]) AS field_name,
      unnest(${hashes}::bytea[]) AS content_hash, unnest(${embeddings}::vector[]) AS embedding
  ) AS i
  JOIN ${tableRef(table)} AS r ON r.id = i.entity_id${guard}
) AS w
ON CONFLICT (entity_id, field_name, provider, model, dimensions, chunk) DO UPDATE SET
  embedding = excluded.embedding, content_hash = excluded.content_hash, updated_at = now()`;
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
	return sql`CASE i.field_name ${join(cases, " ")} END`;
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
	const ids = encodeArray(
		"uuid",
		texts.map(({ entityId }) => entityId),
	);
	const fields = encodeArray(
		"text",
		texts.map(({ field }) => field),
	);
	const hashes = encodeArray(
		"bytea",
		texts.map(({ contentHash }) => contentHash),
	);
	return sql`DELETE FROM ${embeddingsRef(table)} AS e
USING unnest(${ids}::uuid[], ${fields}::text[], ${hashes}::bytea[]) AS i (entity_id, field_name, content_hash)
WHERE e.entity_id = i.entity_id AND e.field_name = i.field_name
  AND e.content_hash IS DISTINCT FROM i.content_hash`;
}
