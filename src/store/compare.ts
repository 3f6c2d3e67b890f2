import type { TypeDefinition } from "../models/column-types/definition.ts";
import { definitionOf, isArrayType } from "../models/column-types.ts";
import type { Field } from "../models/field.ts";
import { contentHash } from "../vectors/texts.ts";

/** Whether a value equals what {@link readStored} returned for its field. */
export function equalsStored(
	field: Field,
	value: unknown,
	stored: unknown,
): boolean {
	if (value === null || stored === null) return value === stored;
	if (field.type === "text")
		return (
			typeof value === "string" &&
			stored instanceof Uint8Array &&
			contentHash(value).equals(stored)
		);
	const type = definitionOf(field.type);
	if (!isArrayType(field.type)) return type.equals(value, stored);
	return (
		Array.isArray(value) &&
		Array.isArray(stored) &&
		equalLists(type, value, stored)
	);
}

function equalLists(
	type: TypeDefinition,
	value: readonly unknown[],
	stored: readonly unknown[],
): boolean {
	const isSame = (one: unknown, other: unknown) => {
		// Another program may have stored NULL in a list, which is not "null".
		if (one === null || other === null) return one === other;
		// Or lists in a list.
		if (Array.isArray(one) || Array.isArray(other))
			return String(one) === String(other);
		return type.equals(one, other);
	};
	return (
		value.length === stored.length &&
		value.every((item, index) => isSame(item, stored[index]))
	);
}
