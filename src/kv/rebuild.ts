import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { type KvMarker, kvReady } from "../schema/kv-trigger.ts";
import { join, type Sql, sql } from "../sql.ts";
import {
	type BatchStart,
	type CopiedRows,
	type RowCopier,
	rowCopier,
} from "./copy-rows.ts";
import { Fence, Fenced } from "./fence.ts";
import { type KvProgress, type KvSteps, startKvProgress } from "./progress.ts";
import { orderedWalk, seeingAll } from "./read-settings.ts";
import {
	type CachedType,
	type KvSource,
	kvStore,
	readKvSources,
} from "./tables.ts";

export interface RebuildOptions {
	readonly onProgress?: ((progress: KvProgress) => void) | undefined;
	/** Stops between two batches; the next rebuild continues from there. */
	readonly signal?: AbortSignal | undefined;
	/** Whether the database is a Citus cluster. @default false */
	readonly citus?: boolean | undefined;
	/** Leaves it to another process that is rebuilding. @default false */
	readonly unlessUnderWay?: boolean;
	/** Drops indexes that fill slowly; what it returns is called behind the rebuild, and has them built again. */
	readonly dropIndexes?: (() => Promise<() => Promise<void>>) | undefined;
}

export interface RebuildResult {
	/** Rows that were missing and are there now. */
	readonly entries: number;
}

// A writer that wants a row of a batch waits until it ends: so its size follows
// what the machine copies in that time.
const batchMs = 20;
const batchSizes = { first: 250, min: 250, max: 5000 };
const rangeSize = 5000;
const firstId = "00000000-0000-0000-0000-000000000000";
const attempts = 10;
// So many batches go by before the fast path is tried again.
const carefulBatches = 16;
const uniqueViolation = "23505";

/** Without the kind of the marker: for what reads kv_store in any case. */
export async function isKvReady(
	db: Handle,
	schema: string,
	marker: KvMarker = "either",
): Promise<boolean> {
	const { rows } = await db.query<{ ready: boolean }>(
		sql`SELECT ${kvReady(schema, marker)} AS ready`,
		{ readsUnlogged: true, idempotent: true },
	);
	return rows[0]?.ready === true;
}

/**
 * Fills kv_store from the primary tables while writers continue, and marks it
 * ready. Any number of processes may do so at once: what makes it correct is
 * the lock on each row while it is copied (a writer goes first, or waits and
 * then sees the copy), and the token, which a crash erases with the cache.
 * Every statement is a transaction of its own, so that a pooler may put it on
 * any connection. `undefined`: another process rebuilds it.
 */
export async function rebuildKv(
	db: Handle,
	schema: string,
	options: RebuildOptions = {},
): Promise<RebuildResult | undefined> {
	let restoreIndexes: (() => Promise<void>) | undefined;
	const onFilling = async (sources: readonly KvSource[]) => {
		if (restoreIndexes !== undefined || options.dropIndexes === undefined)
			return;
		if (await lacksMost(db, schema, sources))
			restoreIndexes = await options.dropIndexes();
	};
	try {
		return await fill(db, schema, { ...options, onFilling });
	} finally {
		await restoreIndexes?.();
	}
}

interface FillOptions extends RebuildOptions {
	/** Called before the first row of an attempt is copied. */
	readonly onFilling: (sources: readonly KvSource[]) => Promise<void>;
}

