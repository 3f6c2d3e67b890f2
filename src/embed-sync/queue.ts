import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { ident, join, type Sql, sql } from "../sql.ts";
import { backoffMs } from "../util/backoff.ts";
import { type EntityField, textArrays, textKey } from "../vectors/texts.ts";

/** What waits for the same model of the same table. */
export interface Lane extends VectorSpace {
	readonly tableName: string;
}

export interface LaneState extends Lane {
	/** Until the first text of it may be taken, in milliseconds; 0: now. */
	readonly dueInMs: number;
}

/** A text in the hands of a worker. */
export interface Leased extends EntityField {
	/** Failures so far. */
	readonly attempts: number;
}

/** Texts of a lane that one worker has until it is done, or its lease ends. */
export interface Lease {
	readonly lane: Lane;
	readonly owner: string;
	readonly texts: readonly Leased[];
}

/** A worker that died keeps its texts for this long; one that lives renews its lease four times in it. */
export const leaseMs = 10_000;

/** Longest pause after a failure. */
const maxPauseMs = 5 * 60_000;
const backoff = { firstMs: 1000, maxMs: maxPauseMs, jitter: 0.5 };

/** How long to wait after a failure: never less than the provider asks for, unless that is longer than any pause. */
export function pauseMs(
	earlierFailures: number,
	retryAfterMs: number | undefined,
): number {
	const ms = Math.max(backoffMs(earlierFailures, backoff), retryAfterMs ?? 0);
	return Math.min(ms, maxPauseMs);
}

/**
 * The lanes in which something waits, each with its first text: two steps into
 * the index for each lane, however much waits. Texts whose time is further ahead
 * than any lease or pause reaches are freed first: the server's clock was set
 * back since they were put there.
 */
export async function readLanes(
	db: Handle,
	schema: string,
): Promise<LaneState[]> {
	const queue = embeddingQueueRef(schema);
	const columns = sql`entity_type, provider, model, dimensions`;
	const read = sql`
WITH RECURSIVE lanes AS (
  (SELECT ${columns}, due_at FROM ${queue} WHERE state = 'pending'
    ORDER BY entity_type, provider, model, dimensions, due_at LIMIT 1)
  UNION ALL
  SELECT next.* FROM lanes AS l CROSS JOIN LATERAL (
    SELECT q.entity_type, q.provider, q.model, q.dimensions, q.due_at FROM ${queue} AS q
    WHERE q.state = 'pending'
      AND (q.entity_type, q.provider, q.model, q.dimensions) > (l.entity_type, l.provider, l.model, l.dimensions)
    ORDER BY q.entity_type, q.provider, q.model, q.dimensions, q.due_at LIMIT 1) AS next
)
SELECT entity_type AS "tableName", provider, model, dimensions,
  greatest(0, extract(epoch FROM due_at - clock_timestamp()) * 1000)::double precision AS "dueInMs",
  EXISTS (SELECT FROM ${queue} AS q WHERE q.lease_owner IS NOT NULL AND q.due_at > ${noLeaseEnds})
    OR (SELECT max(q.due_at) FROM ${queue} AS q WHERE q.state = 'pending' AND q.entity_type = l.entity_type
      AND q.provider = l.provider AND q.model = l.model AND q.dimensions = l.dimensions) > ${pauseEnd} AS "isMisdated"
FROM lanes AS l`;
	const { rows } = await db.query<LaneRow>(read);
	if (!rows.some(({ isMisdated }) => isMisdated)) return rows.map(toLane);
	await freeMisdated(db, schema);
	const freed = await db.query<LaneRow>(read);
	return freed.rows.map(toLane);
}

type LaneRow = LaneState & { readonly isMisdated: boolean };

function toLane({ isMisdated: _, ...lane }: LaneRow): LaneState {
	return lane;
}

function freeMisdated(db: Handle, schema: string): Promise<unknown> {
	return db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now(), lease_owner = NULL
FROM ${free(schema, sql`q.state = 'pending' AND (q.due_at > ${pauseEnd} OR q.lease_owner IS NOT NULL AND q.due_at > ${noLeaseEnds})`)}`);
}

/** Takes texts that nobody else has, those that wait longest first. */
export async function takeLease(
	db: Handle,
	schema: string,
	lane: Lane,
	{ owner, limit }: { readonly owner: string; readonly limit: number },
): Promise<Lease> {
	const { rows } = await db.query<Leased>(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET lease_owner = ${owner}::uuid, due_at = ${leaseEnd}
FROM ${free(schema, sql`${inLane(lane)} AND q.state = 'pending' AND q.due_at <= now() ORDER BY q.due_at LIMIT ${limit}`)}
RETURNING q.entity_id AS "entityId", q.field_name AS field, q.attempts`);
	return { lane, owner, texts: rows };
}

/** Says that the worker still lives. */
export async function renewLease(
	db: Handle,
	schema: string,
	lease: Lease,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = ${leaseEnd}
FROM ${free(schema, isLeased(lease))}`);
}

/** Gives back what is still in the worker's hands: the next one may take it at once. */
export async function releaseLease(
	db: Handle,
	schema: string,
	lease: Lease,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now(), lease_owner = NULL
FROM ${free(schema, isLeased(lease))}`);
}

/** Locks what is still in the worker's hands: a text that has changed since is not, nor one that somebody is writing. */
export async function holdLease(
	tx: Handle,
	schema: string,
	lease: Lease,
): Promise<Leased[]> {
	const { rows } = await tx.query<EntityField>(sql`
SELECT q.entity_id AS "entityId", q.field_name AS field FROM ${embeddingQueueRef(schema)} AS q
WHERE ${isLeased(lease)}
FOR UPDATE SKIP LOCKED`);
	const held = new Set(rows.map(textKey));
	return lease.texts.filter((text) => held.has(textKey(text)));
}

