import { createHash } from "node:crypto";
import type { Database, Handle } from "../db/database.ts";
import {
	embeddingFieldsRef,
	embeddingQueueRef,
	embeddingVersionsRef,
} from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, type Sql, sql, toText } from "../sql.ts";

/**
 * - `filling`: older texts are still to be queued
 * - `embedded`: every text has its vector or waits for it
 * - `removing`: the latest version of the model does not embed it
 */
type FieldState = "filling" | "embedded" | "removing";

/** A field whose texts have vectors in the database, also where the model of this process lacks it. */
export interface EmbeddedField {
	readonly tableName: string;
	readonly field: string;
	readonly column: string;
	readonly state: FieldState;
	/** Changes with the state, so that a step settles only what it began with. */
	readonly stamp: string;
}

/** `undefined` where the table does not exist yet, or may not be read: then the models decide. */
export async function readFields(
	db: Handle,
	schema: string,
): Promise<EmbeddedField[] | undefined> {
	if (!(await mayRead(db, schema))) return undefined;
	const { rows } = await db.query<EmbeddedField>(
		sql`
SELECT entity_type AS "tableName", field_name AS field, column_name AS "column", state, updated_at::text AS stamp
FROM ${embeddingFieldsRef(schema)} ORDER BY entity_type, field_name`,
		{ idempotent: true },
	);
	return rows;
}

/** Checked first: inside a caller's transaction a failed statement would abort it. */
async function mayRead(db: Handle, schema: string): Promise<boolean> {
	const name = toText(embeddingFieldsRef(schema));
	const { rows } = await db.query<{ may: boolean }>(
		sql`SELECT coalesce(has_table_privilege(to_regclass(${name}), 'SELECT'), FALSE) AS may`,
		{ idempotent: true },
	);
	return rows[0]?.may === true;
}

/** Whether this role may write the state of fields: an application's own role often may not. */
export async function mayWriteFields(
	db: Handle,
	schema: string,
): Promise<boolean> {
	const fields = toText(embeddingFieldsRef(schema));
	const versions = toText(embeddingVersionsRef(schema));
	const { rows } = await db.query<{ may: boolean }>(sql`
SELECT coalesce(bool_and(has_table_privilege(t.oid, 'SELECT') AND has_table_privilege(t.oid, 'INSERT')
  AND has_table_privilege(t.oid, 'UPDATE') AND has_table_privilege(t.oid, 'DELETE')), FALSE) AS may
FROM (VALUES (to_regclass(${fields})), (to_regclass(${versions}))) AS t (oid)`);
	return rows[0]?.may === true;
}

/**
 * The table with the fields that have vectors in the database: also those that
 * only another version of the model knows. Work on the queue is decided by it.
 */
export function asRegistered(
	table: EntityTable,
	fields: readonly EmbeddedField[] | undefined,
): EntityTable {
	const registered = fieldsOf(table, fields);
	if (registered === undefined) return table;
	const { entity } = table;
	const embedFields = registered
		.filter(({ state }) => state !== "removing")
		.map(
			({ field, column }) =>
				entity.embedFields.find(({ name }) => name === field) ??
				textField(field, column),
		);
	return { ...table, entity: { ...entity, embedFields } };
}

/**
 * The table with those of its model's fields that have vectors in the database:
 * a writer gives no vector to a field that no trigger watches, before the
 * migration that adds it or after the one that removes it.
 */
export function knownFields(
	table: EntityTable,
	fields: readonly EmbeddedField[] | undefined,
): EntityTable {
	const registered = fieldsOf(table, fields);
	const { entity } = table;
	const embedFields = entity.embedFields.filter(
		({ name }) =>
			registered === undefined ||
			registered.some(
				({ field, state }) => field === name && state !== "removing",
			),
	);
	if (embedFields.length === entity.embedFields.length) return table;
	return { ...table, entity: { ...entity, embedFields } };
}

function fieldsOf(
	{ entity }: EntityTable,
	fields: readonly EmbeddedField[] | undefined,
): EmbeddedField[] | undefined {
	const own = fields?.filter(({ tableName }) => tableName === entity.tableName);
	// A table that was never migrated to has none.
	return own === undefined || own.length === 0 ? undefined : own;
}

function textField(name: string, column: string): Field {
	return {
		name,
		column,
		type: "text",
		nullable: true,
		defaultValue: undefined,
		embed: true,
		bigint: false,
	};
}

interface ModelFields {
	readonly tables: readonly EntityTable[];
	/** Those in the database, as {@link readFields} returned them. */
	readonly fields: readonly EmbeddedField[] | undefined;
}

