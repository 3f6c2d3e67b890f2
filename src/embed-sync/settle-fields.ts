import { dropIndex, readIndexes } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import { isVectorIndex } from "../schema/index-types.ts";
import { ident, literal, sql, toText } from "../sql.ts";
import {
	asRegistered,
	deleteField,
	type EmbeddedField,
	markEmbedded,
	mayWriteFields,
	readFields,
	removeOutdated,
	removeVectors,
} from "./fields.ts";
import { queueMissing } from "./find-missing.ts";
import { followRenames } from "./follow-renames.ts";
import { awaitWriters, readModels } from "./models.ts";
import type { EmbedContext } from "./work-on-lease.ts";

/**
 * Makes the vectors agree with `rem_embedding_fields`: queues the older texts of a
 * field that embeds from now on, removes the vectors of one that no longer does,
 * and moves those whose text another field has now.
 * It may be interrupted at any time and repeated, by several processes at once.
 * Returns whether the removal of a field is to be checked again.
 */
export async function settleFields(
	context: EmbedContext,
	signal: AbortSignal | undefined,
): Promise<boolean> {
	const { db, schema } = context;
	const fields = (await readFields(db, schema)) ?? [];
	const isDone = fields.every(({ state }) => state === "embedded");
	// What this role may not write is left to a process of the owner.
	if (isDone || !(await mayWriteFields(db, schema))) return false;
	let isLeft = false;
	for (const tableName of new Set(fields.map((field) => field.tableName))) {
		const table = context.table(tableName);
		if (table === undefined) continue;
		const own = fields.filter((field) => field.tableName === tableName);
		const removing = own.filter(({ state }) => state === "removing");
		for (const field of removing) await dropIndexes(db, table, field);
		await fill(db, { table, fields: own }, signal);
		for (const field of removing) {
			signal?.throwIfAborted();
			isLeft = true;
			await removeVectors(db, { table, fields: [field.field] }, signal);
			await deleteField(db, schema, field);
		}
	}
	return isLeft;
}

interface TableFields {
	readonly table: EntityTable;
	readonly fields: readonly EmbeddedField[];
}

/** Before the vectors of fields that are none any more are removed: a field may be one of them under a new name. */
async function fill(
	db: Handle,
	{ table, fields }: TableFields,
	signal: AbortSignal | undefined,
): Promise<void> {
	if (fields.every(({ state }) => state !== "filling")) return;
	signal?.throwIfAborted();
	// Their triggers may have run before the field was registered.
	await awaitWriters(db, table, signal);
	// A column may be dropped at any time; the next migration takes its field out.
	const columns = await readColumns(db, table);
	const filling = fields.filter(
		({ state, column }) => state === "filling" && columns.has(column),
	);
	const lost = fields.filter(
		({ state, column }) => state === "removing" || !columns.has(column),
	);
	if (lost.length > 0 && filling.length > 0)
		await followRenames(
			db,
			{
				table: asRegistered(table, filling),
				from: [...lost, ...filling].map(({ field }) => field),
			},
			signal,
		);
	for (const field of filling) await fillField(db, { table, field }, signal);
}

async function fillField(
	db: Handle,
	{ table, field }: { table: EntityTable; field: EmbeddedField },
	signal: AbortSignal | undefined,
): Promise<void> {
	const only = asRegistered(table, [field]);
	const [column] = only.entity.embedFields;
	if (column === undefined) return;
	await removeOutdated(db, { table, field: column }, signal);
	for (const model of await readModels(db, table.schema))
		if (
			model.tableName === field.tableName &&
			(model.state === "active" || model.state === "filling")
		)
			await queueMissing(db, { table: only, space: model }, signal);
	await markEmbedded(db, table.schema, field);
}

async function readColumns(
	db: Handle,
	{ schema, entity }: EntityTable,
): Promise<Set<string>> {
	const { rows } = await db.query<{ name: string }>(sql`
SELECT attname::text AS name FROM pg_attribute
WHERE attrelid = to_regclass(${toText(ident(schema, entity.tableName))}) AND attnum > 0 AND NOT attisdropped`);
	return new Set(rows.map(({ name }) => name));
}

/** They would be changed with every vector that is removed. A role that does not own them leaves them. */
async function dropIndexes(
	db: Handle,
	table: EntityTable,
	{ field }: EmbeddedField,
): Promise<void> {
	const condition = `(field_name)::text = ${toText(literal(field))}::text`;
	const indexes = await readIndexes(db, table.schema, [
		table.entity.embeddingsTableName,
	]);
	for (const index of indexes)
		if (
			isVectorIndex(index) &&
			index.isOwn &&
			index.predicate?.includes(condition)
		)
			await dropIndex(db, table.schema, index.name);
}
