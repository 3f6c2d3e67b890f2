import type { Result } from "../db/database.ts";
import { arrayLiteral, encodeArray } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import { isArrayType } from "../models/column-types.ts";
import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import { toColumn } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import { keyColumns } from "../schema/entity-ddl.ts";
import { liveKeyed } from "../schema/key.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import { type MergeField, mergeSql } from "./merge.ts";
import { fieldValue } from "./read-stored.ts";

/** A row with the id it gets if it is new. */
export interface RowToWrite {
	readonly row: ValidRow;
	readonly id: string;
}

export interface WrittenRow {
	readonly id: string;
	readonly inserted: boolean;
	/** Embeddable fields whose text is not what it was, by name. */
	readonly changedTexts: readonly string[];
}

/** What identifies a row that exists: its natural key, or its id. */
export type Arbiter = "key" | "id";

export interface WriteOptions {
	readonly arbiter: Arbiter;
	/** Fields that are added to instead of replaced. */
	readonly merge?: readonly MergeField[];
	/** As of the rows' scope: an id finds only that user's rows and shared ones. @default any user's */
	readonly boundUser?: string | null | undefined;
}

/** The result of {@link writeRowsSql}, row by row in the order of the input. */
export function readWritten(
	{ entity }: EntityTable,
	rows: readonly RowToWrite[],
	result: Result,
): WrittenRow[] {
	// PGlite has reported success for rows it did not store; and an id of another
	// tenant, or of a deleted row, is left alone by the statement.
	if (result.rowCount !== rows.length)
		throw new RemError(
			"DUPLICATE_KEY",
			`${rows.length - result.rowCount} of ${rows.length} rows of "${entity.tableName}" bring an id that is already taken`,
			{
				hint: "leave the id out, or restore() the deleted row it belongs to; nothing was written",
			},
		);
	const texts = suppliedTexts(entity, rows);
	return result.rows.map((record) =>
		toWritten(record, texts, record.inserted === true),
	);
}

/**
 * Inserts or updates rows in one statement and returns them in the same order.
 * The rows must be sorted: writers that lock in one order never deadlock.
 */
export function writeRowsSql(
	table: EntityTable,
	rows: readonly RowToWrite[],
	{ arbiter, merge = [], boundUser }: WriteOptions,
): Sql {
	const { entity } = table;
	const columns = inputColumns(entity, rows);
	return sql`WITH input AS (
  SELECT * FROM unnest(${join(columns.map(({ array }) => array))})
    WITH ORDINALITY AS i (${join(columns.map(({ name }) => name))}, rem_ord)
)
INSERT INTO ${tableRef(table)} AS t (${join(columns.map(({ name }) => name))})
SELECT ${join(columns.map(({ value }) => value))} FROM input AS i ORDER BY i.rem_ord
ON CONFLICT ${conflictTarget(table, arbiter)} DO UPDATE SET
  ${join([...assignments(table, columns, { arbiter, merge, rows }), sql`updated_at = excluded.updated_at`], ",\n  ")}
${arbiter === "id" ? sql`WHERE t.deleted_at IS NULL${entity.tenantScoped ? sql` AND t.tenant_id = excluded.tenant_id` : empty}${ofUser(boundUser)}\n` : empty}RETURNING t.id, old.id IS NULL AS inserted${join(changedTexts(entity, rows), "")}`;
}

/** @internal Of the row that exists: whether it is the user's, or shared; nothing for any user's. Citus takes no parameter there. */
export function ofUser(userId: string | null | undefined): Sql {
	if (userId === undefined) return empty;
	return userId === null
		? sql` AND t.user_id IS NULL`
		: sql` AND (t.user_id = ${literal(userId)} OR t.user_id IS NULL)`;
}

/**
 * Gives rows that exist the values that one row supplies, and returns those it
 * changed. They are locked in the order of their ids, and must fulfil the
 * condition, on the table `t`, when they are.
 */
