import type { Handle } from "../db/database.ts";
import { embeddingModelsRef, settles } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import { sendPipelined } from "../db/pipelined.ts";
import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import { queueTextsSql } from "../vectors/queue-texts.ts";
import {
	type EmbeddedText,
	removeOutdated,
	removeVectors,
	storeVectors,
} from "../vectors/store-vectors.ts";
import { contentHash, isEmbeddable } from "../vectors/texts.ts";
import type { CurrentText } from "../vectors/write-vectors.ts";
import { type Batch, batches, batchInput } from "./batches.ts";
import { equalRows } from "./compare-rows.ts";
import type { ExportedModel } from "./export-format.ts";
import type {
	ImportedCount,
	ImportProgress,
	ImportResult,
} from "./export-result.ts";
import {
	gatherFirstStatistics,
	rowsBeforeStatistics,
} from "./first-statistics.ts";
import {
	broken,
	type ImportedRow,
	type ImportedTable,
	type OpenedExport,
} from "./read-export.ts";
import { ofUser } from "./write-rows.ts";
import { settleTexts } from "./write-texts.ts";

export interface ImportRowsOptions {
	/** Whether vectors of the export are left out, and its texts left to the worker or `sync`. */
	readonly skipsVectors: boolean;
	readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
	/** As of the call: stored rows of other users are not replaced. @default any user's */
	readonly userId?: string | null | undefined;
	/** Called at the end with what was written into each table. */
	readonly onWritten?: (table: ImportedTable, count: ImportedCount) => void;
}

/**
 * Writes the rows of an export as they are, with ids, times and vectors, in the
 * caller's transaction. The triggers maintain the cache of names and the words, as
 * they do for any writer. Texts that come with their vectors are never queued.
 */
export async function importRows(
	tx: Handle,
	{ tables, rows }: OpenedExport,
	options: ImportRowsOptions,
): Promise<ImportResult> {
	if (!options.skipsVectors)
		for (const table of tables) await registerModels(tx, table);
	const counts = new Map(tables.map((table) => [table, noRows]));
	let total = noRows;
	for await (const batch of batches(rows)) {
		checkCancelled(options.signal);
		const [{ table }] = batch;
		const written = await writeChanged(tx, batch, options);
		const before = counts.get(table) ?? noRows;
		const after = add(before, written);
		counts.set(table, after);
		if (table.isCopy !== true) total = add(total, written);
		if (
			before.inserted < rowsBeforeStatistics &&
			after.inserted >= rowsBeforeStatistics
		)
			await gatherFirstStatistics(tx, table.table);
		options.onProgress?.({
			rows: total.inserted + total.updated + total.unchanged,
		});
	}
	const byName: Record<string, ImportedCount> = {};
	for (const [table, count] of counts) {
		options.onWritten?.(table, count);
		if (table.isCopy === true) continue;
		const { tableName } = table.table.entity;
		byName[tableName] = add(byName[tableName] ?? noRows, count);
	}
	return { ...total, embeddingsGenerated: 0, tables: byName };
}

/** @internal */
export const noRows: ImportedCount = {
	inserted: 0,
	updated: 0,
	unchanged: 0,
	vectors: 0,
	embeddingsQueued: 0,
	edges: 0,
};

/** @internal */
export function add(a: ImportedCount, b: ImportedCount): ImportedCount {
	return {
		inserted: a.inserted + b.inserted,
		updated: a.updated + b.updated,
		unchanged: a.unchanged + b.unchanged,
		vectors: a.vectors + b.vectors,
		embeddingsQueued: a.embeddingsQueued + b.embeddingsQueued,
		edges: a.edges + b.edges,
	};
}

function checkCancelled(signal: AbortSignal | undefined): void {
	if (signal?.aborted === true)
		throw new RemError("CANCELLED", "the import was cancelled", {
			hint: "nothing was written",
		});
}

/** Models that searches do not use yet, or any more: their vectors are there, and `prune` removes them. */
async function registerModels(
	tx: Handle,
	{ table, models }: ImportedTable,
): Promise<void> {
	for (const { provider, model, dimensions, state } of models)
		if (state === "filling" || state === "retired")
			await tx.query(sql`
INSERT INTO ${embeddingModelsRef(table.schema)} (entity_type, provider, model, dimensions, state)
VALUES (${table.entity.tableName}, ${provider}, ${model}, ${dimensions}::integer, 'retired')
ON CONFLICT DO NOTHING`);
}

/** The rows whose stored row is missing or differs. */
async function writeChanged(
	tx: Handle,
	batch: Batch,
	options: ImportRowsOptions,
): Promise<ImportedCount> {
	checkDifferent(batch);
	const equal = await findEqual(tx, batch, options);
	const [first, ...others] = batch.filter((row) => !equal.has(row));
	const written =
		first === undefined
			? noRows
			: await writeBatch(tx, [first, ...others], options);
	return { ...written, unchanged: equal.size };
}

