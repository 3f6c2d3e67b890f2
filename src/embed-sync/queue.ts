import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import type { VectorSpace } from "../models/vector.ts";
import { ident, join, literal, type Sql, sql } from "../sql.ts";
import { backoffMs } from "../util/backoff.ts";
import { type EntityField, textArrays, textKey } from "../vectors/texts.ts";

/** The part of the queue that waits for one model of one table. */
export interface Partition extends VectorSpace {
	readonly tableName: string;
}

export interface PartitionState extends Partition {
	/** Until the first text of it may be taken, in milliseconds; 0: now. */
	readonly dueInMs: number;
}

/** A text that a worker has leased. */
export interface Leased extends EntityField {
	/** Failures so far. */
	readonly attempts: number;
}

/** Texts of a partition that one worker has until it is done, or its lease ends. */
export interface Lease {
	readonly partition: Partition;
	readonly owner: string;
	readonly texts: readonly Leased[];
}

/** The lease of a worker that died ends after this time; a live worker renews it four times within. */
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
 * The partitions in which something waits, each with its first text: two steps into
 * the index for each partition, however much waits. Texts whose time is further ahead
 * than any lease or pause reaches are freed first: the server's clock was set
 * back since they were put there.
 */
export async function readPartitions(
	db: Handle,
	schema: string,
): Promise<PartitionState[]> {
	const queue = embeddingQueueRef(schema);
	const columns = sql`entity_type, provider, model, dimensions`;
	const read = sql`
WITH RECURSIVE partitions AS (
  (SELECT ${columns}, due_at FROM ${queue} WHERE state = 'pending'
    ORDER BY entity_type, provider, model, dimensions, due_at LIMIT 1)
  UNION ALL
  SELECT next.* FROM partitions AS l CROSS JOIN LATERAL (
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
FROM partitions AS l`;
	const { rows } = await db.query<PartitionRow>(read);
	if (!rows.some(({ isMisdated }) => isMisdated)) return rows.map(toPartition);
	await freeMisdated(db, schema);
	const freed = await db.query<PartitionRow>(read);
	return freed.rows.map(toPartition);
}

/** Of several schemas, those in which texts wait. */
export async function schemasThatWait(
	db: Handle,
	schemas: readonly string[],
): Promise<string[]> {
	const reads = schemas.map(
		(schema) =>
			sql`SELECT ${literal(schema)} AS schema WHERE EXISTS (SELECT FROM ${embeddingQueueRef(schema)} WHERE state = 'pending')`,
	);
	const { rows } = await db.query<{ schema: string }>(
		join(reads, "\nUNION ALL "),
		{ idempotent: true },
	);
	return rows.map(({ schema }) => schema);
}

type PartitionRow = PartitionState & { readonly isMisdated: boolean };

function toPartition({
	isMisdated: _,
	...partition
}: PartitionRow): PartitionState {
	return partition;
}

function freeMisdated(db: Handle, schema: string): Promise<unknown> {
	return db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now(), lease_owner = NULL
FROM ${free(schema, sql`q.state = 'pending' AND (q.due_at > ${pauseEnd} OR q.lease_owner IS NOT NULL AND q.due_at > ${noLeaseEnds})`)}`);
}

interface LeaseRequest {
	readonly partition: Partition;
	readonly owner: string;
	readonly limit: number;
}

/** Takes texts that no other worker has leased, those that wait longest first. */
export async function takeLease(
	db: Handle,
	schema: string,
	{ partition, owner, limit }: LeaseRequest,
): Promise<Lease> {
	const { rows } = await db.query<Leased>(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET lease_owner = ${owner}::uuid, due_at = ${leaseEnd}
FROM ${free(schema, sql`${inPartition(partition)} AND q.state = 'pending' AND q.due_at <= now() ORDER BY q.due_at LIMIT ${limit}`)}
RETURNING q.entity_id AS "entityId", q.field_name AS field, q.attempts`);
	return { partition, owner, texts: rows };
}

/** Extends the lease: the worker is alive. */
export async function renewLease(
	db: Handle,
	schema: string,
	lease: Lease,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = ${leaseEnd}
FROM ${free(schema, isLeased(lease))}`);
}

/** Returns what is still leased: the next worker may take it at once. */
export async function releaseLease(
	db: Handle,
	schema: string,
	lease: Lease,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now(), lease_owner = NULL
FROM ${free(schema, isLeased(lease))}`);
}