export function updateRowsSql(
	table: EntityTable,
	ids: readonly string[],
	{ row, condition, merge }: RowsChange,
): Sql {
	const { entity } = table;
	const rows = [{ row, id: elementAt(ids, 0) }];
	const columns = inputColumns(entity, rows).filter(
		({ supplied }) => supplied === "by all",
	);
	const names = join(columns.map(({ name }) => name));
	return sql`WITH locked AS (
  SELECT t.id FROM ${tableRef(table)} AS t
  WHERE t.id = ANY (${encodeArray("uuid", ids)}::uuid[]) AND ${condition}
  ORDER BY t.id FOR NO KEY UPDATE
), excluded (${names}) AS MATERIALIZED (
  SELECT ${join(columns.map(({ value }) => value))} FROM unnest(${join(columns.map(({ array }) => array))}) AS i (${names})
)
UPDATE ${tableRef(table)} AS t SET
  ${join([...assignments(table, columns, { arbiter: "id", merge, rows }), sql`updated_at = now()`], ",\n  ")}
FROM locked, excluded WHERE t.id = locked.id
RETURNING t.id${join(changedTexts(entity, rows), "")}`;
}

/** What rows that exist become. */
export interface RowsChange {
	/** The values, whatever row it is about. */
	readonly row: ValidRow;
	readonly condition: Sql;
	readonly merge: readonly MergeField[];
}

/** The result of {@link updateRowsSql}; rows that did not fulfil the condition any more are not in it. */
export function readUpdated(
	{ entity }: EntityTable,
	row: ValidRow,
	result: Result,
): WrittenRow[] {
	const texts = suppliedTexts(entity, [{ row, id: "" }]);
	return result.rows.map((record) => toWritten(record, texts, false));
}

function toWritten(
	record: Readonly<Record<string, unknown>>,
	texts: readonly Field[],
	inserted: boolean,
): WrittenRow {
	return {
		id: String(record.id),
		inserted,
		changedTexts: texts
			.filter((_, index) => record[`changed${index}`] === true)
			.map((field) => field.name),
	};
}

/** For each text that is supplied, whether it is another than before. */
function changedTexts(entity: Entity, rows: readonly RowToWrite[]): Sql[] {
	return suppliedTexts(entity, rows).map(
		(field, index) =>
			sql`, old.${ident(field.column)} IS DISTINCT FROM new.${ident(field.column)} AS ${ident(`changed${index}`)}`,
	);
}

interface InputColumn {
	readonly column: string;
	readonly type: Field["type"];
	readonly name: Sql;
	/** The parameter: one array for all rows. */
	readonly array: Sql;
	/** How the value is read from the input. */
	readonly value: Sql;
	/** Whether any row supplies it; the others use it only for new rows. */
	readonly supplied: "by all" | "by some" | "by none";
	readonly isSupplied: (row: ValidRow) => boolean;
}

function inputColumns(
	entity: Entity,
	rows: readonly RowToWrite[],
): InputColumn[] {
	return [
		column(rows, {
			column: "id",
			type: "uuid",
			valueFor: ({ id }) => id,
			isSupplied: () => false,
		}),
		...(entity.tenantScoped
			? [
					column(rows, {
						column: "tenant_id",
						type: "text",
						valueFor: ({ row }) => row.tenantId,
						isSupplied: () => false,
					}),
				]
			: []),
		column(rows, {
			column: "user_id",
			type: "text",
			valueFor: ({ row }) => row.userId,
			isSupplied: (row) => row.hasUserId,
		}),
		...usedFields(entity, rows).map((field) =>
			column(rows, {
				column: field.column,
				type: field.type,
				valueFor: ({ row }) => newValue(row, field),
				isSupplied: (row) =>
					field.name !== "createdAt" && field.name in row.supplied,
			}),
		),
	];
}

type ColumnSource = Pick<InputColumn, "column" | "type" | "isSupplied"> & {
	readonly valueFor: (row: RowToWrite) => unknown;
};