/** How many texts are still the worker's, whoever has locked them. */
export async function countLeased(
	db: Handle,
	schema: string,
	lease: Lease,
): Promise<number> {
	const { rows } = await db.query<{ count: number }>(
		sql`SELECT count(*) AS count FROM ${embeddingQueueRef(schema)} AS q WHERE ${isLeased(lease)}`,
	);
	return rows[0]?.count ?? 0;
}

/** The rows of the texts that are still the worker's. */
export function leasedIds(schema: string, lease: Lease): Sql {
	return sql`SELECT q.entity_id FROM ${embeddingQueueRef(schema)} AS q WHERE ${isLeased(lease)}`;
}

/** What became of a text that got no vector. */
export interface FailedText extends Leased {
	/** Whether it will fail again, whatever happens. */
	readonly isDead: boolean;
	readonly delayMs: number;
	/** Without the text, and without keys. */
	readonly reason: string;
}

/** Puts texts back for later, or where only `retry` and a change of the text get them out. */
export async function putBack(
	tx: Handle,
	schema: string,
	lane: Lane,
	failed: readonly FailedText[],
): Promise<void> {
	if (failed.length === 0) return;
	const states = failed.map(({ isDead }) => (isDead ? "dead" : "pending"));
	const delays = failed.map(({ delayMs }) => Math.round(delayMs));
	const reasons = failed.map(({ reason }) => reason);
	const { ids, fields } = textArrays(failed);
	await tx.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET state = i.state, attempts = q.attempts + 1, reason = i.reason,
  due_at = now() + i.delay_ms * interval '1 millisecond', lease_owner = NULL
FROM unnest(${ids}, ${fields}, ${encodeArray("text", states)}::text[],
  ${encodeArray("integer", delays)}::integer[], ${encodeArray("text", reasons)}::text[])
  AS i (entity_id, field_name, state, delay_ms, reason)
WHERE ${inLane(lane)} AND q.entity_id = i.entity_id AND q.field_name = i.field_name`);
}

/** Lets waiting texts be taken at once, though they have just failed. */
export async function cutPauses(
	db: Handle,
	schema: string,
	lane: Lane,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now()
FROM ${free(schema, sql`${inLane(lane)} AND q.state = 'pending' AND q.due_at > now() AND q.lease_owner IS NULL`)}`);
}

/**
 * Lets what was given up be tried again; returns how many texts. Leases and
 * pauses end as well: a worker that lives gets no use out of the texts it has,
 * and one that died holds up nobody.
 */
export async function reviveDead(
	db: Handle,
	schema: string,
	tableNames: readonly string[],
): Promise<number> {
	const isOurs = sql`q.entity_type = ANY (${encodeArray("text", tableNames)}::text[])`;
	const { rowCount } = await db.query(
		sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET state = 'pending', attempts = 0, due_at = now(), reason = NULL
FROM ${free(schema, sql`q.state = 'dead' AND ${isOurs}`)}`,
		{ isLimited: true },
	);
	await db.query(
		sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now(), lease_owner = NULL
FROM ${free(schema, sql`q.state = 'pending' AND q.due_at > now() AND ${isOurs}`)}`,
		{ isLimited: true },
	);
	return rowCount;
}

/** How many texts of a lane wait, or were given up. */
export async function countTexts(
	db: Handle,
	schema: string,
	lane: Lane,
	state: "pending" | "dead",
): Promise<number> {
	const { rows } = await db.query<{ count: number }>(sql`
SELECT count(*) AS count FROM ${embeddingQueueRef(schema)} AS q WHERE ${inLane(lane)} AND q.state = ${state}`);
	return rows[0]?.count ?? 0;
}

// A statement's now() may be a moment before that of a renewal it already sees.
const noLeaseEnds = sql`now() + ${leaseMs + 2000} * interval '1 millisecond'`;
const pauseEnd = sql`now() + ${maxPauseMs} * interval '1 millisecond'`;
const leaseEnd = sql`now() + ${leaseMs} * interval '1 millisecond'`;

/**
 * Those rows that nobody has locked, to be joined to the update `q`.
 * Whoever works on the queue never waits: a writer holds its rows and wants
 * these, and would be the victim of the deadlock as often as we.
 */
function free(schema: string, which: Sql): Sql {
	const key = (alias: string) =>
		join(keyColumns.map((name) => ident(alias, name)));
	return sql`(
  SELECT ${key("q")} FROM ${embeddingQueueRef(schema)} AS q WHERE ${which} FOR UPDATE SKIP LOCKED
) AS free
WHERE (${key("q")}) = (${key("free")})`;
}

const keyColumns = [
	"entity_type",
	"entity_id",
	"field_name",
	"provider",
	"model",
	"dimensions",
];

/** Those that are still the worker's: of a text that has changed since, the owner is forgotten. */
function isLeased({ lane, owner, texts }: Lease): Sql {
	const { ids, fields } = textArrays(texts);
	return sql`${inLane(lane)} AND (q.entity_id, q.field_name) IN (SELECT * FROM unnest(${ids}, ${fields}))
    AND q.lease_owner = ${owner}::uuid`;
}

/** The rows `q` of a lane. */
function inLane(lane: Lane): Sql {
	return sql`q.entity_type = ${lane.tableName} AND q.provider = ${lane.provider}
    AND q.model = ${lane.model} AND q.dimensions = ${lane.dimensions}::integer`;
}
