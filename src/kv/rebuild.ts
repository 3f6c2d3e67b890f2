import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { kvReady } from "../schema/kv-ready.ts";
import { kvColumns } from "../schema/kv-trigger.ts";
import { type Sql, sql } from "../sql.ts";
import { type KvProgress, type KvSteps, startKvProgress } from "./progress.ts";
import { seeingAll } from "./seeing-all.ts";
import { type KvSource, readKvSources } from "./sources.ts";
import { kvFilenode, kvState, kvStore } from "./tables.ts";

export interface RebuildOptions {
	readonly onProgress?: ((progress: KvProgress) => void) | undefined;
	/** Stops between two batches; the next rebuild goes on from what is there. */
	readonly signal?: AbortSignal | undefined;
	/** Leaves it to another process that is rebuilding. @default false */
	readonly unlessUnderWay?: boolean;
}

export interface RebuildResult {
	/** Rows that were missing and are there now. */
	readonly entries: number;
}

// A writer that wants a row of a batch waits until it ends: so its size follows
// what the machine copies in that time.
const batchMs = 20;
const batchSizes = { first: 250, least: 250, most: 5000 };
const missingAtOnce = 1000;
const attempts = 10;
// So many batches go by before the quick way is tried again.
const carefulBatches = 16;
const uniqueViolation = "23505";

export async function isKvReady(db: Handle, schema: string): Promise<boolean> {
	const { rows } = await db.query<{ ready: boolean }>(
		sql`SELECT ${kvReady(schema)} AS ready`,
		{ readsUnlogged: true, idempotent: true },
	);
	return rows[0]?.ready === true;
}

/**
 * Fills kv_store from the primary tables while writers go on, and marks it
 * ready. Any number of processes may do so at once: what makes it correct is
 * the lock on each row while it is copied (a writer goes first, or waits and
 * then sees the copy), and the token, which a crash erases with the cache.
 * Every statement is a transaction of its own, so that a pooler may put it on
 * any connection. `undefined`: another process is at it.
 */
export async function rebuildKv(
	db: Handle,
	schema: string,
	options: RebuildOptions = {},
): Promise<RebuildResult | undefined> {
	let entries = 0;
	for (let attempt = 0; attempt < attempts; attempt++) {
		const fence = await Fence.begin(db, schema, options);
		if (fence === undefined) return undefined;
		const sources = await readKvSources(db, schema);
		const copy = await rowCopier(db, schema);
		const steps = await startKvProgress(db, sources, options.onProgress);
		try {
			for (const source of sources)
				entries += await copyBatches(copy, source, fence, steps);
			await fence.awaitPrepared();
			for (const source of sources)
				entries += await copyMissing(db, schema, copy, source, fence);
			if (await fence.finish()) return { entries };
		} catch (error) {
			await fence.leave();
			// A model was dropped, or the cache emptied: what there is now counts.
			if (!(error instanceof Fenced) && !isUndefinedTable(error)) throw error;
		}
	}
	throw new RemError(
		"DATABASE",
		`kv_store was emptied ${attempts} times while it was being rebuilt`,
		{ hint: "LOOKUP answers from the primary tables; rebuild again later" },
	);
}

/** The cache was emptied: what was copied may be gone. */
class Fenced extends Error {}

function isUndefinedTable(error: unknown): boolean {
	return error instanceof RemError && error.sqlState === "42P01";
}

const signOfLifeEveryMs = 2000;
const preparedTimeoutMs = 5000;

/**
 * The token stands in UNLOGGED storage with the file that the rebuild began
 * with: a crash between begin and finish takes it away, a TRUNCATE makes the
 * file another.
 */
class Fence {
	readonly #db: Handle;
	readonly #schema: string;
	readonly #kind: string;
	readonly #signal: AbortSignal | undefined;
	/** When it began, by the server's clock. */
	readonly #begun: string;
	#lastSign = performance.now();

	private constructor(
		db: Handle,
		schema: string,
		token: { kind: string; begun: string },
		signal: AbortSignal | undefined,
	) {
		this.#db = db;
		this.#schema = schema;
		this.#kind = token.kind;
		this.#begun = token.begun;
		this.#signal = signal;
	}