function column(
	rows: readonly RowToWrite[],
	{ valueFor, ...source }: ColumnSource,
): InputColumn {
	const { column, type, isSupplied } = source;
	const values = rows.map(valueFor);
	const count = rows.filter(({ row }) => isSupplied(row)).length;
	const name = ident(column);
	const isArray = isArrayType(type);
	// unnest would flatten arrays of arrays: these go as their text.
	const array = isArray
		? sql`${encodeArray("text", values.map(toLiteral))}::text[]`
		: sql`${encodeArray(type, values)}::${raw(`${type}[]`)}`;
	return {
		...source,
		name,
		array,
		value: isArray ? sql`i.${name}::${raw(type)}` : sql`i.${name}`,
		supplied:
			count === rows.length ? "by all" : count === 0 ? "by none" : "by some",
	};
}

function toLiteral(value: unknown): string | null {
	return value === null ? null : arrayLiteral(value as unknown[]);
}

/** Fields that at least one row has a value for, its own or the model's. */
function usedFields(entity: Entity, rows: readonly RowToWrite[]): Field[] {
	const names = new Set<string>();
	for (const { row } of rows) {
		for (const name in row.supplied) names.add(name);
		for (const name in row.defaults) names.add(name);
	}
	return [...entity.fieldsByName.values()].filter(({ name }) =>
		names.has(name),
	);
}

/** The value of a new row's column; the table's own default where no row supplies one. */
function newValue(row: ValidRow, field: Field): unknown {
	const value = fieldValue(row, field);
	if (value !== null || field.name in row.supplied) return value;
	return field.name === "createdAt" ? new Date() : (field.defaultValue ?? null);
}

function suppliedTexts(entity: Entity, rows: readonly RowToWrite[]): Field[] {
	return entity.embedFields.filter(({ name }) =>
		rows.some(({ row }) => name in row.supplied),
	);
}

/**
 * The rows that supply a column, as a literal: Citus takes no parameter and no
 * subquery there. The ids are those that the rows get, or have.
 */
function idsSupplying(
	rows: readonly RowToWrite[],
	isSupplied: InputColumn["isSupplied"],
): Sql {
	const ids = rows.filter(({ row }) => isSupplied(row)).map(({ id }) => id);
	return sql`${literal(`{${ids.join(",")}}`)}::uuid[]`;
}

function conflictTarget(table: EntityTable, arbiter: Arbiter): Sql {
	if (arbiter === "id") return sql`(id)`;
	const columns = keyColumns(table).map((column) => ident(column));
	return sql`(${join(columns)}) WHERE ${liveKeyed(table.entity)}`;
}

/**
 * What is stored, where the new value equals it: PostgreSQL stores more than is
 * read of it, the scale of a number in JSON (1.00), JSON's null apart from NULL,
 * and where an array begins to count.
 */
function newOrStored(type: Field["type"], name: Sql): Sql {
	const isStored = type.endsWith("[]")
		? sql`t.${name}[:] = excluded.${name}`
		: sql`t.${name} = coalesce(excluded.${name}, 'null')`;
	return type === "jsonb" || type.endsWith("[]")
		? sql`CASE WHEN ${isStored} THEN t.${name} ELSE excluded.${name} END`
		: sql`excluded.${name}`;
}

/** Supplied columns take the new value; where only some rows supply it, these rows'. */
function assignments(
	table: EntityTable,
	columns: readonly InputColumn[],
	{
		arbiter,
		merge = [],
		rows,
	}: WriteOptions & { readonly rows: readonly RowToWrite[] },
): Sql[] {
	const same = new Set(arbiter === "key" ? keyColumns(table) : []);
	return columns.flatMap(({ column, type, name, supplied, isSupplied }) => {
		if (supplied === "by none" || same.has(column)) return [];
		const merged = merge.find((field) => toColumn(field) === column);
		const value =
			merged === undefined
				? newOrStored(type, name)
				: mergeSql(table.schema, merged);
		if (supplied === "by all") return [sql`${name} = ${value}`];
		return [
			sql`${name} = CASE WHEN excluded.id = ANY (${idsSupplying(rows, isSupplied)}) THEN ${value} ELSE t.${name} END`,
		];
	});
}
