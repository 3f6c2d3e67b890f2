import * as z from "zod";
import { membersOf } from "../../util/present.ts";
import { equalNumbers, isJsonNumber, type JsonNumber } from "../json-number.ts";
import { parseJson, writeJson } from "../json-text.ts";
import { valueProblem } from "../limits.ts";
import { kindOf, type TypeDefinition } from "./definition.ts";

/** Everything that has no type of its own: objects, mixed lists, unions. */
export const jsonb: TypeDefinition = {
	oid: 3802,
	arrayOid: 3807,
	isDescribedBy: (schema) => kinds.has(kindOf(schema)),
	isTypeOf: () => true,
	fromJsonSchema: ({ type }) =>
		type === "object" ? z.record(z.string(), z.unknown()) : undefined,
	encoder: {
		prepare: (value) => writeJson(value),
		sizeOf: (json: string) => 1 + Buffer.byteLength(json),
		write: (buffer, json: string, at) => {
			buffer[at] = 1; // the version of jsonb's wire format
			buffer.write(json, at + 1, "utf8");
		},
	},
	decode: parseJson,
	equals: (value, stored) => equalsJson(asJson(value), stored),
	isOrdered: false,
	isKey: false,
	filter: { operators: ["contains"], expected: "JSON", accepts: () => true },
	dialect: {
		expected: "JSON",
		castNames: ["json", "jsonb"],
		family: "jsonb",
		read: (text) => {
			const value = jsonIn(text);
			return value === undefined || valueProblem(value) !== undefined
				? undefined
				: text;
		},
		castsToText: true,
		castsFromText: false,
	},
	cell: {
		expected: 'JSON, such as {"a": 1}, with its quotation marks doubled in CSV',
		isText: true,
		read: (cell) => jsonIn(cell.trim()),
	},
	empty: { text: "{}", value: {} },
};

const kinds = new Set([
	"object",
	"record",
	"tuple",
	"intersection",
	"any",
	"unknown",
]);

/** The value of the JSON; `undefined`: it is not JSON. */
export function jsonIn(text: string): unknown {
	try {
		return parseJson(text);
	} catch {
		return undefined; // the caller knows what is expected instead
	}
}

/**
 * Whether what JSON stores of the value is what is stored. Each level is compared
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
			// By place: every() passes over holes, which JSON stores as null.
			stored.every((item, at) => equalsJson(asJson(value[at]) ?? null, item))
		);
	if (Array.isArray(stored)) return false;
	const fields = membersOf(stored);
	let count = 0;
	for (const [name, item] of Object.entries(value)) {
		const json = asJson(item);
		if (json === undefined) continue;
		if (!Object.hasOwn(fields, name) || !equalsJson(json, fields[name]))
			return false;
		count++;
	}
	return count === Object.keys(fields).length;
}

function isNumber(value: unknown): value is number | JsonNumber {
	return typeof value === "number" || isJsonNumber(value);
}

/** The value as JSON stores it, down to its own fields; `undefined`: not at all. */
function asJson(value: unknown): unknown {
	if (typeof value !== "object" || value === null || isJsonNumber(value))
		return value;
	const isPlain =
		Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
	return isPlain && typeof membersOf(value).toJSON !== "function"
		? value
		: membersOf(parseJson(writeJson({ value }))).value;
}