	/** `undefined`: another process gave a sign of life, and it is left to that one. */
	static async begin(
		db: Handle,
		schema: string,
		{ unlessUnderWay = false, signal }: RebuildOptions,
	): Promise<Fence | undefined> {
		const token = randomUUID();
		const kind = `rebuild:${token}`;
		const others = sql`SELECT FROM ${kvState(schema)} WHERE starts_with(kind, 'rebuild:')`;
		const leave = unlessUnderWay
			? sql`WHERE NOT EXISTS (${others} AND at > clock_timestamp() - INTERVAL '10 s')`
			: sql``;
		// Rebuilders that died leave their tokens behind.
		await db.query(
			sql`DELETE FROM ${kvState(schema)} WHERE starts_with(kind, 'rebuild:') AND at < clock_timestamp() - INTERVAL '1 h'`,
		);
		const { rows } = await db.query<{ begun: string }>(sql`
INSERT INTO ${kvState(schema)} (kind, token, filenode)
SELECT ${kind}, ${token}::uuid, ${kvFilenode(schema)} ${leave}
RETURNING at::text AS begun`);
		const [row] = rows;
		return row && new Fence(db, schema, { kind, begun: row.begun }, signal);
	}

	/** Between two steps: whether to go on at all. Others see that somebody is at it. */
	async check(): Promise<void> {
		if (this.#signal?.aborted)
			throw new RemError("CANCELLED", "the rebuild was stopped");
		if (performance.now() - this.#lastSign < signOfLifeEveryMs) return;
		this.#lastSign = performance.now();
		const { rowCount } = await this.#db.query(
			sql`UPDATE ${kvState(this.#schema)} SET at = clock_timestamp() WHERE ${this.#holds}`,
		);
		if (rowCount === 0) throw new Fenced();
	}

	/**
	 * A prepared transaction survives a crash, what it wrote to the cache does
	 * not, and its rows are invisible until it is committed: while one is older
	 * than this rebuild, nobody can say that the cache is whole.
	 */
	async awaitPrepared(): Promise<void> {
		const lastTry = performance.now() + preparedTimeoutMs;
		for (;;) {
			await this.check();
			const { rowCount } = await this.#db.query(sql`
SELECT FROM pg_prepared_xacts
WHERE database = current_database() AND prepared <= ${this.#begun}::timestamptz`);
			if (rowCount === 0) return;
			if (performance.now() > lastTry)
				throw new RemError(
					"DATABASE",
					`kv_store cannot be marked ready: prepared transactions are in doubt (${rowCount})`,
					{
						hint: "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts shows; LOOKUP answers from the primary tables until then",
					},
				);
			await sleep(100);
		}
	}

	/** Marks the cache ready if it is the one that was begun with: same token, same file. */
	async finish(): Promise<boolean> {
		const { rowCount } = await this.#db.query(sql`
WITH mine AS (DELETE FROM ${kvState(this.#schema)} WHERE ${this.#holds} RETURNING token, filenode)
INSERT INTO ${kvState(this.#schema)} (kind, token, filenode)
SELECT 'ready', token, filenode FROM mine
ON CONFLICT (kind) DO UPDATE SET token = excluded.token, filenode = excluded.filenode, at = clock_timestamp()`);
		if (rowCount === 0) await this.leave();
		return rowCount === 1;
	}

	/** Takes the token away, so that others need not wait for this rebuild. */
	async leave(): Promise<void> {
		const gone = this.#db.query(
			sql`DELETE FROM ${kvState(this.#schema)} WHERE kind = ${this.#kind}`,
		);
		await gone.catch(() => {
			// It ends with an error already, and the token ages.
		});
	}

	get #holds(): Sql {
		return sql`kind = ${this.#kind} AND filenode = ${kvFilenode(this.#schema)}`;
	}
}

/** First pass: whatever nobody is writing at this moment, batch by batch in order of id. */
async function copyBatches(
	copy: RowCopier,
	{ view, entityType }: KvSource,
	fence: Fence,
	steps: KvSteps,
): Promise<number> {
	let copied = 0;
	let size = batchSizes.first;
	let careful = 0;
	let after = "00000000-0000-0000-0000-000000000000";
	for (;;) {
		await fence.check();
		const started = performance.now();
		const batch = sql`SELECT * FROM ${view} WHERE entity_id > ${after}::uuid
ORDER BY entity_id LIMIT ${size} FOR SHARE SKIP LOCKED`;
		let row = careful > 0 ? await copy(batch) : await copyNew(copy, batch);
		if (row === "conflict") {
			careful = carefulBatches;
			row = await copy(batch);
		} else careful = Math.max(0, careful - 1);
		copied += row?.copied ?? 0;
		steps.add(entityType, row?.found ?? 0);
		if (!row?.last || row.found < size) return copied;
		after = row.last;
		size = nextSize(size, performance.now() - started);
	}
}

/** The quick way, which fails where somebody else copies the same rows right now. */
async function copyNew(
	copy: RowCopier,
	batch: Sql,
): Promise<CopiedRows | undefined | "conflict"> {
	try {
		return await copy(batch, { onlyNew: true });
	} catch (error) {
		if (error instanceof RemError && error.sqlState === uniqueViolation)
			return "conflict";
		throw error;
	}
}

/** At most twice or half the last one: a single batch may have met anything. */
function nextSize(size: number, tookMs: number): number {
	const factor = Math.min(2, Math.max(0.5, batchMs / tookMs));
	const { least, most } = batchSizes;
	return Math.min(most, Math.max(least, Math.round(size * factor)));
}

/** Second pass: what a writer held, one row and so one lock at a time, until none is left. */
async function copyMissing(
	db: Handle,
	schema: string,
	copy: RowCopier,
	{ view, entityType }: KvSource,
	fence: Fence,
): Promise<number> {
	let copied = 0;
	for (;;) {
		await fence.check();
		const { rows } = await db.query<{ id: string }>(sql`
SELECT s.entity_id AS id FROM ${view} AS s
WHERE NOT EXISTS (SELECT FROM ${kvStore(schema)} AS k
  WHERE k.entity_type = ${entityType} AND k.entity_id = s.entity_id)
LIMIT ${missingAtOnce}`);
		if (rows.length === 0) return copied;
		for (const { id } of rows) {
			await fence.check();
			const one = sql`SELECT * FROM ${view} WHERE entity_id = ${id}::uuid FOR SHARE`;
			const row = await copy(one);
			copied += row?.copied ?? 0;
		}
	}
}

interface CopiedRows {
	readonly found: number;
	readonly copied: number;
	readonly last: string | null;
}

/**
 * Copies the rows of a SELECT that locks them. `onlyNew`: looks first which
 * have no entry, and fails with 23505 where one appears meanwhile. It takes 0.6
 * to 0.7 of the time: an insert that may conflict takes every row in two steps.
 */
type RowCopier = (
	select: Sql,
	options?: { readonly onlyNew: boolean },
) => Promise<CopiedRows | undefined>;

/**
 * READ COMMITTED, whatever the role's default: the locks must give the newest
 * rows. No conflict target: with one, four rebuilders at once met 23505.
 */
async function rowCopier(db: Handle, schema: string): Promise<RowCopier> {
	const options = {
		isolation: "read committed",
		// Of a batch only row locks and, where the cache is logged, its rows are
		// in the WAL: the marker's own commit writes out all of it.
		settings: { ...(await seeingAll(db)), synchronous_commit: "off" },
	} as const;
	// The LIMIT keeps it a look into the index for each row, whatever is known of
	// the size of a table that was empty a moment ago.
	const isNew = sql`WHERE (SELECT k.entity_id FROM ${kvStore(schema)} AS k
    WHERE k.entity_type = batch.entity_type AND k.entity_id = batch.entity_id LIMIT 1) IS NULL`;
	return (select, { onlyNew } = { onlyNew: false }) =>
		db.transaction(async (tx) => {
			const { rows } = await tx.query<CopiedRows>(sql`
WITH batch AS MATERIALIZED (${select}),
copied AS (
  INSERT INTO ${kvStore(schema)} (${kvColumns}) SELECT ${kvColumns} FROM batch
  ${onlyNew ? isNew : sql`ON CONFLICT DO NOTHING`} RETURNING 1
)
SELECT (SELECT count(*) FROM batch)::integer AS found, (SELECT count(*) FROM copied)::integer AS copied,
  (SELECT entity_id FROM batch ORDER BY entity_id DESC LIMIT 1) AS last`);
			return rows[0];
		}, options);
}
