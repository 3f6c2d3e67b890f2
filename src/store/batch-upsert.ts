import { setImmediate as nextTurn } from "node:timers/promises";
import type { Handle } from "../db/database.ts";
import { settles } from "../db/embedding-queue.ts";
import { rowsPerStatement, slices } from "../db/pipelined.ts";
import { stoppable } from "../db/stoppable.ts";
import { RemError, reading } from "../errors.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	type ValidRow,
	validateRows,
	validationSteps,
} from "../models/validate.ts";
import type { VectorSpace } from "../models/vector.ts";
import { elementAt, membersOf, valueAt } from "../util/present.ts";
import { uuidv7 } from "../util/uuid.ts";
import {
	add,
	ChunkProgress,
	nothingWritten,
	VectorForecast,
} from "./chunk-progress.ts";
import { explainDrift } from "./explain-drift.ts";
import {
	gatherFirstStatistics,
	rowsBeforeStatistics,
} from "./first-statistics.ts";
import {
	type Prepared,
	prepare,
	type TextVectors,
	type UpsertCall,
	type UpsertOptions,
	type UpsertPart,
} from "./prepare.ts";
import { RowChanged } from "./read-stored.ts";
import type { UpsertResult } from "./upsert-result.ts";
import { writeBatch } from "./write-batch.ts";

/**
 * Writes entities: validate, compare with what is stored, embed what changed
 * (no transaction is open while a provider is called), then rows and vectors in one transaction;
 * triggers maintain the cache. An array is one transaction unless `atomic` is
 * "chunk"; any other iterable is committed chunk by chunk, the next chunk being
 * read and embedded while this one is written.
 */
export async function batchUpsert(
	call: UpsertCall,
	entities: Iterable<unknown> | AsyncIterable<unknown>,
): Promise<UpsertResult> {
	checkEntities(entities);
	const { db, table, options } = call;
	const { signal } = options;
	const tables = new Set([table]);
	const watched = { ...call, db: stoppable(db, signal), tables };
	try {
		checkCancelled(signal);
		return await upsertAny(watched, entities);
	} catch (error) {
		if (signal?.aborted === true) throw asCancelled(error);
		throw await explainDrift(db, [...tables], asDrift(table, error));
	}
}

/** With the tables that rows are written into, of all buckets that the call has reached. */
interface WatchedCall extends UpsertCall {
	readonly tables: Set<EntityTable>;
}

async function upsertAny(
	call: WatchedCall,
	entities: Iterable<unknown> | AsyncIterable<unknown>,
): Promise<UpsertResult> {
	const { table, options } = call;
	if (!Array.isArray(entities)) {
		const chunks = validatedChunks(table, entities, options);
		return upsertChunks(call, chunks, undefined);
	}
	const rows = await validateAll(table, entities, options);
	if (options.atomic === true) return upsertWhole(call, rows);
	return upsertChunks(call, slices(rows), rows.length);
}

/** Where the call can be cancelled, it yields to other work between steps. */
async function validateAll(
	table: EntityTable,
	entities: readonly unknown[],
	{ scope, signal }: UpsertOptions,
): Promise<ValidRow[]> {
	if (signal === undefined) return validateRows(table.entity, entities, scope);
	const steps = validationSteps(table.entity, entities, scope);
	for (;;) {
		const step = steps.next();
		if (step.done === true) return step.value;
		await nextTurn();
		checkCancelled(signal);
	}
}

/** Rows were validated against their model: a column that still lacks a value is not in the model, or differs from it. */
export function asDrift({ entity }: EntityTable, error: unknown): unknown {
	if (!(error instanceof RemError)) return error;
	const { committed, cause, sqlState } = error;
	const { table, column, constraint } = membersOf(cause);
	if (table !== entity.tableName) return error;
	const isKeyOfAnother =
		sqlState === "23505" &&
		entity.keyFields === null &&
		constraint === boundedName(`uq_${table}`);
	if (sqlState !== "23502" && !isKeyOfAnother) return error;
	const difference = isKeyOfAnother
		? "it has a natural key, the model has none"
		: `column "${column}" must not be null`;
	return new RemError(
		"SCHEMA_DRIFT",
		`table "${table}" differs from its model: ${difference}`,
		{
			hint: "run `rem migrate` or service.migrate() first (`rem schema diff` shows what differs)",
			cause,
			sqlState,
			...(committed === undefined ? {} : { committed }),
		},
	);
}

