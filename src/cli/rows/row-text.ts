import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import { keyOfRow } from "../../models/rows.ts";
import { columnNames, jsonText } from "../output/json-text.ts";
import { oneLine } from "../output/plain-text.ts";
import { heading, type Line } from "../output/terminal.ts";
import { cut } from "../output/text-width.ts";
import type { NamedRow } from "./named-rows.ts";

/** A row as JSON prints it: its table, and its columns. */
export function jsonRow({ entity, row }: NamedRow): Record<string, unknown> {
	return { entity_type: entity.tableName, ...columnNames(entity, row) };
}

/** `films/Alien`: its table and key, or id. */
export function rowName({ entity, id, row }: NamedRow): string {
	return `${entity.tableName}/${keyOfRow(entity, row) ?? id}`;
}

/** All of a row's values, a line each. */
export function rowLines(named: NamedRow, width: number): Line[] {
	const { entity, row } = named;
	const columns = Object.entries(columnNames(entity, row)).filter(
		([, value]) => value !== null,
	);
	const room = Math.max(...columns.map(([name]) => name.length));
	return [
		heading(rowName(named)),
		...columns.map(([name, value]) =>
			cut(`  ${name.padEnd(room)}  ${valueText(value)}`, width),
		),
	];
}

function valueText(value: unknown): string {
	if (value instanceof Date) return value.toISOString();
	return oneLine(typeof value === "string" ? value : jsonText(value));
}

/** The field of a name on the command line, by its own name or its column's. */
export function fieldNamed(entity: Entity, name: string): string {
	const field =
		entity.fieldsByName.get(name) ??
		[...entity.fieldsByName.values()].find(({ column }) => column === name);
	// Validation of the patch refuses it, and suggests another.
	return field?.name ?? name;
}

/** Throws once for all names that nothing has. */
export function refuseMissing(missing: readonly string[]): void {
	if (missing.length === 0) return;
	throw new RemError(
		"VALIDATION",
		`nothing is named ${missing.map((name) => `"${name}"`).join(", ")}`,
		{ hint: "nothing was changed; `rem list TABLE` shows the rows" },
	);
}
