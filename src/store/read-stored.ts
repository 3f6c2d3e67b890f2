import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { sendPipelined } from "../db/pipelined.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { ScalarType } from "../models/column-types.ts";
import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import type { VectorSpace } from "../models/vector.ts";
import { keyExpression } from "../schema/key.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { elementAt, valueAt } from "../util/present.ts";

/** What the database has of a row that is about to be written. */
export interface StoredRow {
	readonly id: string;
	readonly tenantId: string;
	readonly userId: string | null;
	readonly isDeleted: boolean;
	/** By field: texts as their sha256, everything else as it is. */
	readonly values: Readonly<Record<string, unknown>>;
	/** Whether kv_store finds it by a key. */
	readonly hasKey: boolean;
	/** By field: the hash of the text that its vector was made from. */
	readonly vectorHashes: Readonly<Record<string, Buffer>>;
	/** By field: sha256 of the vector as it travels; read where ready vectors are given. */
	readonly vectorPrints: Readonly<Record<string, string>>;
}

/** Rows that are about to be written, and where their vectors belong. */
export interface RowsToRead {
	readonly rows: readonly ValidRow[];
	readonly space: VectorSpace | undefined;
	onRead(row: ValidRow, stored: StoredRow | undefined): void;
}

/**
 * Reads what is stored for the rows, in their order, rows that are identified by their
 * key apart from rows that bring their id. Texts are hashed there and then: a
 * stored hash would be wrong after other writers. `onRead` gets each row
 * that was looked for, while the server works on the next ones.
 */
export async function readStored(
	db: Handle,
	table: EntityTable,
	{ rows, space, onRead }: RowsToRead,
): Promise<(StoredRow | undefined)[]> {
	const stored = new Array<StoredRow | undefined>(rows.length);
	const prints = rows.some((row) => Object.keys(row.vectors).length > 0);
	const groups = [
		{ match: byId, of: rows.filter((row) => row.id !== undefined) },
		{ match: byKey, of: rows.filter((row) => isFoundByKey(row)) },
	];
	const at = new Map(rows.map((row, index) => [row, index]));
	for (const { match, of } of groups) {
		if (of.length === 0) continue;
		const fields = suppliedFields(table.entity, of).filter(
			(field) => match === byId || !isKnownByKey(table.entity, field),
		);
		await sendPipelined<ValidRow, StoredRecord>(db, of, {
			build: (slice) =>
				readSql(table, { fields, space, prints }, match(table, slice)),
			onResult: (result, slice) => {
				for (const record of result.rows) {
					const row = elementAt(slice, Number(record.rem_ord) - 1);
					stored[valueAt(at, row)] = toStored(fields, record);
				}
				for (const row of slice) onRead(row, stored[valueAt(at, row)]);
			},
			options: { idempotent: true },
		});
	}
	return stored;
}

export function isFoundByKey(row: ValidRow): boolean {
	return row.id === undefined && row.key !== null;
}

/** Of a row that was found by its key: whether the field is the same, or it would be another row. */
export function isKnownByKey(entity: Entity, field: Field): boolean {
	return (
		entity.keyFields?.includes(field) === true &&
		!entity.embedFields.includes(field)
	);
}

/** Fields that at least one of the rows has a value of its own for. */
function suppliedFields(entity: Entity, rows: readonly ValidRow[]): Field[] {
	const names = new Set<string>();
	for (const { supplied } of rows) for (const name in supplied) names.add(name);
	names.delete("createdAt"); // of a row that exists, it never changes
	return [...names].map((name) => valueAt(entity.fieldsByName, name));
}

function readSql(
	{ entity, schema }: EntityTable,
	{ fields, ...vectors }: VectorsToRead & { readonly fields: readonly Field[] },
	input: { readonly from: Sql; readonly on: Sql },
): Sql {
	const table: EntityTable = { entity, schema };
	const values = fields.map((field, index) => {
		const column = ident("t", field.column);
		const value =
			field.type === "text"
				? sql`sha256(convert_to(${column}, 'UTF8'))`
				: column;
		return sql`, ${value} AS ${ident(`v${index}`)}`;
	});
	const hasKey =
		entity.keyFields === null
			? raw("FALSE")
			: sql`${keyExpression(entity, "t")} IS NOT NULL`;
	return sql`SELECT i.rem_ord, t.id, ${entity.tenantScoped ? sql`t.tenant_id` : literal("*")} AS tenant_id, t.user_id,
  t.deleted_at IS NOT NULL AS is_deleted, ${hasKey} AS has_key${join(values, "")}${vectorHashes(table, vectors)}
FROM ${input.from}
JOIN ${tableRef(table)} AS t ON ${input.on}`;
}

