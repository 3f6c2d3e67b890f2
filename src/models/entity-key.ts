import type { Entity } from "./entity.ts";

/** The natural key of a row as the cache has it: one field, or several with `#` between; `null` where one of them is. */
export function keyOfRow(
	entity: Entity,
	row: Readonly<Record<string, unknown>>,
): string | null {
	if (entity.keyFields === null) return null;
	const values = entity.keyFields.map(({ name }) => row[name] ?? null);
	return values.includes(null) ? null : values.map(partText).join("#");
}

function partText(value: unknown): string {
	return value instanceof Date ? value.toISOString() : String(value);
}
