import type { Handle } from "../db/database.ts";
import { settledBy, settlesSetting } from "../db/embedding-queue.ts";
import { rowsPerStatement, slices } from "../db/in-turn.ts";
import type { CallOptions } from "../embeddings/generate-batch.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { vectorProblem } from "../embeddings/vector-problem.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	type RowScope,
	type ValidRow,
	validateRows,
} from "../models/validate.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { ChunkProgress } from "./chunk-progress.ts";
import { distinctRows, distinctStored } from "./distinct-rows.ts";
import { embedMissing } from "./embed-missing.ts";
import type { MergeField } from "./merge.ts";
import { type PlannedRow, planRows } from "./plan-rows.ts";
import { readStored } from "./read-stored.ts";
import type { UpsertProgress, UpsertResult } from "./upsert-result.ts";
import {
	type Prepared,
	RowChanged,
	type TextVectors,
	writeBatch,
} from "./write-batch.ts";

export interface UpsertOptions {
	readonly scope: RowScope;
	/** `undefined`: texts get no vectors. */
	readonly provider: EmbeddingProvider | undefined;
	/** Where ready vectors belong, when no provider makes any. */
	readonly space: VectorSpace | undefined;
	/** Whether the caller said so, or nothing else could be meant. */
	readonly isSpaceClear: boolean;
	readonly embeddingCalls: CallOptions;
	/** Texts without a vector are queued, instead of failing the call. */
	readonly queuesFailures: boolean;
	/** Fields that are added to instead of replaced. */
	readonly merge: readonly MergeField[];
	readonly atomic: true | "chunk";
	readonly onProgress?: ((progress: UpsertProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
}

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
	checkEntities(entities);
	if (!Array.isArray(entities))
		return upsertStream(db, table, entities, options);
	const rows = validateRows(table.entity, entities, options.scope);
	if (options.atomic === true)
		return upsertWhole(db, table, rows, options, (ids) =>
			options.onProgress?.({ done: rows.length, total: rows.length, ids }),
		);
	return upsertChunks(db, table, slices(rows), options, rows.length);
}

function checkEntities(entities: unknown): void {
	const isMany =
		typeof entities === "object" &&
		entities !== null &&
		(Symbol.iterator in entities || Symbol.asyncIterator in entities);
	if (isMany) return;
	throw new RemError("VALIDATION", "entities is no list and no iterable", {
		hint: "pass an array, also for a single entity",
	});
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
		if (chunk.length < rowsPerStatement) continue;
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
	const progress = new ChunkProgress(options.onProgress, total);
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

/** Everything that needs no transaction: compare, then embed what changed. */
async function prepare(
	db: Handle,
	table: EntityTable,
	input: readonly ValidRow[],
	options: UpsertOptions,
	known: TextVectors = new Map(),
): Promise<Prepared> {
	const space = table.entity.createEmbeddings ? options.space : undefined;
	const distinct = distinctRows(table.entity, input);
	const { rows, stored, places } = distinctStored(
		distinct,
		await readStored(db, table, distinct.rows, space),
	);
	const planned = planRows(table, rows, stored, {
		embed: options.provider !== undefined || options.queuesFailures,
		merge: options.merge,
	});
	const vectors = new Map(known);
	const missing = new Map<string, string>();
	for (const { texts } of planned)
		for (const { text, hash, ready } of texts) {
			if (ready !== undefined) checkReady(ready, space, options.isSpaceClear);
			else if (!vectors.has(hash)) missing.set(hash, text);
		}
	const made = await embedMissing(missing, options, (hash) =>
		ownerOf(planned, hash),
	);
	for (const [hash, passages] of made) vectors.set(hash, passages);
	return {
		input,
		rows: planned,
		places,
		space,
		vectors,
	};
}

const attempts = 20;

/**
 * Plans that suit a statement of one row or of 500, and a table of any size.
 * - The planner would fold a chunk's arrays into the plan, copying 3 MB of
 *   vectors several times: 6 ms a statement, a fifth of the server's work.
 * - Foreign keys and triggers keep their plans for the connection's life. One
 *   made while the table had a page scans it for every row: loading 20,000
 *   vectors took 23 s instead of 3.4.
 */
const planSettings = {
	plan_cache_mode: "force_generic_plan",
	enable_seqscan: "off",
};

/** A batch settles its own texts: the triggers need not queue them. */
function writeSettings(
	table: EntityTable,
	space: VectorSpace | undefined,
): Record<string, string> {
	if (space === undefined) return planSettings;
	return { ...planSettings, [settlesSetting]: settledBy(table, space) };
}

async function commit(
	db: Handle,
	table: EntityTable,
	prepared: Prepared,
	options: UpsertOptions,
): Promise<UpsertResult> {
	let current = prepared;
	for (let attempt = 1; ; attempt++) {
		try {
			return await db.transaction(
				(tx) => writeBatch(tx, table, current, options.merge),
				{
					retries: attempts,
					// Rows told by key or id are the same rows the second time.
					idempotent: current.rows.every(
						({ row }) => (row.id ?? row.key) !== null,
					),
					settings: writeSettings(table, current.space),
				},
			);
		} catch (error) {
			if (!(error instanceof RowChanged)) throw error;
			if (attempt === attempts) throw tooBusy(table);
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

function tooBusy({ entity }: EntityTable): RemError {
	return new RemError(
		"DATABASE",
		`rows of "${entity.tableName}" were changed by others ${attempts} times while they were being written`,
		{ hint: "nothing was written; try again, or write in smaller batches" },
	);
}

/** Row and field of a text, the first where several have it. */
function ownerOf(
	planned: readonly PlannedRow[],
	hash: string,
): { index?: number; field?: string } {
	for (const { row, texts } of planned) {
		const text = texts.find((text) => text.hash === hash);
		if (text !== undefined) return { index: row.index, field: text.field };
	}
	return {};
}

function checkReady(
	vector: Float32Array,
	space: VectorSpace | undefined,
	isSpaceClear: boolean,
): void {
	if (!isSpaceClear)
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			`ready vectors are given, but not whose they are: the table is kept in another model than the configured one, ${space?.model}`,
			{ hint: "pass embeddingProvider and embeddingModel" },
		);
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

function checkCancelled(signal: AbortSignal | undefined): void {
	if (signal?.aborted === true)
		throw new RemError("CANCELLED", "the batch upsert was cancelled");
}