/** Values are sent to be compared only where rows of their ids are stored: an import into an empty table writes them at once. */
async function findEqual(
	tx: Handle,
	batch: Batch,
	options: ImportRowsOptions,
): Promise<ReadonlySet<ImportedRow>> {
	const { table } = batch[0].table;
	const ids = encodeArray(
		"uuid",
		batch.map(({ id }) => id),
	);
	const { rows } = await tx.query<{ id: string }>(
		sql`SELECT t.id FROM ${tableRef(table)} AS t WHERE t.id = ANY (${ids}::uuid[])`,
	);
	const stored = new Set(rows.map(({ id }) => id));
	const [first, ...others] = batch.filter(({ id }) => stored.has(id));
	return first === undefined
		? new Set()
		: equalRows(tx, [first, ...others], options);
}

/** In a savepoint: where the database refuses a row, each is tried alone, to name its line. */
async function writeBatch(
	tx: Handle,
	batch: Batch,
	options: ImportRowsOptions,
): Promise<ImportedCount> {
	const settings = settingsOf(batch, options);
	const write = (rows: Batch) =>
		tx.transaction((inner) => writeRows(inner, rows, options), { settings });
	try {
		return await write(batch);
	} catch (error) {
		if (!isRefusal(error)) throw error;
		for (const row of batch)
			try {
				await write([row]);
			} catch (cause) {
				throw isRefusal(cause) ? refused(row, cause) : cause;
			}
		throw error;
	}
}

/**
 * The triggers do not queue the texts of the model that searches use. When they did,
 * and the import removed them from the queue after it had written their vectors,
 * 20,000 rows took 26 to 49 s, growing with the square of their number: dead entries of
 * a transaction stay in the indexes until it ends.
 */
function settingsOf(
	[{ table }]: Batch,
	{ skipsVectors }: ImportRowsOptions,
): Readonly<Record<string, string>> {
	const space = skipsVectors ? undefined : activeModel(table);
	return space === undefined ? {} : settles(table.table, space);
}

function activeModel({ models }: ImportedTable): ExportedModel | undefined {
	return models.find(({ state }) => state === "active");
}

/** A row has one line: of two, it would be open which is right. */
function checkDifferent(batch: Batch): void {
	const lines = new Map<string, number>();
	for (const { id, line } of batch) {
		const earlier = lines.get(id);
		if (earlier !== undefined)
			throw broken(line, `has the id of line ${earlier}`, "id");
		lines.set(id, line);
	}
}

/** The row's own fault, by class: a value that is not of the type, or a constraint. */
function isRefusal(error: unknown): error is RemError {
	return error instanceof RemError && /^(?:22|23)/.test(error.sqlState ?? "");
}

function refused({ line, table }: ImportedRow, error: RemError): RemError {
	const isTaken = error.sqlState === "23505";
	const message = isTaken
		? `another row of "${table.table.entity.tableName}" has its key or another value that must be unique`
		: error.message;
	return new RemError(
		isTaken ? "DUPLICATE_KEY" : "VALIDATION",
		`line ${line}: ${message}`,
		{
			hint: isTaken
				? "nothing was written; an import matches rows by their id: delete the stored row, or take the line out of the file"
				: "nothing was written; correct the line",
			cause: error.cause,
			...(error.sqlState === undefined ? {} : { sqlState: error.sqlState }),
		},
	);
}

async function writeRows(
	tx: Handle,
	batch: Batch,
	{ skipsVectors, userId }: ImportRowsOptions,
): Promise<ImportedCount> {
	const { rows } = await tx.query<{ id: string; inserted: boolean }>(
		writeRowsSql(batch, userId),
	);
	if (rows.length < batch.length) throw foreignId(batch, rows);
	const updated = new Set(
		rows.flatMap(({ id, inserted }) => (inserted ? [] : id)),
	);
	const texts = currentTexts(batch);
	const vectors = skipsVectors ? 0 : await writeVectors(tx, batch, updated);
	const waiting = skipsVectors
		? texts.filter(hasText)
		: withoutVector(batch, texts);
	if (!skipsVectors) await settle(tx, batch, { texts, waiting, updated });
	return {
		inserted: rows.length - updated.size,
		updated: updated.size,
		unchanged: 0,
		vectors,
		embeddingsQueued: waiting.length,
		edges: batch.reduce((sum, { edges }) => sum + edges, 0),
	};
}

function writeRowsSql(batch: Batch, userId: string | null | undefined): Sql {
	const [
		{
			table: { table, fields },
		},
	] = batch;
	const columns = fields.map(({ column }) => ident(column));
	const { from, values } = batchInput(batch);
	const assignments = fields
		.filter(({ name }) => name !== "id")
		.map(({ column }) => sql`${ident(column)} = excluded.${ident(column)}`);
	const isOfTenant = table.entity.tenantScoped
		? sql`t.tenant_id = excluded.tenant_id`
		: raw("TRUE");
	return sql`INSERT INTO ${tableRef(table)} AS t (${join(columns)})
SELECT ${join(values)}
FROM ${from} ORDER BY i.rem_ord
ON CONFLICT (id) DO UPDATE SET
  ${join(assignments, ",\n  ")}
WHERE ${isOfTenant}${ofUser(userId)}
RETURNING t.id, old.id IS NULL AS inserted`;
}

