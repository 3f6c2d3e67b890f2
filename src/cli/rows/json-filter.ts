import type { Entity } from "../../models/entity.ts";
import { filterFromJson } from "../../models/json-fields.ts";
import { fieldNamed } from "./row-text.ts";

type Filter = Readonly<Record<string, unknown>>;

/**
 * A filter that was written as JSON, for one of the tables or for all of them:
 * texts become the dates that their fields compare with, and fields may be named
 * as columns, as they are in the command's own output.
 *
 * @example
 * jsonFilter([Film], { created_at: { gte: "2026-03-01" } }) // { createdAt: { gte: Date } }
 */
export function jsonFilter(
	entities: readonly Entity[],
	filter: unknown,
): unknown {
	if (Array.isArray(filter))
		return filter.map((item) => jsonFilter(entities, item));
	if (!isFilter(filter)) return filter;
	return Object.fromEntries(
		Object.entries(filter).map(([name, value]) =>
			name === "AND" || name === "OR" || name === "NOT"
				? [name, jsonFilter(entities, value)]
				: condition(entities, filter, { name, value }),
		),
	);
}

interface Condition {
	readonly name: string;
	readonly value: unknown;
}

function condition(
	entities: readonly Entity[],
	filter: Filter,
	{ name, value }: Condition,
): readonly [string, unknown] {
	const entity = entityWith(entities, name);
	if (entity === undefined) return [name, value];
	const field = fieldNamed(entity, name);
	// Both names of one field: one of the conditions would be lost. The search refuses the column's.
	if (field !== name && Object.hasOwn(filter, field)) return [name, value];
	return [field, filterFromJson(entity, { [field]: value })[field]];
}

/** The first model with a field of that name, else with a column of it. */
function entityWith(
	entities: readonly Entity[],
	name: string,
): Entity | undefined {
	return (
		entities.find(({ fieldsByName }) => fieldsByName.has(name)) ??
		entities.find((entity) => entity.fieldsByName.has(fieldNamed(entity, name)))
	);
}

function isFilter(value: unknown): value is Filter {
	return typeof value === "object" && value !== null;
}