/** What is read of the vectors: where they belong, and whether one is compared with another. */
interface VectorsToRead {
	readonly space: VectorSpace | undefined;
	readonly prints: boolean;
}

function vectorHashes(
	table: EntityTable,
	{ space, prints }: VectorsToRead,
): Sql {
	if (space === undefined || table.entity.embedFields.length === 0)
		return empty;
	const print = prints
		? sql`encode(sha256(vector_send(e.embedding)), 'hex')`
		: raw("NULL");
	return sql`,
  (SELECT jsonb_object_agg(e.field_name, jsonb_build_object('hash', encode(e.content_hash, 'hex'), 'print', ${print}))
    FROM ${embeddingsRef(table)} AS e
    WHERE e.entity_id = t.id AND e.provider = ${space.provider} AND e.model = ${space.model}
      AND e.dimensions = ${space.dimensions} AND e.chunk = 0) AS vectors`;
}

function byId(_table: EntityTable, rows: readonly ValidRow[]) {
	const ids = encodeArray(
		"uuid",
		rows.map(({ id }) => id),
	);
	return {
		from: sql`unnest(${ids}::uuid[]) WITH ORDINALITY AS i (id, rem_ord)`,
		on: sql`t.id = i.id`,
	};
}

/** The key's unique index, user by user: NULL does not equal NULL in an index scan. */
function byKey({ entity }: EntityTable, rows: readonly ValidRow[]) {
	const keyFields = entity.keyFields ?? [];
	const scope = [
		...(entity.tenantScoped
			? [
					scopeColumn(
						"tenant_id",
						rows.map(({ tenantId }) => tenantId),
					),
				]
			: []),
		scopeColumn(
			"user_id",
			rows.map(({ userId }) => userId),
		),
	];
	const keys = keyFields.map((field) => ({
		column: field.column,
		array: arrayOf(
			field.type as ScalarType,
			rows.map((row) => fieldValue(row, field)),
		),
	}));
	const columns = [...scope, ...keys];
	const arrays = columns.map(({ array }) => array);
	const names = columns.map(({ column }) => ident(column));
	const equal = columns
		.filter(({ column }) => column !== "user_id")
		.map(({ column }) => sql`t.${ident(column)} = i.${ident(column)}`);
	const isOneUser = rows.every(({ userId }) => userId === rows[0]?.userId);
	const user = isOneUser
		? rows[0]?.userId === null
			? sql`t.user_id IS NULL`
			: sql`t.user_id = i.user_id`
		: sql`(t.user_id = i.user_id OR (t.user_id IS NULL AND i.user_id IS NULL))`;
	return {
		from: sql`unnest(${join(arrays)}) WITH ORDINALITY AS i (${join(names)}, rem_ord)`,
		on: sql`${join([...equal, user], " AND ")} AND t.deleted_at IS NULL`,
	};
}

function scopeColumn(column: string, values: readonly (string | null)[]) {
	return { column, array: arrayOf("text", values) };
}

function arrayOf(type: ScalarType, values: readonly unknown[]): Sql {
	return sql`${encodeArray(type, values)}::${raw(`${type}[]`)}`;
}

/** A row's value of a field: the caller's, or the model's default. */
export function fieldValue(row: ValidRow, field: Field): unknown {
	return row.supplied[field.name] ?? row.defaults[field.name] ?? null;
}

/** A row of {@link readSql}: the fields are `v0`, `v1` and so on. */
interface StoredRecord extends Readonly<Record<string, unknown>> {
	readonly rem_ord: number | string;
	readonly id: string;
	readonly tenant_id: string;
	readonly user_id: string | null;
	readonly is_deleted: boolean;
	readonly has_key: boolean;
	readonly vectors?: Readonly<
		Record<string, { readonly hash: string; readonly print: string }>
	> | null;
}

function toStored(fields: readonly Field[], record: StoredRecord): StoredRow {
	const vectors = Object.entries(record.vectors ?? {});
	return {
		id: record.id,
		tenantId: record.tenant_id,
		userId: record.user_id,
		isDeleted: record.is_deleted,
		hasKey: record.has_key,
		values: Object.fromEntries(
			fields.map((field, index) => [field.name, record[`v${index}`]]),
		),
		vectorHashes: Object.fromEntries(
			vectors.map(([name, { hash }]) => [name, Buffer.from(hash, "hex")]),
		),
		vectorPrints: Object.fromEntries(
			vectors.map(([name, { print }]) => [name, print]),
		),
	};
}

/** Another writer inserted, changed or deleted a row after it was read and before it was locked: it is read again. */
export class RowChanged extends Error {}
