import type { Field } from "../models/field.ts";
import {
	equalNumbers,
	isJsonNumber,
	type JsonNumber,
} from "../models/json-number.ts";
import { parseJson, writeJson } from "../models/json-text.ts";
import { contentHash } from "../vectors/texts.ts";

/** Whether a value equals what {@link readStored} returned for its field. */
export function equalsStored(
	field: Field,
	value: unknown,
	stored: unknown,
): boolean {
	if (value === null || stored === null) return value === stored;
	switch (field.type) {
		case "text":
			return contentHash(value as string).equals(stored as Buffer);
		case "jsonb":
			return equalsJson(asJson(value), stored);
		case "timestamptz":
			// An infinity is a number.
			return Number(value) === Number(stored);
		case "bigint":
			return BigInt(value as number) === BigInt(stored as number);
		case "uuid":
			return (value as string).toLowerCase() === stored;
		case "double precision":
			return value === stored || Object.is(value, stored);
		case "boolean":
			return value === stored;
		default:
			return equalLists(field, value as unknown[], stored as unknown[]);
	}
}

/**
 * Whether the value, as JSON represents it, equals what is stored. Each level is compared
 * as it is: a copy through JSON of every row of a load took three times as long.
 */
function equalsJson(value: unknown, stored: unknown): boolean {
	if (isJsonNumber(value) || isJsonNumber(stored))
		return isNumber(value) && isNumber(stored) && equalNumbers(value, stored);
	if (typeof value !== "object" || typeof stored !== "object")
		return value === stored;
	if (value === null || stored === null) return value === stored;
	if (Array.isArray(value))
		return (
			Array.isArray(stored) &&
			value.length === stored.length &&
			// By place: every() passes over holes, which JSON represents as null.
			stored.every((item, at) => equalsJson(asJson(value[at]) ?? null, item))
		);
	if (Array.isArray(stored)) return false;
	const object = stored as Readonly<Record<string, unknown>>;
	let count = 0;
	for (const [name, item] of Object.entries(value)) {
		const json = asJson(item);
		if (json === undefined) continue;
		if (!Object.hasOwn(object, name) || !equalsJson(json, object[name]))
			return false;
		count++;
	}
	return count === Object.keys(object).length;
}

function isNumber(value: unknown): value is number | JsonNumber {
	return typeof value === "number" || isJsonNumber(value);
}

/** The value as JSON represents it, down to its own fields; `undefined`: JSON leaves it out. */
function asJson(value: unknown): unknown {
	if (typeof value !== "object" || value === null || isJsonNumber(value))
		return value;
	const isPlain =
		Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
	const { toJSON } = value as { toJSON?: unknown };
	return isPlain && typeof toJSON !== "function"
		? value
		: (parseJson(writeJson({ value })) as { value?: unknown }).value;
}

function equalLists(
	field: Field,
	value: readonly unknown[],
	stored: readonly unknown[],
): boolean {
	// A text item is not hashed: it is compared as it is.
	const text = (item: unknown) =>
		item instanceof Date
			? String(item.getTime())
			: field.type === "uuid[]"
				? String(item).toLowerCase()
				: String(item);
	// Another program may have stored NULL in a list, which is not "null".
	const isSame = (one: unknown, other: unknown) =>
		one === null || other === null ? one === other : text(one) === text(other);
	return (
		value.length === stored.length &&
		value.every((item, index) => isSame(item, stored[index]))
	);
}
