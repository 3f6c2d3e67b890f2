import type { Entity } from "../../models/entity.ts";
import { writeJson } from "../../models/json-text.ts";
import { toColumn } from "../../models/names.ts";
import { plainJson } from "./plain-text.ts";

/** JSON as the command prints it: harmless for a terminal, numbers of any size. */
export function jsonText(value: unknown, indent?: number): string {
	const text = writeJson(value, indent, withBigInts) ?? "null";
	// Line breaks between values are JSON's own; those inside are escaped already.
	return text.split("\n").map(plainJson).join("\n");
}

/** A bigint beyond the exact range of a number is written as a text. */
function withBigInts(_key: string, value: unknown): unknown {
	if (typeof value !== "bigint") return value;
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : value.toString();
}

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
