import type { Entity } from "../../models/entity.ts";
import { toColumn } from "../../models/names.ts";

/** Our own names in the snake_case of the specification; what lies below stays as it is. */
export function snakeNames(record: object): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(record).map(([name, value]) => [toColumn(name), value]),
	);
}

/** A row by its columns' names. */
export function columnNames(
	entity: Entity,
	row: object,
): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(row).map(([name, value]) => [
			entity.fieldsByName.get(name)?.column ?? toColumn(name),
			value,
		]),
	);
}
