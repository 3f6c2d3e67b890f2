import { randomUUID } from "node:crypto";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { kvReady } from "../schema/kv-ready.ts";
import { kvColumns } from "../schema/kv-trigger.ts";
import { ident, literal, type Sql, sql, toText } from "../sql.ts";
import { type KvSource, readKvSources } from "./sources.ts";

export interface RebuildResult {
	/** Rows that were missing and are there now. */
	readonly entries: number;
}

// A batch holds its row locks for a few milliseconds; measured under writers.
const batchSize = 1000;
const attempts = 10;

export async function isKvReady(db: Handle, schema: string): Promise<boolean> {
	const { rows } = await db.query<{ ready: boolean }>(
		sql`SELECT ${kvReady(schema)} AS ready`,
	);
	return rows[0]?.ready === true;
}

/**
 * Fills kv_store from the primary tables while writers go on, and marks it
 * ready. Any number of processes may do so at once: what makes it correct is
 * the lock on each row while it is copied (a writer goes first, or waits and
 * then sees the copy), and the token, which a crash erases with the cache.
 */
export async function rebuildKv(
	db: Handle,
	schema: string,
): Promise<RebuildResult> {
	let entries = 0;
	for (let attempt = 0; attempt < attempts; attempt++) {
		const token = await begin(db, schema);
		const sources = await readKvSources(db, schema);
		for (const source of sources)
			entries += await copyBatches(db, schema, source);
		for (const source of sources)
			entries += await copyMissing(db, schema, source);
		if (await finish(db, schema, token)) return { entries };
	}
	throw new RemError(
		"DATABASE",
		`kv_store was emptied ${attempts} times while it was being rebuilt`,
		{ hint: "LOOKUP answers from the primary tables; rebuild again later" },
	);
}

/** The token stands in UNLOGGED storage: a crash between here and the end takes it away. */
async function begin(db: Handle, schema: string): Promise<string> {
	const token = randomUUID();
	await db.query(sql`INSERT INTO ${kvState(schema)} (kind, token, filenode)
VALUES (${`rebuild:${token}`}, ${token}::uuid, ${kvFilenode(schema)})`);
	return token;
}

/** First pass: whatever nobody is writing at this moment, batch by batch in order of id. */
async function copyBatches(
	db: Handle,
	schema: string,
	{ view }: KvSource,
): Promise<number> {
	let copied = 0;
	let after = "00000000-0000-0000-0000-000000000000";
	for (;;) {
		const { rows } = await db.query<{ id: string }>(sql`
SELECT entity_id AS id FROM ${view} WHERE entity_id > ${after}::uuid
ORDER BY entity_id OFFSET ${batchSize - 1} LIMIT 1`);
		const last = rows[0]?.id;
		const upTo =
			last === undefined ? sql`` : sql` AND entity_id <= ${last}::uuid`;
		const result = await db.query(
			copySql(
				schema,
				view,
				sql`entity_id > ${after}::uuid${upTo} ORDER BY entity_id FOR SHARE SKIP LOCKED`,
			),
		);
		copied += result.rowCount;
		if (last === undefined) return copied;
		after = last;
	}
}

/** Second pass: what a writer held, one row and so one lock at a time, until none is left. */
async function copyMissing(
	db: Handle,
	schema: string,
	{ view, entityType }: KvSource,
): Promise<number> {
	let copied = 0;
	for (;;) {
		const { rows } = await db.query<{ id: string }>(sql`
SELECT s.entity_id AS id FROM ${view} AS s
WHERE NOT EXISTS (SELECT FROM ${kvStore(schema)} AS k
  WHERE k.entity_type = ${entityType} AND k.entity_id = s.entity_id)
LIMIT ${batchSize}`);
		if (rows.length === 0) return copied;
		for (const { id } of rows) {
			const result = await db.query(
				copySql(schema, view, sql`entity_id = ${id}::uuid FOR SHARE`),
			);
			copied += result.rowCount;
		}
	}
}

/** Without a conflict target: with one, four rebuilders at once met 23505. */
function copySql(schema: string, view: Sql, which: Sql): Sql {
	return sql`INSERT INTO ${kvStore(schema)} (${kvColumns})
SELECT ${kvColumns} FROM (SELECT * FROM ${view} WHERE ${which}) AS s
ON CONFLICT DO NOTHING`;
}

/** Marks the cache ready if it is the one that was begun with: same token, same file. */
async function finish(
	db: Handle,
	schema: string,
	token: string,
): Promise<boolean> {
	const kind = `rebuild:${token}`;
	const { rowCount } = await db.query(sql`
INSERT INTO ${kvState(schema)} AS s (kind, token, filenode)
SELECT 'ready', token, filenode FROM ${kvState(schema)}
WHERE kind = ${kind} AND filenode = ${kvFilenode(schema)}
ON CONFLICT (kind) DO UPDATE SET token = excluded.token, filenode = excluded.filenode, at = clock_timestamp()`);
	await db.query(sql`DELETE FROM ${kvState(schema)} WHERE kind = ${kind}`);
	return rowCount === 1;
}

function kvStore(schema: string): Sql {
	return ident(schema, "kv_store");
}

function kvState(schema: string): Sql {
	return ident(schema, "kv_state");
}

function kvFilenode(schema: string): Sql {
	return sql`pg_relation_filenode(${literal(toText(kvStore(schema)))}::regclass)`;
}
