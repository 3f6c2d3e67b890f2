import type { Field } from "../models/field.ts";
import { contentHash } from "../vectors/content-hash.ts";

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
			// Through JSON and back: what is stored is what JSON kept of it.
			return equalJson(JSON.parse(JSON.stringify(value)), stored);
		case "timestamptz":
			return (value as Date).getTime() === (stored as Date).getTime();
		case "bigint":
			return BigInt(value as number) === BigInt(stored as number);
		case "uuid":
			return (value as string).toLowerCase() === stored;
		case "double precision":
		case "boolean":
			return value === stored;
		default:
			return equalLists(field, value as unknown[], stored as unknown[]);
	}
}

/** Of values that JSON.parse made: isDeepStrictEqual, which is for any, took three times as long. */
function equalJson(one: unknown, other: unknown): boolean {
	if (typeof one !== "object" || typeof other !== "object")
		return one === other;
	if (one === null || other === null) return one === other;
	if (Array.isArray(one) !== Array.isArray(other)) return false;
	const names = Object.keys(one);
	return (
		names.length === Object.keys(other).length &&
		names.every(
			(name) =>
				Object.hasOwn(other, name) &&
				equalJson(
					(one as Record<string, unknown>)[name],
					(other as Record<string, unknown>)[name],
				),
		)
	);
}

function equalLists(
	field: Field,
	value: readonly unknown[],
	stored: readonly unknown[],
): boolean {
	// A text item is not hashed: it is compared as it is.
	const text = (item: unknown) =>
		item instanceof Date
			? item.toISOString()
			: field.type === "uuid[]"
				? String(item).toLowerCase()
				: String(item);
	return (
		value.length === stored.length &&
		value.every((item, index) => text(item) === text(stored[index]))
	);
}
