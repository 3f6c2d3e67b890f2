import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	columnDdl,
	columnType,
	defaultExpression,
	keyColumns,
} from "../schema/entity-ddl.ts";
import { ident, type Sql, sql } from "../sql.ts";
import type { LiveTable } from "./live-tables.ts";

/**
 * The statements that bring a table to its model without losing or rewriting
 * anything; what needs more is `SCHEMA_DRIFT`, all of it named at once.
 */
export function columnSteps(
	table: EntityTable,
	live: LiveTable,
	isNewDefinition: boolean,
): Sql[] {
	const steps: Sql[] = [];
	const drift: string[] = [];
	for (const field of table.entity.fieldsByName.values())
		compareColumn(table, live, field, steps, drift);
	if (isNewDefinition) steps.push(...defaultSteps(table, live));
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
}

/** Defaults as the model has them now; setting one again changes nothing. */
function defaultSteps(table: EntityTable, live: LiveTable): Sql[] {
	return table.entity.fields.flatMap((field) => {
		const found = live.columns.get(field.column);
		const value = defaultExpression(field);
		const alter = sql`ALTER TABLE ${tableRef(table)} ALTER COLUMN ${ident(field.column)}`;
		if (value !== undefined) return [sql`${alter} SET DEFAULT ${value}`];
		return found?.hasDefault ? [sql`${alter} DROP DEFAULT`] : [];
	});
}

/** The type as the catalogue writes it. */
function catalogType(field: Field): string {
	return columnType(field)
		.replace("timestamptz(3)", "timestamp(3) with time zone")
		.replace("varchar", "character varying");
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
	if (live.keyColumns === null) return [];
	if (table.entity.keyFields === null)
		return [
			`its key is unique over (${live.keyColumns.join(", ")}), and the model has none`,
		];
	const expected = keyColumns(table).join(", ");
	const found = live.keyColumns.join(", ");
	return expected === found
		? []
		: [`its key is unique over (${found}), expected (${expected})`];
}
