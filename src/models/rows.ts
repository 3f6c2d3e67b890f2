import type { Entity } from "./entity.ts";
import type { Field } from "./field.ts";

/** A database row, by column, as the row of the entity, by field. */
export function toRow(
	entity: Entity,
	record: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
	const row: Record<string, unknown> = {};
	for (const field of entity.fieldsByName.values())
		row[field.name] = fromColumn(field, record[field.column]);
	return row;
}

/** The value of a column as that of its field. */
export function fromColumn(field: Field, value: unknown): unknown {
	if (value === null || value === undefined) return null;
	if (!field.bigint) return value;
	return Array.isArray(value)
		? value.map((item) => BigInt(item))
		: BigInt(value as number | bigint);
}

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