/**
 * Registers the fields that the models embed. Every version adds its own; only the
 * latest one removes what it does not embed, so that a process of an older
 * version which starts again removes nothing. A field whose column is gone, or
 * was renamed, goes in any case.
 */
export async function registerFields(
	db: Database,
	schema: string,
	{ tables, fields }: ModelFields,
): Promise<void> {
	if (fields === undefined || !(await mayWriteFields(db, schema))) return;
	const versions = embeddingVersionsRef(schema);
	const { rows } = await db.query<{ tableName: string; version: string }>(sql`
SELECT entity_type AS "tableName", version FROM ${versions} ORDER BY ordinal DESC`);
	const changed = tables.filter((table) => {
		const { tableName } = table.entity;
		const known = rows.filter((row) => row.tableName === tableName);
		const version = versionOf(table);
		const own = fields.filter((field) => field.tableName === tableName);
		const isNewest = known[0]?.version === version;
		const isKnown = known.some((row) => row.version === version);
		return !(isKnown && isSettled(table, own, isNewest));
	});
	if (changed.length === 0) return;
	const registry = embeddingFieldsRef(schema);
	const models = sql`unnest(${textArray(changed.map(({ entity }) => entity.tableName))},
  ${textArray(changed.map(versionOf))}) AS i (entity_type, version)`;
	const embedded = changed.flatMap(({ entity }) =>
		entity.embedFields.map((field) => ({ ...field, type: entity.tableName })),
	);
	const own = sql`unnest(${textArray(embedded.map(({ type }) => type))}, ${textArray(embedded.map(({ name }) => name))},
  ${textArray(embedded.map(({ column }) => column))}) AS o (entity_type, field_name, column_name)`;
	await db.transaction(
		async (tx) => {
			// One at a time: two versions may migrate at once.
			await tx.query(sql`LOCK TABLE ${versions} IN SHARE ROW EXCLUSIVE MODE`);
			const columns = await readColumns(tx, schema, changed);
			await tx.query(sql`
INSERT INTO ${versions} (entity_type, version) SELECT i.entity_type, i.version FROM ${models} ON CONFLICT DO NOTHING`);
			await tx.query(sql`
INSERT INTO ${registry} AS f (entity_type, field_name, column_name, updated_at)
SELECT o.entity_type, o.field_name, o.column_name, statement_timestamp() FROM ${own}
ON CONFLICT (entity_type, field_name) DO UPDATE SET
  column_name = excluded.column_name, state = 'filling', updated_at = excluded.updated_at
WHERE f.state = 'removing' OR f.column_name <> excluded.column_name`);
			await tx.query(sql`
UPDATE ${registry} AS f SET state = 'removing', updated_at = statement_timestamp()
FROM ${models}
WHERE f.entity_type = i.entity_type AND f.state <> 'removing'
  AND NOT EXISTS (SELECT FROM ${own} WHERE o.entity_type = f.entity_type AND o.field_name = f.field_name)
  AND (i.version = (SELECT v.version FROM ${versions} AS v WHERE v.entity_type = f.entity_type ORDER BY v.ordinal DESC LIMIT 1)
    OR NOT EXISTS (SELECT FROM ${columns} WHERE c.entity_type = f.entity_type AND c.column_name = f.column_name))`);
			// Where a column was renamed, another one may have its name now, and other texts.
			await tx.query(sql`
UPDATE ${registry} AS f SET state = 'filling', updated_at = statement_timestamp()
FROM ${models}
WHERE f.entity_type = i.entity_type AND f.state = 'embedded'
  AND EXISTS (SELECT FROM ${registry} AS o WHERE o.entity_type = f.entity_type AND o.state = 'removing'
    AND NOT EXISTS (SELECT FROM ${columns} WHERE c.entity_type = o.entity_type AND c.column_name = o.column_name))`);
		},
		{ retries: 5 },
	);
}

/** The columns that the tables have, as rows of `c (entity_type, column_name)`. */
async function readColumns(
	tx: Handle,
	schema: string,
	tables: readonly EntityTable[],
): Promise<Sql> {
	const names = textArray(tables.map(({ entity }) => entity.tableName));
	const { rows } = await tx.query<{ table: string; column: string }>(sql`
SELECT c.relname::text AS "table", a.attname::text AS "column"
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = to_regnamespace(quote_ident(${schema})) AND c.relname = ANY (${names})
  AND a.attnum > 0 AND NOT a.attisdropped`);
	return sql`unnest(${textArray(rows.map(({ table }) => table))}, ${textArray(rows.map(({ column }) => column))}) AS c (entity_type, column_name)`;
}

