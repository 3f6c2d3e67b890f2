import type { Handle } from "../db/database.ts";
import { embeddableTexts } from "../db/embeddable-texts.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { empty, type Sql, sql } from "../sql.ts";
import { hasCurrentVector, spaceRow } from "../vectors/queue-texts.ts";
import { isSpace } from "./models.ts";

/** Rows of one statement: hashing their texts takes some tens of milliseconds. */
const pageSize = 5000;

/**
 * Compares every text with its vector and queues those that lack theirs: also
 * what no trigger saw, such as rows that are older than the triggers. Returns
 * the tokens that all of them have.
 */
export async function queueMissing(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	signal: AbortSignal | undefined,
): Promise<number> {
	const queue = sql`INSERT INTO ${embeddingQueueRef(table.schema)}
    (entity_type, entity_id, field_name, provider, model, dimensions)
  SELECT ${table.entity.tableName}, m.id, m.field_name, m.provider, m.model, m.dimensions
  FROM missing AS m ORDER BY m.id, m.field_name
  ON CONFLICT DO NOTHING`;
	let sum = 0;
	await overPages(db, table, signal, async (page) => {
		const { rows } = await db.query<{ tokens: number }>(sql`
WITH missing AS MATERIALIZED (${missing(table, space, page)}), queued AS (${queue})
SELECT coalesce(sum(m.tokens), 0)::bigint AS tokens FROM missing AS m`);
		sum += rows[0]?.tokens ?? 0;
	});
	return sum;
}

export interface TextEstimate {
	readonly texts: number;
	/** Estimated, rather too many than too few. */
	readonly tokens: number;
}

/** What {@link queueMissing} would find. */
export async function estimateMissing(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	signal?: AbortSignal,
): Promise<TextEstimate> {
	let sum: TextEstimate = { texts: 0, tokens: 0 };
	await overPages(db, table, signal, async (page) => {
		const { rows } = await db.query<TextEstimate>(sql`
SELECT count(*) AS texts, coalesce(sum(m.tokens), 0)::bigint AS tokens
FROM (${missing(table, space, page)}) AS m`);
		const { texts = 0, tokens: found = 0 } = rows[0] ?? {};
		sum = { texts: sum.texts + texts, tokens: sum.tokens + found };
	});
	return sum;
}

/** As `estimateTokens` does it, from lengths alone: a third for an ASCII character, one for any other byte but the first. */
const tokens = sql`ceil(octet_length(f.content) - char_length(f.content)
  + greatest(0, 2 * char_length(f.content) - octet_length(f.content)) / 3.0)`;

function missing(table: EntityTable, space: VectorSpace, page: Sql): Sql {
	return sql`SELECT r.id, f.field_name, s.provider, s.model, s.dimensions, ${tokens} AS tokens
FROM ${tableRef(table)} AS r
CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
CROSS JOIN ${spaceRow(space)}
WHERE ${page} AND NOT ${hasCurrentVector(table)}`;
}

/** Calls back with the condition of one page of rows after the other, in the order of their ids. */
async function overPages(
	db: Handle,
	table: EntityTable,
	signal: AbortSignal | undefined,
	work: (page: Sql) => Promise<unknown>,
): Promise<void> {
	let after = empty;
	for (;;) {
		signal?.throwIfAborted();
		const { rows } = await db.query<{ id: string }>(sql`
SELECT r.id FROM ${tableRef(table)} AS r WHERE TRUE${after} ORDER BY r.id OFFSET ${pageSize - 1} LIMIT 1`);
		const last = rows[0]?.id;
		const upTo = last === undefined ? empty : sql` AND r.id <= ${last}::uuid`;
		await work(sql`TRUE${after}${upTo}`);
		if (last === undefined) return;
		after = sql` AND r.id > ${last}::uuid`;
	}
}

/** Removes vectors whose text is gone or is no text of the model any more; returns how many. */
export async function removeOrphans(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
): Promise<number> {
	const embeddings = embeddingsRef(table);
	const { rows } = await db.query<{ id: string; updatedAt: string }>(sql`
SELECT e.id, e.updated_at::text AS "updatedAt" FROM ${embeddings} AS e
WHERE ${isSpace("e", space)} AND NOT EXISTS (
  SELECT FROM ${tableRef(table)} AS r CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
  WHERE r.id = e.entity_id AND f.field_name = e.field_name)`);
	if (rows.length === 0) return 0;
	const ids = encodeArray(
		"uuid",
		rows.map(({ id }) => id),
	);
	const times = encodeArray(
		"text",
		rows.map(({ updatedAt }) => updatedAt),
	);
	// One that has been stored anew since has its text back.
	const { rowCount } = await db.query(sql`
DELETE FROM ${embeddings} AS e USING unnest(${ids}::uuid[], ${times}::text[]) AS i (id, updated_at)
WHERE e.id = i.id AND e.updated_at = i.updated_at::timestamptz`);
	return rowCount;
}
