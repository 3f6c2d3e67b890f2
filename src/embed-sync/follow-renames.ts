import type { Handle } from "../db/database.ts";
import { embeddableTexts, textHash } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { type Sql, sql } from "../sql.ts";
import { settleTextsSql } from "../vectors/queue-texts.ts";
import type { EntityField } from "../vectors/texts.ts";
import { pagesOf } from "./find-missing.ts";
import { awaitWriters } from "./models.ts";

interface Renames {
	/** Its `embedFields` are those that may take vectors over: they embed, and their columns exist. */
	readonly table: EntityTable;
	/** The fields whose vectors may be of another field's text now. */
	readonly from: readonly string[];
}

/**
 * Moves vectors to the field that has their text now, as after a column was
 * renamed: where the hash that a vector was stored with is that of another field's
 * text in the same row, whatever the fields are called, and for every model. Such
 * a text is not embedded a second time. What it leaves, because no field has the
 * text or another client is writing the row, is removed and queued as usual.
 */
export async function followRenames(
	db: Handle,
	renames: Renames,
	signal: AbortSignal | undefined,
): Promise<void> {
	const { table } = renames;
	if (table.entity.embedFields.length === 0) return;
	const skipped: string[] = [];
	for await (const page of pagesOf(db, table, signal))
		skipped.push(
			...(await moveEach(db, renames, {
				ids: await misplaced(db, renames, page),
				signal,
			})),
		);
	if (skipped.length === 0) return;
	await awaitWriters(db, table, signal);
	await moveEach(db, renames, { ids: skipped, signal });
}

/** Rows of the page that have the vector of another field's text. */
async function misplaced(
	db: Handle,
	{ table, from }: Renames,
	page: Sql,
): Promise<string[]> {
	const fields = encodeArray("text", from);
	const { rows } = await db.query<{ id: string }>(sql`
SELECT r.id FROM ${tableRef(table)} AS r
WHERE ${page} AND EXISTS (
  SELECT FROM ${embeddingsRef(table)} AS e CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
  WHERE e.entity_id = r.id AND e.field_name = ANY (${fields}::text[]) AND e.chunk = 0
    AND f.field_name <> e.field_name AND ${textHash} = e.content_hash)
ORDER BY r.id`);
	return rows.map(({ id }) => id);
}

/** Rows of one statement: they are locked, and their vectors copied. */
const rowsPerMove = 500;

interface Move {
	readonly ids: readonly string[];
	readonly signal: AbortSignal | undefined;
}

async function moveEach(
	db: Handle,
	renames: Renames,
	{ ids, signal }: Move,
): Promise<string[]> {
	const skipped: string[] = [];
	for (let at = 0; at < ids.length; at += rowsPerMove) {
		signal?.throwIfAborted();
		skipped.push(...(await move(db, renames, ids.slice(at, at + rowsPerMove))));
	}
	return skipped;
}

/** Locks the rows, so that no client changes a text or stores a vector of it; returns those that another one has locked. */
async function move(
	db: Handle,
	renames: Renames,
	ids: readonly string[],
): Promise<string[]> {
	const { table } = renames;
	const lockAndMove = async (tx: Handle) => {
		const locked = await tx.query<{ id: string }>(sql`
SELECT r.id FROM ${tableRef(table)} AS r WHERE r.id = ANY (${encodeArray("uuid", ids)}::uuid[])
ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED`);
		const free = locked.rows.map(({ id }) => id);
		if (free.length === 0) return free;
		const { rows } = await tx.query<EntityField>(moveSql(renames, free));
		if (rows.length > 0) await tx.query(settleTextsSql(table, rows));
		return free;
	};
	const free = new Set(await db.transaction(lockAndMove, { retries: 5 }));
	return ids.filter((id) => !free.has(id));
}

/**
 * Removed before they are stored again, all at once: the fields may have changed
 * places. Of several fields that had the text, the vectors of one are taken; where
 * several fields have it now, each gets them.
 */
function moveSql({ table, from }: Renames, ids: readonly string[]): Sql {
	const embeddings = embeddingsRef(table);
	const rows = sql`${encodeArray("uuid", ids)}::uuid[]`;
	return sql`WITH texts AS MATERIALIZED (
  SELECT r.id AS entity_id, f.field_name, ${textHash} AS content_hash
  FROM ${tableRef(table)} AS r CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
  WHERE r.id = ANY (${rows})
), removed AS (
  DELETE FROM ${embeddings} AS e
  WHERE e.entity_id = ANY (${rows}) AND e.field_name = ANY (${encodeArray("text", from)}::text[])
    AND NOT EXISTS (SELECT FROM texts AS t
      WHERE t.entity_id = e.entity_id AND t.field_name = e.field_name AND t.content_hash = e.content_hash)
  RETURNING e.entity_id, e.tenant_id, e.user_id, e.field_name, e.provider, e.model, e.dimensions,
    e.content_hash, e.chunk, e.chunk_start, e.chunk_end, e.embedding
), moved AS MATERIALIZED (
  SELECT v.*, t.field_name AS to_field,
    rank() OVER (PARTITION BY v.entity_id, t.field_name, v.provider, v.model, v.dimensions ORDER BY v.field_name) AS place
  FROM removed AS v JOIN texts AS t ON t.entity_id = v.entity_id AND t.content_hash = v.content_hash
  WHERE NOT EXISTS (SELECT FROM ${embeddings} AS o
    WHERE o.entity_id = t.entity_id AND o.field_name = t.field_name AND o.content_hash = t.content_hash
      AND (o.provider, o.model, o.dimensions) = (v.provider, v.model, v.dimensions))
)
INSERT INTO ${embeddings} AS e
  (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, chunk_start, chunk_end, embedding)
SELECT m.entity_id, m.tenant_id, m.user_id, m.to_field, m.provider, m.model, m.dimensions,
  m.content_hash, m.chunk, m.chunk_start, m.chunk_end, m.embedding
FROM moved AS m WHERE m.place = 1
ON CONFLICT DO NOTHING
RETURNING e.entity_id AS "entityId", e.field_name AS field`;
}
