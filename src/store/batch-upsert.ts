import type { Handle } from "../db/database.ts";
import { generateBatch, vectorProblem } from "../embeddings/generate-batch.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import type { RowScope } from "../models/validate.ts";
import { type ValidRow, validateRows } from "../models/validate.ts";
import type { VectorSpace } from "../schema/indexes.ts";
import {
	deleteStaleVectors,
	type FieldText,
	type FieldVector,
	writeVectors,
} from "../vectors/write-vectors.ts";
import { distinctRows, inLockOrder } from "./distinct-rows.ts";
import { type PlannedRow, planRows } from "./plan-rows.ts";
import { isFoundByKey, readStored } from "./read-stored.ts";
import { rowsPerStatement, type WrittenRow, writeRows } from "./write-rows.ts";

/** What a batch upsert did; all of it is committed. */
export interface UpsertResult {
	/** Rows that did not exist. */
	readonly inserted: number;
	/** Rows that existed, changed or not. */
	readonly updated: number;
	/** Those of `updated` that were equal: nothing was written for them. */
	readonly unchanged: number;
	/** Rows of the input that a later one with the same key replaced. */
	readonly duplicates: number;
	/** Texts (entity × field) whose vector was stored now. */
	readonly embeddingsGenerated: number;
	/** Texts whose stored vector was still that of their content. */
	readonly embeddingsReused: number;
	/** Texts left for the embedding worker. */
	readonly embeddingsQueued: number;
	/** Entities of the batch that LOOKUP now finds. */
	readonly kvEntries: number;
	/** Ids in the order of the input. Empty for an iterable, which may not fit into memory. */
	readonly ids: readonly string[];
}

export interface UpsertProgress {
	/** Entities committed (atomic arrays: embedded) so far. */
	readonly done: number;
	/** Entities in all, where that is known. */
	readonly total: number | undefined;
	/** Ids of the entities committed since the last call, in input order. */
	readonly ids: readonly string[];
}

