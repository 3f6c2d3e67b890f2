import type { Database, Handle } from "../db/database.ts";
import { embeddableTexts, embeddingQueueRef } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { empty, raw, type Sql, sql } from "../sql.ts";
import { hasCurrentVector, spaceRow } from "../vectors/queue-texts.ts";
import { awaitWriters, isSpace, type Target } from "./models.ts";

/** Rows of one statement: hashing their texts takes some tens of milliseconds. */
const pageSize = 5000;

/**
 * Compares every text with its vector and queues those that lack theirs: also
 * those that no trigger noticed, such as rows that are older than the triggers. Returns
 * the tokens that all of them have.
 */
export async function queueMissing(
	db: Handle,
	target: Target,
	signal: AbortSignal | undefined,
): Promise<number> {
	let sum = 0;
	const skipped: string[] = [];
	for await (const page of pagesOf(db, target.table, signal)) {
		const found = await queuePage(db, target, { page, wait: "SKIP LOCKED" });
		sum += found.tokens;
		skipped.push(...found.skipped);
	}
	if (skipped.length === 0) return sum;
	await awaitWriters(db, target.table, signal);
	const ids = encodeArray("uuid", skipped);
	const page = sql`r.id = ANY (${ids}::uuid[])`;
	const again = await queuePage(db, target, { page, wait: "SKIP LOCKED" });
	// One row at a time: no lock is owned that its writer could wait for.
	for (const id of again.skipped) {
		signal?.throwIfAborted();
		await queuePage(db, target, { page: sql`r.id = ${id}::uuid`, wait: "" });
	}
	return sum;
}

interface QueuedPage {
	/** Of all texts that lack their vector. */
	readonly tokens: number;
	/** Rows that have such texts, and that another client is writing. */
	readonly skipped: readonly string[];
}

/**
 * The rows are locked first: a client that writes one has locked its place in the
 * queue as well, and waiting for that while it waits for us would be a deadlock.
 */
async function queuePage(
	db: Handle,
	{ table, space }: Target,
	{ page, wait }: { page: Sql; wait: "SKIP LOCKED" | "" },
): Promise<QueuedPage> {
	const { rows } = await db.query<MissingText>(sql`
SELECT m.id, m.field_name AS field, m.tokens::float8 AS tokens FROM (${missing(table, space, page)}) AS m ORDER BY m.id, m.field_name`);
	if (rows.length === 0) return { tokens: 0, skipped: [] };
	const ids = [...new Set(rows.map(({ id }) => id))];
	const lockAndQueue = async (tx: Handle) => {
		const locked = await tx.query<{ id: string }>(sql`
SELECT r.id FROM ${tableRef(table)} AS r WHERE r.id = ANY (${encodeArray("uuid", ids)}::uuid[]) ORDER BY r.id FOR SHARE ${raw(wait)}`);
		const free = new Set(locked.rows.map(({ id }) => id));
		await tx.query(
			queueSql(
				{ table, space },
				rows.filter(({ id }) => free.has(id)),
			),
		);
		return free;
	};
	const open = await db.transaction(lockAndQueue, { retries });
	return {
		tokens: rows.reduce((sum, { tokens }) => sum + tokens, 0),
		skipped: ids.filter((id) => !open.has(id)),
	};
}

/** A client that writes the rows by a statement of its own may lock them in another order. */
const retries = 5;

interface MissingText {
	readonly id: string;
	readonly field: string;
	/** Estimated. */
	readonly tokens: number;
}

function queueSql(
	{ table, space }: Target,
	texts: readonly MissingText[],
): Sql {
	const { provider, model, dimensions } = space;
	const ids = encodeArray(
		"uuid",
		texts.map(({ id }) => id),
	);
	const fields = encodeArray(
		"text",
		texts.map(({ field }) => field),
	);
	return sql`
INSERT INTO ${embeddingQueueRef(table.schema)} (entity_type, entity_id, field_name, provider, model, dimensions)
SELECT ${table.entity.tableName}::text, m.id, m.field_name, ${provider}::text, ${model}::text, ${dimensions}::integer
FROM unnest(${ids}::uuid[], ${fields}::text[]) AS m (id, field_name)
ON CONFLICT DO NOTHING`;
}

export interface TextEstimate {
	readonly texts: number;
	/** Estimated, rather too many than too few. */
	readonly tokens: number;
}

/** What {@link queueMissing} would find. */
export async function estimateMissing(
	db: Handle,
	{ table, space }: Target,
	signal?: AbortSignal,
): Promise<TextEstimate> {
	let sum: TextEstimate = { texts: 0, tokens: 0 };
	for await (const page of pagesOf(db, table, signal)) {
		const { rows } = await db.query<TextEstimate>(sql`
SELECT count(*) AS texts, coalesce(sum(m.tokens), 0)::bigint AS tokens
FROM (${missing(table, space, page)}) AS m`);
		const { texts = 0, tokens: found = 0 } = rows[0] ?? {};
		sum = { texts: sum.texts + texts, tokens: sum.tokens + found };
	}
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

/** The conditions of one page of rows after the other, in the order of their ids. */
export async function* pagesOf(
	db: Handle,
	table: EntityTable,
	signal: AbortSignal | undefined,
): AsyncGenerator<Sql> {
	let after = empty;
	for (;;) {
		signal?.throwIfAborted();
		const { rows } = await db.query<{ id: string }>(sql`
SELECT r.id FROM ${tableRef(table)} AS r WHERE TRUE${after} ORDER BY r.id OFFSET ${pageSize - 1} LIMIT 1`);
		const last = rows[0]?.id;
		const upTo = last === undefined ? empty : sql` AND r.id <= ${last}::uuid`;
		yield sql`TRUE${after}${upTo}`;
		if (last === undefined) return;
		after = sql` AND r.id > ${last}::uuid`;
	}
}

/**
 * Removes vectors whose text is gone, or whose row is another tenant's or user's
 * now; returns how many. Rows that another client is writing are left for the next call.
 */
export async function removeOrphans(
	db: Database,
	table: EntityTable,
	space: VectorSpace,
): Promise<number> {
	const embeddings = embeddingsRef(table);
	const tenant = raw(table.entity.tenantScoped ? "r.tenant_id" : "'*'");
	const isOrphan = sql`${isSpace("e", space)} AND NOT EXISTS (
  SELECT FROM ${tableRef(table)} AS r CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
  WHERE r.id = e.entity_id AND f.field_name = e.field_name
    AND (e.tenant_id, e.user_id) IS NOT DISTINCT FROM (${tenant}, r.user_id))`;
	const { rows } = await db.query<{ id: string }>(
		sql`SELECT DISTINCT e.entity_id AS id FROM ${embeddings} AS e WHERE ${isOrphan}`,
	);
	if (rows.length === 0) return 0;
	const ids = encodeArray(
		"uuid",
		rows.map(({ id }) => id),
	);
	const lockAndDelete = async (tx: Handle) => {
		// A client that restores the text waits until the vector is gone, and then queues it.
		const locked = await tx.query<{ id: string }>(
			sql`SELECT r.id FROM ${tableRef(table)} AS r WHERE r.id = ANY (${ids}::uuid[]) FOR SHARE SKIP LOCKED`,
		);
		const lockedIds = encodeArray(
			"uuid",
			locked.rows.map(({ id }) => id),
		);
		const { rowCount } = await tx.query(
			sql`DELETE FROM ${embeddings} AS e WHERE e.entity_id = ANY (${lockedIds}::uuid[]) AND ${isOrphan}`,
		);
		return rowCount;
	};
	return db.transaction(lockAndDelete, { retries });
}