/** Locks what is still leased: not a text that has changed since, nor one that another client is writing. */
export async function lockLeased(
	tx: Handle,
	schema: string,
	lease: Lease,
): Promise<Leased[]> {
	const { rows } = await tx.query<EntityField>(sql`
SELECT q.entity_id AS "entityId", q.field_name AS field FROM ${embeddingQueueRef(schema)} AS q
WHERE ${isLeased(lease)}
FOR UPDATE SKIP LOCKED`);
	const locked = new Set(rows.map(textKey));
	return lease.texts.filter((text) => locked.has(textKey(text)));
}

/** How many texts are still leased, locked by another client or not. */
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

/** The rows of the texts that are still leased. */
export function leasedIds(schema: string, lease: Lease): Sql {
	return sql`SELECT q.entity_id FROM ${embeddingQueueRef(schema)} AS q WHERE ${isLeased(lease)}`;
}

/** A text that got no vector. */
export interface FailedText extends Leased {
	/** Whether it would fail again. */
	readonly isDeadLettered: boolean;
	readonly delayMs: number;
	/** Without the text, and without keys. */
	readonly reason: string;
}

interface Failures {
	readonly partition: Partition;
	readonly failed: readonly FailedText[];
}

/** Queues texts for a later attempt, or dead-letters them until `retry` or a change of the text. */
export async function recordFailures(
	tx: Handle,
	schema: string,
	{ partition, failed }: Failures,
): Promise<void> {
	if (failed.length === 0) return;
	const states = failed.map(({ isDeadLettered }) =>
		isDeadLettered ? "dead" : "pending",
	);
	const delays = failed.map(({ delayMs }) => Math.round(delayMs));
	const reasons = failed.map(({ reason }) => reason);
	const { ids, fields } = textArrays(failed);
	await tx.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET state = i.state, attempts = q.attempts + 1, reason = i.reason,
  due_at = now() + i.delay_ms * interval '1 millisecond', lease_owner = NULL
FROM unnest(${ids}, ${fields}, ${encodeArray("text", states)}::text[],
  ${encodeArray("integer", delays)}::integer[], ${encodeArray("text", reasons)}::text[])
  AS i (entity_id, field_name, state, delay_ms, reason)
WHERE ${inPartition(partition)} AND q.entity_id = i.entity_id AND q.field_name = i.field_name`);
}

/** Ends the pauses of texts that failed: they may be taken at once. */
export async function endPauses(
	db: Handle,
	schema: string,
	partition: Partition,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingQueueRef(schema)} AS q SET due_at = now()
FROM ${free(schema, sql`${inPartition(partition)} AND q.state = 'pending' AND q.due_at > now() AND q.lease_owner IS NULL`)}`);
}

/**
 * Queues dead-lettered texts again; returns how many. Leases and pauses end as
 * well: a live worker cannot store what it has leased, and a dead one delays
 * nothing.
 */
export async function retryDeadLettered(
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

/** How many texts of a partition wait, or are dead-lettered. */
export async function countTexts(
	db: Handle,
	schema: string,
	{ partition, state }: { partition: Partition; state: "pending" | "dead" },
): Promise<number> {
	const { rows } = await db.query<{ count: number }>(sql`
SELECT count(*) AS count FROM ${embeddingQueueRef(schema)} AS q WHERE ${inPartition(partition)} AND q.state = ${state}`);
	return rows[0]?.count ?? 0;
}

// A statement's now() may be a moment before that of a renewal it already sees.
const noLeaseEnds = sql`now() + ${leaseMs + 2000} * interval '1 millisecond'`;
const pauseEnd = sql`now() + ${maxPauseMs} * interval '1 millisecond'`;
const leaseEnd = sql`now() + ${leaseMs} * interval '1 millisecond'`;

/**
 * Those rows that are not locked, to be joined to the update `q`. Work on the
 * queue never waits for a lock: a writer that owns row locks may wait for these
 * rows, and either side would be the victim of the deadlock.
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

/** Texts that are still leased by the worker: a change of the text clears the owner. */
function isLeased({ partition, owner, texts }: Lease): Sql {
	const { ids, fields } = textArrays(texts);
	return sql`${inPartition(partition)} AND (q.entity_id, q.field_name) IN (SELECT * FROM unnest(${ids}, ${fields}))
    AND q.lease_owner = ${owner}::uuid`;
}

/** The rows `q` of a partition. */
function inPartition(partition: Partition): Sql {
	return sql`q.entity_type = ${partition.tableName} AND q.provider = ${partition.provider}
    AND q.model = ${partition.model} AND q.dimensions = ${partition.dimensions}::integer`;
}
