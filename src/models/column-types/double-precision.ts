import * as z from "zod";
import { isJsonNumber } from "../json-number.ts";
import {
	comparisons,
	fixed,
	type JsonSchema,
	kindOf,
	type TypeDefinition,
} from "./definition.ts";

export const doublePrecision: TypeDefinition = {
	oid: 701,
	arrayOid: 1022,
	isDescribedBy: (schema) => kindOf(schema) === "number",
	isTypeOf: (values) => values.every((value) => typeof value === "number"),
	fromJsonSchema: (schema) =>
		schema.type === "number" ? within(z.number(), schema) : undefined,
	encoder: fixed<number>(8, (buffer, value, at) => {
		buffer.writeDoubleBE(value, at);
	}),
	equals: (value, stored) => value === stored || Object.is(value, stored),
	exact: {
		nearest(value) {
			if (typeof value !== "number" || Number.isFinite(value)) return value;
			return Number.isNaN(value) ? 0 : nearestNumber(value, false);
		},
		refusal: "is not a finite number",
	},
	isOrdered: true,
	isKey: false,
	filter: {
		operators: comparisons,
		expected: "a number",
		accepts: (value) => typeof value === "number",
	},
	dialect: {
		expected: "a number",
		castNames: ["float4", "float8"],
		family: "number",
		read: finiteText,
		castsToText: true,
		castsFromText: true,
	},
	cell: {
		expected: "a number, such as 1234.5",
		expectedItems: "numbers",
		isText: false,
		read: cellNumber,
		fromJson: (value) => (isJsonNumber(value) ? Number(value) : value),
	},
	empty: { text: "0", value: 0 },
};

const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

export function cellNumber(cell: string): number | undefined {
	const text = cell.trim();
	return decimal.test(text) ? Number(text) : undefined;
}

/** The text, if it is a number within the range of doubles. */
export function finiteText(text: string): string | undefined {
	const value = Number(text);
	// Below the smallest number PostgreSQL fails, where JavaScript gives 0.
	const isTooSmall = value === 0 && /[1-9]/.test(text.replace(/e.*/i, ""));
	return decimal.test(text) && Number.isFinite(value) && !isTooSmall
		? text
		: undefined;
}

/** The nearest number that zod accepts; `isBounded`: that `z.int()` accepts. */
export function nearestNumber(number: number, isBounded: boolean): number {
	const max = isBounded ? Number.MAX_SAFE_INTEGER : Number.MAX_VALUE;
	return Math.min(Math.max(number, -max), max);
}

/** The schema with the bounds of the JSON Schema. */
export function within(type: z.ZodNumber, schema: JsonSchema): z.ZodNumber {
	const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
	let bounded = type;
	if (typeof minimum === "number") bounded = bounded.gte(minimum);
	if (typeof maximum === "number") bounded = bounded.lte(maximum);
	if (typeof exclusiveMinimum === "number")
		bounded = bounded.gt(exclusiveMinimum);
	if (typeof exclusiveMaximum === "number")
		bounded = bounded.lt(exclusiveMaximum);
	return bounded;
}