async function fill(
	db: Handle,
	schema: string,
	options: FillOptions,
): Promise<RebuildResult | undefined> {
	let entries = 0;
	for (let attempt = 0; attempt < attempts; attempt++) {
		const fence = await Fence.begin(db, schema, options);
		if (fence === undefined) return undefined;
		const sources = await readKvSources(db, schema);
		const copy = await rowCopier(db, schema);
		const steps = await startKvProgress(db, sources, options.onProgress);
		try {
			await options.onFilling(sources);
			for (const source of sources)
				entries += await copyBatches(source, { copy, fence, steps });
			await fence.awaitPrepared();
			for (const source of sources)
				entries += await copyMissing(db, { schema, source }, { copy, fence });
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

/** Fewer rows are copied in no time, whatever indexes there are. */
const manyRows = 5000;

/** Whether the cache has less than half of what it is to have, and that is much. */
async function lacksMost(
	db: Handle,
	schema: string,
	sources: readonly KvSource[],
): Promise<boolean> {
	if (sources.length === 0) return false;
	const all = join(
		sources.map(({ view }) => sql`SELECT FROM ${view}`),
		" UNION ALL ",
	);
	const settings = await seeingAll(db);
	return db.transaction(
		async (tx) => {
			const { rows } = await tx.query<{ lacks: boolean }>(
				sql`SELECT (SELECT count(*) FROM (${all}) AS s) >= greatest(${manyRows}, 2 * (SELECT count(*) FROM ${kvStore(schema)})) AS lacks`,
			);
			return rows[0]?.lacks === true;
		},
		{ readOnly: true, idempotent: true, settings },
	);
}

function isUndefinedTable(error: unknown): boolean {
	return error instanceof RemError && error.sqlState === "42P01";
}

/** First pass: rows that no client is writing at this moment, batch by batch in order of id. */
async function copyBatches(
	{ view, entityType }: KvSource,
	{ copy, fence, steps }: { copy: RowCopier; fence: Fence; steps: KvSteps },
): Promise<number> {
	let copied = 0;
	let size = batchSizes.first;
	let careful = 0;
	let after = firstId;
	for (;;) {
		await fence.check();
		const started = performance.now();
		const batch = sql`SELECT * FROM ${view} WHERE entity_id > ${after}::uuid
ORDER BY entity_id LIMIT ${size} FOR SHARE SKIP LOCKED`;
		let row =
			careful > 0
				? await copy(batch)
				: await copyNew(copy, batch, { entityType, after });
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

/** The fast path, which fails where another process copies the same rows at this moment. */
async function copyNew(
	copy: RowCopier,
	batch: Sql,
	start: BatchStart,
): Promise<CopiedRows | undefined | "conflict"> {
	try {
		return await copy(batch, start);
	} catch (error) {
		if (error instanceof RemError && error.sqlState === uniqueViolation)
			return "conflict";
		throw error;
	}
}

/** At most twice or half the last one: a single batch may have met anything. */
function nextSize(size: number, tookMs: number): number {
	const factor = Math.min(2, Math.max(0.5, batchMs / tookMs));
	const { min, max } = batchSizes;
	return Math.min(max, Math.max(min, Math.round(size * factor)));
}

/**
 * Second pass: rows that a writer had locked, one row and so one lock at a time, until none
 * is left. Range by range of ids: a row that appears behind it has its entry from
 * the trigger.
 */
async function copyMissing(
	db: Handle,
	{ schema, source }: CachedType,
	{ copy, fence }: { copy: RowCopier; fence: Fence },
): Promise<number> {
	let copied = 0;
	let after = firstId;
	let inVain = 0;
	const findMissing = await missingFinder(db, schema, source);
	for (;;) {
		await fence.check();
		const { last, missing } = await findMissing(after);
		const before = copied;
		for (const id of missing) {
			await fence.check();
			const one = sql`SELECT * FROM ${source.view} WHERE entity_id = ${id}::uuid FOR SHARE`;
			const row = await copy(one);
			copied += row?.copied ?? 0;
		}
		if (missing.length > 0) {
			inVain = copied > before ? 0 : inVain + 1;
			if (inVain > attempts) throw notCopied(source, missing);
			continue;
		}
		if (last === null) return copied;
		after = last;
	}
}

/** Each look found them missing, and each copy found an entry that is in their way. */
function notCopied(
	{ entityType }: KvSource,
	missing: readonly string[],
): RemError {
	return new RemError(
		"DATABASE",
		`${missing.length} rows of ${entityType} have no entry in kv_store and get none, such as ${missing[0]}`,
		{
			hint: "another program has changed what the cache is filled from: run `rem migrate`, then rebuild again",
		},
	);
}

interface MissingRows {
	/** Ids without an entry. */
	readonly missing: readonly string[];
	/** Where the next range begins; `null`: this was the last one. */
	readonly last: string | null;
}

/** Finds the rows of a range of ids that have no entry: one look into the index for each. */
async function missingFinder(
	db: Handle,
	schema: string,
	{ view, entityType }: KvSource,
): Promise<(after: string) => Promise<MissingRows>> {
	const options = {
		readOnly: true,
		idempotent: true,
		settings: { ...orderedWalk, ...(await seeingAll(db)) },
	} as const;
	return (after) =>
		db.transaction(async (tx) => {
			const { rows } = await tx.query<MissingRows>(sql`
WITH s AS MATERIALIZED (
  SELECT entity_id FROM ${view} WHERE entity_id > ${after}::uuid
  ORDER BY entity_id LIMIT ${rangeSize}
)
SELECT ARRAY(SELECT s.entity_id::text FROM s
    WHERE (SELECT k.entity_id FROM ${kvStore(schema)} AS k
      WHERE k.entity_type = ${entityType} AND k.entity_id = s.entity_id LIMIT 1) IS NULL) AS missing,
  (SELECT s.entity_id FROM s OFFSET ${rangeSize - 1} LIMIT 1) AS last`);
			return rows[0] ?? { missing: [], last: null };
		}, options);
}
