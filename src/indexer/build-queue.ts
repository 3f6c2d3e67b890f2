import { foreignOwner } from "../db/catalogue/relations.ts";
import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import type { VectorSpace } from "../models/vector.ts";
import type { DeclaredIndex, IndexType } from "../schema/index-types.ts";
import { ident, join, literal, type Sql, sql } from "../sql.ts";
import { type BuildFailure, notPermitted } from "./build-failure.ts";

/** An index in the queue, or what became of it. */
export interface QueuedBuild {
	readonly indexName: string;
	readonly tableName: string;
	readonly indexType: IndexType;
	readonly space: VectorSpace | null;
	/** `building` also when the builder died; `failed`: it is not tried again. */
	readonly state: "queued" | "building" | "failed" | "built";
	readonly attempts: number;
	readonly nextAttemptAt: Date;
	/** Until then; 0: due. */
	readonly dueInMs: number;
	readonly withoutWorkers: boolean;
	readonly progress: number | null;
	readonly error: string | null;
	readonly sqlState: string | null;
	/** Whether another connection works on its table. */
	readonly isLocked: boolean;
	/** The owner of its table, where this connection's role may not build for it. */
	readonly leftTo: string | null;
}

/** All entries of the queue. */
export async function readQueue(
	db: Handle,
	schema: string,
): Promise<QueuedBuild[]> {
	const { rows } = await db.query<QueuedBuild>(sql`
SELECT index_name AS "indexName", table_name AS "tableName", index_type AS "indexType", space,
  -- A failure of a role that may not build it is none of another role.
  CASE WHEN state = 'failed' AND sql_state = ${notPermitted} THEN 'queued' ELSE state END AS state, attempts,
  ${foreignOwner(schema, sql`table_name`)} AS "leftTo",
  next_attempt_at AS "nextAttemptAt",
  greatest(0, extract(epoch FROM next_attempt_at - clock_timestamp()) * 1000)::float8 AS "dueInMs",
  without_workers AS "withoutWorkers", progress, error, sql_state AS "sqlState",
  EXISTS (SELECT FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = ${lockKey(schema, sql`table_name`)}) AS "isLocked"
FROM ${builds(schema)}
ORDER BY next_attempt_at, index_name`);
	return rows;
}

/** Of several schemas, those in which builds are queued. */
export async function schemasWithBuilds(
	db: Handle,
	schemas: readonly string[],
): Promise<string[]> {
	const reads = schemas.map(
		(schema) =>
			sql`SELECT ${literal(schema)} AS schema WHERE EXISTS (SELECT FROM ${builds(schema)} WHERE state IN ('queued', 'building'))`,
	);
	const { rows } = await db.query<{ schema: string }>(
		join(reads, "\nUNION ALL "),
		{ idempotent: true },
	);
	return rows.map(({ schema }) => schema);
}

/** Takes the table for this connection, if no other has it: two concurrent builds on one table deadlock. */
export async function tryLockTable(
	session: Handle,
	schema: string,
	tableName: string,
): Promise<boolean> {
	const { rows } = await session.query<{ taken: boolean }>(
		sql`SELECT pg_try_advisory_lock(${lockKey(schema, sql`${tableName}::text`)}) AS taken`,
	);
	return rows[0]?.taken === true;
}

export async function unlockTable(
	session: Handle,
	schema: string,
	tableName: string,
): Promise<void> {
	await session.query(
		sql`SELECT pg_advisory_unlock(${lockKey(schema, sql`${tableName}::text`)})`,
	);
}

function lockKey(schema: string, tableName: Sql): Sql {
	return sql`hashtextextended(${`remdb index ${schema}.`} || ${tableName}, 0)`;
}

/**
 * Puts indexes into the queue. One that is in it stays as it is; one that has
 * failed for good is tried again only if a caller asks for it.
 */
