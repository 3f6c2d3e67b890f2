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
import { awaitWriters, readModels } from "./models.ts";
import type { EmbedContext } from "./work-on-lease.ts";

/**
 * Makes the vectors agree with `rem_embedding_fields`: queues the older texts of a
 * field that embeds from now on, removes the vectors of one that no longer does.
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
	for (const field of fields) {
		signal?.throwIfAborted();
		const table = context.table(field.tableName);
		if (table === undefined) continue;
		if (field.state === "filling") await fill(db, { table, field }, signal);
		if (field.state !== "removing") continue;
		isLeft = true;
		await dropIndexes(db, table, field);
		await removeVectors(db, { table, fields: [field.field] }, signal);
		await deleteField(db, schema, field);
	}
	return isLeft;
}

async function fill(
	db: Handle,
	{ table, field }: { table: EntityTable; field: EmbeddedField },
	signal: AbortSignal | undefined,
): Promise<void> {
	// Their triggers may have run before the field was registered.
	await awaitWriters(db, table, signal);
	const only = asRegistered(table, [field]);
	const [column] = only.entity.embedFields;
	if (column === undefined || !(await hasColumn(db, table, field))) return;
	await removeOutdated(db, { table, field: column }, signal);
	for (const model of await readModels(db, table.schema))
		if (
			model.tableName === field.tableName &&
			(model.state === "active" || model.state === "filling")
		)
			await queueMissing(db, { table: only, space: model }, signal);
	await markEmbedded(db, table.schema, field);
}

/** A column may be dropped at any time; the next migration takes its field out. */
async function hasColumn(
	db: Handle,
	{ schema, entity }: EntityTable,
	{ column }: EmbeddedField,
): Promise<boolean> {
	const { rowCount } = await db.query(sql`
SELECT FROM pg_attribute WHERE attrelid = to_regclass(${toText(ident(schema, entity.tableName))})
  AND attname = ${column} AND attnum > 0 AND NOT attisdropped`);
	return rowCount > 0;
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