function foreignId(
	batch: Batch,
	written: readonly { readonly id: string }[],
): RemError {
	const ids = new Set(written.map(({ id }) => id));
	const line = batch.find(({ id }) => !ids.has(id))?.line ?? 0;
	return new RemError(
		"DUPLICATE_KEY",
		`line ${line}: its id is already taken`,
		{
			hint: "nothing was written; a row of another tenant has it, or of another user than the call's: a copy for another tenant of the same database takes fromTenant and newIds (rem load --from-tenant TENANT --new-ids)",
		},
	);
}

/** Vectors as they are in the export; those of the same models that the stored row had are gone. */
async function writeVectors(
	tx: Handle,
	batch: Batch,
	updated: ReadonlySet<string>,
): Promise<number> {
	const [
		{
			table: { table, fields, models },
		},
	] = batch;
	let written = 0;
	for (const space of models) {
		if (updated.size > 0)
			await removeVectors(tx, table, {
				ids: [...updated],
				fields: fields.map(({ name }) => name),
				space,
			});
		const texts = textsOf(batch, space);
		await storeVectors(tx, table, { texts, space, rowLock: "new" });
		for (const { passages } of texts) written += passages.length;
	}
	return written;
}

interface SettledTexts {
	readonly texts: readonly CurrentText[];
	/** Of these, the ones without a vector of the model in use. */
	readonly waiting: readonly CurrentText[];
	/** The ids of rows that were stored before. */
	readonly updated: ReadonlySet<string>;
}

/** What the triggers leave to the import: vectors of older texts, and the queue. */
async function settle(
	tx: Handle,
	batch: Batch,
	{ texts, waiting, updated }: SettledTexts,
): Promise<void> {
	const [{ table: imported }] = batch;
	const { table } = imported;
	const space = activeModel(imported);
	await removeOutdated(tx, table, {
		texts: texts.filter(({ entityId }) => updated.has(entityId)),
		space: undefined,
	});
	await settleTexts(tx, table, texts);
	if (space !== undefined)
		await sendPipelined(tx, waiting, {
			build: (slice) =>
				queueTextsSql(table, slice, { space, onlyKnown: false }),
		});
}

/** The texts that have vectors of the model, each with those of its passages in their order. */
function textsOf(batch: Batch, space: ExportedModel): EmbeddedText[] {
	return batch.flatMap(({ id, vectors }) => {
		const own = vectors.filter(({ model }) => model === space);
		const fields = new Set(own.map(({ field }) => field));
		return [...fields].map((field): EmbeddedText => {
			const passages = own
				.filter((vector) => vector.field === field)
				.sort((a, b) => a.chunk - b.chunk);
			return {
				entityId: id,
				field,
				contentHash: elementAt(passages, 0).hash,
				passages,
			};
		});
	});
}

/** The embedded fields that the export has, with what their texts are now. */
function currentTexts(batch: Batch): CurrentText[] {
	const [
		{
			table: { table, fields },
		},
	] = batch;
	const { embedFields } = table.entity;
	const deletedAt = fields.findIndex(({ name }) => name === "deletedAt");
	const places = embedFields
		.map(({ name }) => ({
			name,
			at: fields.findIndex((field) => field.name === name),
		}))
		.filter(({ at }) => at >= 0);
	return batch.flatMap(({ id, texts }) => {
		const isLive = (texts[deletedAt] ?? null) === null;
		return places.map(({ name, at }): CurrentText => {
			const text = texts[at];
			return {
				entityId: id,
				field: name,
				contentHash: isLive && isEmbeddable(text) ? contentHash(text) : null,
			};
		});
	});
}

function hasText({ contentHash }: CurrentText): boolean {
	return contentHash !== null;
}

/** The texts that have no vector of their present content in the export. */
function withoutVector(
	batch: Batch,
	texts: readonly CurrentText[],
): CurrentText[] {
	const [{ table }] = batch;
	const active = activeModel(table);
	const counts = (model: ExportedModel) =>
		active === undefined ? model.state !== "retired" : model === active;
	const rows = new Map(batch.map((row) => [row.id, row]));
	return texts.filter(({ entityId, field, contentHash }) => {
		if (contentHash === null) return false;
		const { vectors = [] } = rows.get(entityId) ?? {};
		return !vectors.some(
			(vector) =>
				vector.field === field &&
				counts(vector.model) &&
				vector.chunk === 0 &&
				vector.hash.equals(contentHash),
		);
	});
}