export async function enqueue(
	db: Handle,
	schema: string,
	{
		indexes,
		again,
	}: { readonly indexes: readonly DeclaredIndex[]; readonly again: boolean },
): Promise<void> {
	if (indexes.length === 0) return;
	await db.query(
		sql`
INSERT INTO ${builds(schema)} AS b (index_name, table_name, index_type, space)
SELECT * FROM unnest(${arrayLiteral(indexes.map(({ name }) => name))}::text[],
  ${arrayLiteral(indexes.map(({ tableName }) => tableName))}::text[],
  ${arrayLiteral(indexes.map(({ indexType }) => indexType))}::text[],
  ${arrayLiteral(indexes.map(({ vectors }) => (vectors === undefined ? null : JSON.stringify(vectors.space))))}::jsonb[])
ON CONFLICT (index_name) DO UPDATE SET
  state = CASE b.state WHEN 'building' THEN b.state ELSE 'queued' END, attempts = 0, next_attempt_at = clock_timestamp(), without_workers = false,
  progress = NULL, error = NULL, sql_state = NULL
WHERE b.state = 'built' OR ${again}`,
		{ isLimited: true },
	);
}

/** Counted before it starts: a build that takes the server down with it must not be repeated for ever. */
export async function markStarted(
	db: Handle,
	schema: string,
	{ indexName }: QueuedBuild,
): Promise<void> {
	await db.query(sql`
UPDATE ${builds(schema)} SET state = 'building', attempts = attempts + 1,
  progress = NULL, started_at = clock_timestamp(), finished_at = NULL
WHERE index_name = ${indexName}`);
}

export async function markProgress(
	db: Handle,
	schema: string,
	{
		indexName,
		percent,
	}: { readonly indexName: string; readonly percent: number },
): Promise<void> {
	await db.query(sql`
UPDATE ${builds(schema)} SET progress = ${percent}
WHERE index_name = ${indexName} AND state = 'building'`);
}

export async function markBuilt(
	db: Handle,
	schema: string,
	{ indexName }: QueuedBuild,
): Promise<void> {
	await db.query(sql`
UPDATE ${builds(schema)} SET state = 'built', attempts = 0, progress = NULL,
  error = NULL, sql_state = NULL, without_workers = false, finished_at = clock_timestamp()
WHERE index_name = ${indexName}`);
}

/** Another client builds on the table: later, and this was no attempt. */
export async function markPostponed(
	db: Handle,
	schema: string,
	{
		indexName,
		delayMs,
	}: { readonly indexName: string; readonly delayMs: number },
): Promise<void> {
	await db.query(sql`
UPDATE ${builds(schema)} SET state = 'queued', attempts = greatest(0, attempts - 1), next_attempt_at = ${inMs(delayMs)}
WHERE index_name = ${indexName}`);
}

/** This role may not build it: it stays queued for one that may, and this was no attempt. */
export async function markLeft(
	db: Handle,
	schema: string,
	{
		indexName,
		message,
		sqlState,
	}: BuildFailure & { readonly indexName: string },
): Promise<void> {
	await db.query(sql`
UPDATE ${builds(schema)} SET state = 'queued', attempts = greatest(0, attempts - 1), progress = NULL,
  next_attempt_at = clock_timestamp(), error = ${message}, sql_state = ${sqlState ?? null}, finished_at = clock_timestamp()
WHERE index_name = ${indexName}`);
}

/** `retryMs` undefined: it failed for good. */
export async function markFailed(
	db: Handle,
	schema: string,
	{
		indexName,
		withoutWorkers,
		message,
		sqlState,
		lacksMemory,
		retryMs,
	}: BuildFailure &
		Pick<QueuedBuild, "indexName" | "withoutWorkers"> & {
			readonly retryMs: number | undefined;
		},
): Promise<void> {
	await db.query(sql`
UPDATE ${builds(schema)} SET state = ${retryMs === undefined ? "failed" : "queued"},
  next_attempt_at = ${inMs(retryMs ?? 0)}, progress = NULL,
  error = ${message}, sql_state = ${sqlState ?? null},
  without_workers = ${withoutWorkers || lacksMemory}, finished_at = clock_timestamp()
WHERE index_name = ${indexName}`);
}

function inMs(delayMs: number): Sql {
	return sql`clock_timestamp() + ${delayMs}::float8 * interval '1 millisecond'`;
}

function builds(schema: string): Sql {
	return ident(schema, "rem_index_builds");
}
