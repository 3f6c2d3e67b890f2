import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	columnDdl,
	defaultExpression,
	keyColumns,
} from "../schema/entity-ddl.ts";
import { ident, type Sql, sql } from "../sql.ts";
import type { LiveTable } from "./live-tables.ts";

/**
 * The statements that bring a table to its model without losing or rewriting
 * anything; what needs more is `SCHEMA_DRIFT`, all of it named at once.
 */
export function columnSteps(table: EntityTable, live: LiveTable): Sql[] {
	const steps: Sql[] = [];
	const drift: string[] = [];
	for (const field of table.entity.fieldsByName.values())
		compareColumn(table, live, field, steps, drift);
	drift.push(...unknownColumns(table, live), ...keyDrift(table, live));
	if (drift.length === 0) return steps;
	throw new RemError(
		"SCHEMA_DRIFT",
		`table "${table.entity.tableName}" differs from its model: ${drift.join("; ")}`,
		{
			hint: "`rem schema diff` shows the statements that would mend it; nothing was changed",
		},
	);
}

function compareColumn(
	table: EntityTable,
	live: LiveTable,
	field: Field,
	steps: Sql[],
	drift: string[],
): void {
	const column = ident(field.column);
	const alter = sql`ALTER TABLE ${tableRef(table)}`;
	const found = live.columns.get(field.column);
	if (found === undefined) {
		const canAdd =
			field.nullable || defaultExpression(field) !== undefined || !live.hasRows;
		if (canAdd) steps.push(sql`${alter} ADD COLUMN ${columnDdl(field)}`);
		else
			drift.push(
				`column "${field.column}" is missing, and rows that exist would have no value: give it a default or make it optional`,
			);
		return;
	}
	const type = catalogType(field);
	if (found.type !== type) {
		drift.push(`column "${field.column}" is ${found.type}, expected ${type}`);
		return;
	}
	if (field.nullable && found.notNull)
		steps.push(sql`${alter} ALTER COLUMN ${column} DROP NOT NULL`);
	if (!field.nullable && !found.notNull)
		drift.push(`column "${field.column}" takes NULL, the model does not`);
	if (!table.entity.fields.includes(field)) return;
	const value = defaultExpression(field);
	if (value !== undefined && !found.hasDefault)
		steps.push(sql`${alter} ALTER COLUMN ${column} SET DEFAULT ${value}`);
	if (value === undefined && found.hasDefault)
		steps.push(sql`${alter} ALTER COLUMN ${column} DROP DEFAULT`);
}

/** The type as the catalogue writes it. */
function catalogType(field: Field): string {
	if (field.name === "tenantId" || field.name === "userId")
		return "character varying(100)";
	return field.type.replace("timestamptz", "timestamp with time zone");
}

/** A column that is not the model's must not be needed by an insert. */
function unknownColumns({ entity }: EntityTable, live: LiveTable): string[] {
	const known = new Set(
		[...entity.fieldsByName.values()].map((field) => field.column),
	);
	return [...live.columns].flatMap(([name, column]) =>
		known.has(name) || !column.notNull || column.hasDefault
			? []
			: `column "${name}" must not be NULL, and the model does not have it`,
	);
}

function keyDrift(table: EntityTable, live: LiveTable): string[] {
	const { keyFields } = table.entity;
	if (keyFields === null || live.keyColumns === null) return [];
	const expected = keyColumns(table).join(", ");
	const found = live.keyColumns.join(", ");
	return expected === found
		? []
		: [`its key is unique over (${found}), expected (${expected})`];
}