/** Each step reports a cancellation in words of its own. */
function asCancelled(error: unknown): unknown {
	if (!(error instanceof RemError) || error.code !== "CANCELLED") return error;
	const { committed } = error;
	return new RemError("CANCELLED", "the batch upsert was cancelled", {
		hint:
			committed === undefined
				? "nothing was written"
				: (error.hint ?? "nothing was committed"),
		cause: error.cause,
		...(committed === undefined ? {} : { committed }),
	});
}

function checkEntities(entities: unknown): void {
	const isMany =
		typeof entities === "object" &&
		entities !== null &&
		(Symbol.iterator in entities || Symbol.asyncIterator in entities);
	if (isMany) return;
	throw new RemError("VALIDATION", "entities must be an array or an iterable", {
		hint: "pass an array, also for a single entity",
	});
}

/** One transaction for all rows. */
async function upsertWhole(
	call: WatchedCall,
	rows: readonly ValidRow[],
): Promise<UpsertResult> {
	const { options } = call;
	checkCancelled(options.signal);
	const prepared = await prepareParts(call, rows);
	checkCancelled(options.signal);
	await new Forecasts(rows.length).beforeWrite(prepared);
	const result = await commit(call, prepared);
	const { length } = rows;
	options.onProgress?.({ done: length, total: length, ids: result.ids });
	return result;
}

async function* validatedChunks(
	table: EntityTable,
	entities: Iterable<unknown> | AsyncIterable<unknown>,
	options: UpsertOptions,
): AsyncGenerator<ValidRow[]> {
	let chunk: unknown[] = [];
	let first = 0;
	// What a row's getter throws is not the source's error.
	const validated = () =>
		reading("batchUpsert", () =>
			validateRows(table.entity, chunk, {
				...options.scope,
				firstIndex: first,
			}),
		);
	for await (const entity of entities) {
		chunk.push(entity);
		if (chunk.length < rowsPerStatement) continue;
		yield validated();
		first += chunk.length;
		chunk = [];
	}
	if (chunk.length > 0) yield validated();
}

/** Each chunk is committed on its own, while the next one is read, validated and embedded. */
async function upsertChunks(
	call: WatchedCall,
	chunks: Iterable<ValidRow[]> | AsyncIterable<ValidRow[]>,
	total: number | undefined,
): Promise<UpsertResult> {
	const { db, options } = call;
	const progress = new ChunkProgress(options.onProgress, total);
	const forecasts = new Forecasts(total);
	let writing: Promise<void> = Promise.resolve();
	let written = 0;
	const write = async (prepared: PreparedBatch, count: number) => {
		const result = await commit(call, prepared);
		progress.committed(count, result);
		written += count;
		if (written === rowsBeforeStatistics)
			for (const { call } of prepared.parts)
				await gatherFirstStatistics(db, call.table);
	};
	try {
		for await (const rows of chunks) {
			checkCancelled(options.signal);
			const prepared = await prepareParts(call, rows);
			await writing;
			await forecasts.beforeWrite(prepared);
			writing = write(prepared, rows.length);
			// Awaited with the next chunk; until then its rejection must not be unhandled.
			writing.catch(() => {});
		}
	} catch (error) {
		const failure = await writing.then(
			() => error,
			(earlier) => earlier,
		);
		throw progress.describe(failure);
	}
	await writing.catch((error) => {
		throw progress.describe(error);
	});
	return progress.result;
}

/** How often rows that other writers change are read again. */
export const attempts = 20;

/**
 * Plans that suit a statement of one row or of 500, and a table of any size.
 * - The planner would fold a chunk's arrays into the plan, copying 3 MB of
 *   vectors several times: 6 ms a statement, a fifth of the server's work.
 * - Foreign keys and triggers cache their plans for the connection's life. One
 *   made while the table had a page scans it for every row: loading 20,000
 *   vectors took 23 s instead of 3.4.
 */
export const planSettings = {
	plan_cache_mode: "force_generic_plan",
	enable_seqscan: "off",
};

/** A batch settles its own texts: the triggers need not queue them. */
export function writeSettings(
	table: EntityTable,
	space: VectorSpace | undefined,
): Record<string, string> {
	if (space === undefined) return planSettings;
	return { ...planSettings, ...settles(table, space) };
}

/** The rows of a part, ready to be written. */
interface PreparedPart extends UpsertPart {
	readonly prepared: Prepared;
}

interface PreparedBatch {
	/** The validated rows. */
	readonly rows: readonly ValidRow[];
	readonly parts: readonly PreparedPart[];
}

