import * as z from "zod";
import { definitionOf, isArrayType } from "./column-types.ts";
import type { Entity } from "./entity.ts";
import type { Field } from "./field.ts";
import { isJsonNumber } from "./json-number.ts";

/**
 * A value of JSON as the field's type: JSON has neither dates nor bigints. What
 * does not look like the type stays as it is: validation then reports it.
 */
export function fromJson({ type, bigint }: Field, value: unknown): unknown {
	const { fromJson: read } = definitionOf(type).cell;
	if (read === undefined) return value;
	if (!isArrayType(type)) return read(value, bigint);
	if (!Array.isArray(value)) return value;
	const items = value.map((item) => read(item, bigint));
	return items.some((item, at) => item !== value[at]) ? items : value;
}

/** The value that was read of a text, unless the model takes the text itself: z.coerce.date(), z.stringbool(), … */
export function acceptedValue(
	entity: Entity,
	field: Field,
	{ typed, given }: { readonly typed: unknown; readonly given: unknown },
): unknown {
	if (typed === given) return typed;
	const schema = entity.shape[field.name];
	return schema === undefined || z.safeParse(schema, typed).success
		? typed
		: given;
}

/** An object of JSON as a row of the model: what validation takes. */
export function rowFromJson(
	entity: Entity,
	given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(given).map(([name, value]) => {
			const field = entity.fieldsByName.get(name);
			if (field === undefined) return [name, value];
			const typed = fromJson(field, value);
			return [name, acceptedValue(entity, field, { typed, given: value })];
		}),
	);
}

/** A filter of JSON, with values of the fields' types. */
export function filterFromJson(
	entity: Entity,
	filter: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(filter).map(([name, value]) => {
			if (name === "AND" || name === "OR" || name === "NOT")
				return [name, filtersFromJson(entity, value)];
			const field = entity.fieldsByName.get(name);
			return [name, field === undefined ? value : condition(field, value)];
		}),
	);
}

function filtersFromJson(entity: Entity, value: unknown): unknown {
	if (Array.isArray(value))
		return value.map((item) => filtersFromJson(entity, item));
	return isObject(value) ? filterFromJson(entity, value) : value;
}

function condition(field: Field, value: unknown): unknown {
	if (!isObject(value) || isJsonNumber(value)) return scalar(field, value);
	return Object.fromEntries(
		Object.entries(value).map(([operator, operand]) => [
			operator,
			Array.isArray(operand)
				? operand.map((item) => scalar(field, item))
				: scalar(field, operand),
		]),
	);
}

/** One value to compare with, of a list field too. */
function scalar({ type, bigint }: Field, value: unknown): unknown {
	const { fromJson: read } = definitionOf(type).cell;
	return read === undefined ? value : read(value, bigint);
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