export interface UpsertOptions {
	readonly scope: RowScope;
	/** `undefined`: texts get no vectors. */
	readonly provider: EmbeddingProvider | undefined;
	/** Where ready vectors belong, when no provider makes any. */
	readonly space: VectorSpace | undefined;
	readonly embeddingBatchSize: number;
	readonly atomic: true | "chunk";
	readonly onProgress?: ((progress: UpsertProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
}

/** Entities validated, embedded and committed together when they come as a stream. */
export const chunkSize = 500;

/**
 * Writes entities: validate, compare with what is stored, embed what changed
 * (no transaction is open meanwhile), then rows and vectors in one transaction;
 * triggers keep the cache. An array is one transaction unless `atomic` is
 * "chunk"; any other iterable is committed chunk by chunk, the next chunk being
 * read and embedded while this one is written.
 */
export async function batchUpsert(
	db: Handle,
	table: EntityTable,
	entities: Iterable<unknown> | AsyncIterable<unknown>,
	options: UpsertOptions,
): Promise<UpsertResult> {
	if (!Array.isArray(entities))
		return upsertStream(db, table, entities, options);
	const rows = validateRows(table.entity, entities, options.scope);
	if (options.atomic === true)
		return upsertWhole(db, table, rows, options, (ids) =>
			options.onProgress?.({ done: rows.length, total: rows.length, ids }),
		);
	return upsertChunks(db, table, slices(rows), options, rows.length);
}

/** One transaction for all rows. */
async function upsertWhole(
	db: Handle,
	table: EntityTable,
	rows: readonly ValidRow[],
	options: UpsertOptions,
	onDone: (ids: readonly string[]) => void,
): Promise<UpsertResult> {
	checkCancelled(options.signal);
	const prepared = await prepare(db, table, rows, options);
	checkCancelled(options.signal);
	const result = await commit(db, table, prepared, options);
	onDone(result.ids);
	return result;
}

function upsertStream(
	db: Handle,
	table: EntityTable,
	entities: Iterable<unknown> | AsyncIterable<unknown>,
	options: UpsertOptions,
): Promise<UpsertResult> {
	const chunks = validatedChunks(table, entities, options);
	return upsertChunks(db, table, chunks, options, undefined);
}

async function* validatedChunks(
	table: EntityTable,
	entities: Iterable<unknown> | AsyncIterable<unknown>,
	options: UpsertOptions,
): AsyncGenerator<ValidRow[]> {
	let chunk: unknown[] = [];
	let first = 0;
	for await (const entity of entities) {
		chunk.push(entity);
		if (chunk.length < chunkSize) continue;
		yield validateRows(table.entity, chunk, options.scope, first);
		first += chunk.length;
		chunk = [];
	}
	if (chunk.length > 0)
		yield validateRows(table.entity, chunk, options.scope, first);
}

/** Each chunk is committed on its own, while the next one is read, validated and embedded. */
async function upsertChunks(
	db: Handle,
	table: EntityTable,
	chunks: Iterable<ValidRow[]> | AsyncIterable<ValidRow[]>,
	options: UpsertOptions,
	total: number | undefined,
): Promise<UpsertResult> {
	const progress = new ChunkProgress(options, total);
	let writing: Promise<void> = Promise.resolve();
	try {
		for await (const rows of chunks) {
			checkCancelled(options.signal);
			const prepared = await prepare(db, table, rows, options);
			await writing;
			writing = commit(db, table, prepared, options).then((result) =>
				progress.committed(rows.length, result),
			);
			// Awaited with the next chunk; until then a failure must not go unheard.
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

/** How far a batch that is committed in chunks has come. */
class ChunkProgress {
	readonly #options: UpsertOptions;
	readonly #total: number | undefined;
	/** Kept for arrays only: a stream may not fit into memory. */
	readonly #ids: string[] = [];
	#sum = nothingWritten;
	#done = 0;

	constructor(options: UpsertOptions, total: number | undefined) {
		this.#options = options;
		this.#total = total;
	}

	get result(): UpsertResult {
		return { ...this.#sum, ids: this.#ids };
	}

	committed(count: number, result: UpsertResult): void {
		this.#sum = add(this.#sum, result);
		this.#done += count;
		if (this.#total !== undefined) this.#ids.push(...result.ids);
		this.#options.onProgress?.({
			done: this.#done,
			total: this.#total,
			ids: result.ids,
		});
	}

	describe(error: unknown): unknown {
		if (!(error instanceof RemError)) return error;
		const committed =
			this.#done === 0
				? "nothing was committed"
				: `the first ${this.#done} entities are committed, the rest is not`;
		return withHint(error, committed);
	}
}

function withHint(error: RemError, hint: string): RemError {
	const { code, message, cause, issues, sqlState } = error;
	return new RemError(code, message, {
		hint: error.hint === undefined ? hint : `${hint}; ${error.hint}`,
		cause,
		issues,
		...(sqlState === undefined ? {} : { sqlState }),
	});
}

interface Prepared {
	/** As validated, duplicates included. */
	readonly input: readonly ValidRow[];
	/** One row for each row of the database, in the order of locking. */
	readonly rows: readonly PlannedRow[];
	/** For each row of the input, its place in `rows`. */
	readonly places: readonly number[];
	readonly space: VectorSpace | undefined;
	/** Vectors by the hash of their text. */
	readonly vectors: ReadonlyMap<string, Float32Array>;
}

/** Everything that needs no transaction: compare, then embed what changed. */
async function prepare(
	db: Handle,
	table: EntityTable,
	input: readonly ValidRow[],
	options: UpsertOptions,
	known: ReadonlyMap<string, Float32Array> = new Map(),
): Promise<Prepared> {
	const { rows, places } = distinctRows(table, inLockOrder(input));
	const space = table.entity.createEmbeddings ? options.space : undefined;
	const stored = await readStored(db, table, rows, space);
	const planned = planRows(table, rows, stored, options.provider !== undefined);
	const vectors = new Map(known);
	const missing = new Map<string, string>();
	for (const { texts } of planned)
		for (const { text, hash, ready } of texts) {
			if (ready !== undefined) checkReady(ready, space);
			else if (!vectors.has(hash)) missing.set(hash, text);
		}
	if (options.provider !== undefined && missing.size > 0) {
		const made = await generateBatch(options.provider, [...missing.values()], {
			purpose: "document",
			batchSize: options.embeddingBatchSize,
			signal: options.signal,
		});
		[...missing.keys()].forEach((hash, index) => {
			vectors.set(hash, made[index] as Float32Array);
		});
	}
	return {
		input,
		rows: planned,
		places: placesOf(input, places),
		space,
		vectors,
	};
}

function placesOf(
	input: readonly ValidRow[],
	places: ReadonlyMap<ValidRow, number>,
): number[] {
	return input.map((row) => places.get(row) as number);
}

const attempts = 5;

/** Another writer changed a text between our look and our lock: look again. */
class TextChanged extends Error {}

async function commit(
	db: Handle,
	table: EntityTable,
	prepared: Prepared,
	options: UpsertOptions,
): Promise<UpsertResult> {
	let current = prepared;
	for (let attempt = 1; ; attempt++) {
		try {
			return await db.transaction((tx) => writePrepared(tx, table, current), {
				retries: attempts,
			});
		} catch (error) {
			if (!(error instanceof TextChanged) || attempt >= attempts) throw error;
			current = await prepare(
				db,
				table,
				prepared.input,
				options,
				prepared.vectors,
			);
		}
	}
}

async function writePrepared(
	tx: Handle,
	table: EntityTable,
	{ input, rows, places, space, vectors }: Prepared,
): Promise<UpsertResult> {
	const ids = rows.map(({ id }) => id);
	let inserted = 0;
	const toWrite = rows.flatMap((planned, index) =>
		planned.isChanged ? [{ planned, index }] : [],
	);
	for (const arbiter of ["key", "id"] as const) {
		const part = toWrite.filter(
			({ planned }) => isFoundByKey(planned.row) === (arbiter === "key"),
		);
		for (const slice of slices(part)) {
			const written = await writeRows(
				tx,
				table,
				slice.map(({ planned }) => planned),
				arbiter,
			);
			slice.forEach(({ planned, index }, at) => {
				const result = written[at] as WrittenRow;
				checkTexts(planned, result);
				ids[index] = result.id;
				if (result.inserted) inserted++;
			});
		}
	}
	const embeddingsGenerated = await storeVectors(tx, table, {
		rows,
		ids,
		space,
		vectors,
	});
	return {
		inserted,
		updated: rows.length - inserted,
		unchanged: rows.length - toWrite.length,
		duplicates: input.length - rows.length,
		embeddingsGenerated,
		embeddingsReused: rows.reduce((sum, row) => sum + row.reused, 0),
		embeddingsQueued: 0,
		kvEntries: table.entity.createKvTrigger
			? rows.filter(({ row }) => row.key !== null).length
			: 0,
		ids: places.map((place) => ids[place] as string),
	};
}

/** A text that we took for unchanged, and so did not embed, was changed meanwhile. */
function checkTexts(planned: PlannedRow, written: WrittenRow): void {
	const handled = new Set(planned.touched.map(({ field }) => field));
	if (written.changedTexts.some((name) => !handled.has(name)))
		throw new TextChanged();
}

interface VectorsToStore {
	readonly rows: readonly PlannedRow[];
	readonly ids: readonly string[];
	readonly space: VectorSpace | undefined;
	readonly vectors: ReadonlyMap<string, Float32Array>;
}

async function storeVectors(
	tx: Handle,
	table: EntityTable,
	{ rows, ids, space, vectors }: VectorsToStore,
): Promise<number> {
	if (space === undefined) return 0;
	let stored = 0;
	for (const isLocked of [true, false]) {
		const part = rows.flatMap((row, index) =>
			row.isChanged === isLocked ? [{ row, id: ids[index] as string }] : [],
		);
		const toStore = part.flatMap(({ row, id }) =>
			row.texts.flatMap(({ field, hash, hashBytes, ready }): FieldVector[] => {
				const vector = ready ?? vectors.get(hash);
				if (vector === undefined) return [];
				return [{ entityId: id, field, contentHash: hashBytes, vector }];
			}),
		);
		for (const slice of slices(toStore))
			stored += await writeVectors(tx, table, space, slice, isLocked);
		const texts = part.flatMap(({ row, id }): FieldText[] =>
			row.isNew
				? []
				: row.touched.map(({ field, hashBytes }) => ({
						entityId: id,
						field,
						contentHash: hashBytes,
					})),
		);
		for (const slice of slices(texts))
			await deleteStaleVectors(tx, table, slice);
	}
	return stored;
}

function checkReady(
	vector: Float32Array,
	space: VectorSpace | undefined,
): void {
	if (space === undefined)
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			"ready vectors are given, but not whose they are",
			{
				hint: "configure the provider and model they come from, or pass embeddingProvider and embeddingModel",
			},
		);
	const problem = vectorProblem(vector, space.dimensions);
	if (problem !== undefined)
		throw new RemError(
			"DIMENSION_MISMATCH",
			`a ready vector has ${problem} (model ${space.model})`,
			{ hint: "nothing was written" },
		);
}

function* slices<T>(items: readonly T[]): Generator<T[]> {
	for (let at = 0; at < items.length; at += rowsPerStatement)
		yield items.slice(at, at + rowsPerStatement);
}

function checkCancelled(signal: AbortSignal | undefined): void {
	if (signal?.aborted === true)
		throw new RemError("CANCELLED", "the batch upsert was cancelled");
}

const nothingWritten: UpsertResult = {
	inserted: 0,
	updated: 0,
	unchanged: 0,
	duplicates: 0,
	embeddingsGenerated: 0,
	embeddingsReused: 0,
	embeddingsQueued: 0,
	kvEntries: 0,
	ids: [],
};

function add(a: UpsertResult, b: UpsertResult): UpsertResult {
	return {
		inserted: a.inserted + b.inserted,
		updated: a.updated + b.updated,
		unchanged: a.unchanged + b.unchanged,
		duplicates: a.duplicates + b.duplicates,
		embeddingsGenerated: a.embeddingsGenerated + b.embeddingsGenerated,
		embeddingsReused: a.embeddingsReused + b.embeddingsReused,
		embeddingsQueued: a.embeddingsQueued + b.embeddingsQueued,
		kvEntries: a.kvEntries + b.kvEntries,
		ids: [],
	};
}