/** Prepares what is written into each table; a text that is in several parts is embedded once. */
async function prepareParts(
	call: WatchedCall,
	rows: readonly ValidRow[],
	known: TextVectors = new Map(),
): Promise<PreparedBatch> {
	const parts =
		call.split === undefined
			? [{ call, rows, isCopy: false }]
			: await call.split(rows);
	let vectors = known;
	const ids = new Map<ValidRow, string>();
	const newId = (row: ValidRow) => {
		const id = ids.get(row) ?? uuidv7();
		ids.set(row, id);
		return id;
	};
	const prepared: PreparedPart[] = [];
	for (const part of parts) {
		call.tables.add(part.call.table);
		const own = await prepare(part.call, part.rows, vectors);
		vectors = own.vectors;
		prepared.push({
			...part,
			prepared: call.split === undefined ? own : { ...own, newId },
		});
	}
	return { rows, parts: prepared };
}

/** How many vectors each table is to get. */
class Forecasts {
	readonly #total: number | undefined;
	readonly #ofTables = new Map<EntityTable, VectorForecast>();

	constructor(total: number | undefined) {
		this.#total = total;
	}

	async beforeWrite({ parts }: PreparedBatch): Promise<void> {
		for (const { call, prepared } of parts) {
			const { table, options } = call;
			// How many rows of a longer call a table gets is unknown: only those so far are counted.
			const total = parts.length === 1 ? this.#total : undefined;
			const forecast = this.#ofTables.get(table) ?? new VectorForecast(total);
			this.#ofTables.set(table, forecast);
			await options.beforeWrite?.(forecast.add(prepared));
		}
	}
}

async function commit(
	call: WatchedCall,
	batch: PreparedBatch,
): Promise<UpsertResult> {
	const { db, table } = call;
	let current = batch;
	for (let attempt = 1; ; attempt++) {
		try {
			const results = await db.transaction((tx) => writeParts(tx, current), {
				retries: attempts,
				isLimited: true,
				// Rows identified by key or id are the same rows the second time.
				idempotent: current.parts.every(({ prepared }) =>
					prepared.rows.every(({ row }) => (row.id ?? row.key) !== null),
				),
				settings: settingsOf(current),
			});
			current.parts.forEach(({ onCommitted }, at) => {
				onCommitted?.(elementAt(results, at));
			});
			return summed(current, results);
		} catch (error) {
			if (!(error instanceof RowChanged)) throw error;
			if (attempt === attempts) throw tooBusy(table);
			const { vectors } = batch.parts.at(-1)?.prepared ?? {};
			current = await prepareParts(call, batch.rows, vectors);
		}
	}
}

/** Settings of the transaction; of several tables each part has its own. */
function settingsOf({ parts: [only, ...more] }: PreparedBatch) {
	return only === undefined || more.length > 0
		? planSettings
		: writeSettings(only.call.table, only.prepared.space);
}

async function writeParts(
	tx: Handle,
	{ parts }: PreparedBatch,
): Promise<UpsertResult[]> {
	const results: UpsertResult[] = [];
	for (const { call, prepared } of parts) {
		const { table, options } = call;
		const write = (inner: Handle) =>
			writeBatch(inner, table, {
				...prepared,
				merge: options.merge,
				boundUser: options.scope.boundUser,
			});
		results.push(
			parts.length === 1
				? await write(tx)
				: await tx.transaction(write, {
						settings: writeSettings(table, prepared.space),
					}),
		);
	}
	return results;
}

/** Of all parts, with the ids in the order of the input; copies are the same rows. */
function summed(
	{ rows, parts }: PreparedBatch,
	results: readonly UpsertResult[],
): UpsertResult {
	const [only, ...more] = results;
	if (only !== undefined && more.length === 0) return only;
	const ids = new Map<ValidRow, string>();
	let sum = nothingWritten;
	parts.forEach((part, at) => {
		if (part.isCopy) return;
		const result = elementAt(results, at);
		sum = add(sum, result);
		part.rows.forEach((row, index) => {
			ids.set(row, elementAt(result.ids, index));
		});
	});
	return { ...sum, ids: rows.map((row) => valueAt(ids, row)) };
}

export function tooBusy({ entity }: EntityTable): RemError {
	return new RemError(
		"DATABASE",
		`rows of "${entity.tableName}" were changed by other writers ${attempts} times while they were being written`,
		{ hint: "nothing was written; try again, or write in smaller batches" },
	);
}

function checkCancelled(signal: AbortSignal | undefined): void {
	if (signal?.aborted === true)
		throw new RemError("CANCELLED", "the batch upsert was cancelled");
}