/** Whether a migration has nothing to write. A column that is gone is found by {@link registerFields} of the version without it. */
function isSettled(
	{ entity }: EntityTable,
	own: readonly EmbeddedField[],
	isNewest: boolean,
): boolean {
	const active = own.filter(({ state }) => state !== "removing");
	const hasAll = entity.embedFields.every((field) =>
		active.some(
			(one) => one.field === field.name && one.column === field.column,
		),
	);
	return hasAll && (!isNewest || active.length === entity.embedFields.length);
}

/** A hash of what distinguishes versions of a model. */
function versionOf({ entity }: EntityTable): string {
	const fields = entity.fields.map(({ name, column, type, nullable }) => [
		name,
		column,
		type,
		nullable,
		entity.embedFields.some((field) => field.name === name),
	]);
	const keys = entity.keyFields?.map(({ name }) => name) ?? null;
	return createHash("sha256")
		.update(JSON.stringify([fields, keys, entity.tenantScoped]))
		.digest("hex");
}

/** Vectors of the field's texts as they were: those of texts that no trigger watched. */
export async function removeOutdated(
	db: Handle,
	{ table, field }: { table: EntityTable; field: Field },
	signal: AbortSignal | undefined,
): Promise<void> {
	for await (const page of vectorPages(db, table, signal))
		await db.query(sql`
DELETE FROM ${embeddingsRef(table)} AS e USING (
  SELECT o.id FROM (${page}) AS page
  JOIN ${embeddingsRef(table)} AS o ON o.id = page.id
  JOIN ${tableRef(table)} AS r ON r.id = o.entity_id
  WHERE page.field_name = ${field.name}
    AND o.content_hash IS DISTINCT FROM sha256(convert_to(${ident("r", field.column)}, 'UTF8'))
) AS outdated
WHERE e.id = outdated.id`);
}

/** Removes the vectors of fields and what waits for them; returns how many vectors there were. */
export async function removeVectors(
	db: Handle,
	{ table, fields }: { table: EntityTable; fields: readonly string[] },
	signal: AbortSignal | undefined,
): Promise<number> {
	const names = textArray(fields);
	await db.query(sql`
DELETE FROM ${embeddingQueueRef(table.schema)} AS q
WHERE q.entity_type = ${table.entity.tableName} AND q.field_name = ANY (${names})`);
	let removed = 0;
	for await (const page of vectorPages(db, table, signal)) {
		const { rowCount } = await db.query(sql`
DELETE FROM ${embeddingsRef(table)} AS e USING (${page}) AS page
WHERE e.id = page.id AND page.field_name = ANY (${names})`);
		removed += rowCount;
	}
	return removed;
}

const vectorsPerPage = 5000;

/** Queries of one page of vectors after the other, in the order of their ids. */
async function* vectorPages(
	db: Handle,
	table: EntityTable,
	signal: AbortSignal | undefined,
): AsyncGenerator<Sql> {
	const embeddings = embeddingsRef(table);
	let after = sql`TRUE`;
	for (;;) {
		signal?.throwIfAborted();
		const { rows } = await db.query<{ id: string }>(sql`
SELECT v.id FROM ${embeddings} AS v WHERE ${after} ORDER BY v.id OFFSET ${vectorsPerPage - 1} LIMIT 1`);
		const last = rows[0]?.id;
		const page =
			last === undefined ? after : sql`${after} AND v.id <= ${last}::uuid`;
		yield sql`SELECT v.id, v.field_name FROM ${embeddings} AS v WHERE ${page}`;
		if (last === undefined) return;
		after = sql`v.id > ${last}::uuid`;
	}
}

/** A field's older texts are queued. */
export async function markEmbedded(
	db: Handle,
	schema: string,
	{ tableName, field, stamp }: EmbeddedField,
): Promise<void> {
	await db.query(sql`
UPDATE ${embeddingFieldsRef(schema)} SET state = 'embedded', updated_at = statement_timestamp()
WHERE entity_type = ${tableName} AND field_name = ${field} AND state = 'filling' AND updated_at = ${stamp}::timestamptz`);
}

/** A field's vectors are gone, and every writer knows: nothing is left to watch. */
export async function deleteField(
	db: Handle,
	schema: string,
	{ tableName, field, stamp }: EmbeddedField,
): Promise<void> {
	await db.query(sql`
DELETE FROM ${embeddingFieldsRef(schema)}
WHERE entity_type = ${tableName} AND field_name = ${field} AND state = 'removing' AND updated_at = ${stamp}::timestamptz
  AND updated_at < statement_timestamp() - ${removalMs} * interval '1 millisecond'`);
}

/** Writers follow within five seconds; a transaction of theirs may take longer. */
const removalMs = 60_000;

function textArray(values: readonly string[]): Sql {
	return sql`${encodeArray("text", values)}::text[]`;
}
