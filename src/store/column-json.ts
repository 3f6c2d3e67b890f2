import { arrayItems } from "../db/decode.ts";
import {
	type ColumnType,
	elementTypeOf,
	isArrayType,
	type ScalarType,
} from "../models/column-types.ts";
import { isJsonNumber } from "../models/json-number.ts";
import { parseJson } from "../models/json-text.ts";

// A column as JSON and back, by the text that PostgreSQL writes and reads it as:
// nothing is lost that a JavaScript value cannot represent.

/** The JSON of a column's text. */
export function jsonOfText(type: ColumnType, text: string): string {
	if (isArrayType(type)) {
		if (text === "{}") return "[]";
		// One that does not begin at 1 stays as PostgreSQL writes it.
		return text.startsWith("{")
			? jsonOfItems(elementTypeOf(type), arrayItems(text))
			: JSON.stringify(text);
	}
	return jsonOfScalar(elementTypeOf(type), text);
}

function jsonOfItems(type: ScalarType, items: readonly unknown[]): string {
	const written = items.map((item) => {
		if (Array.isArray(item)) return jsonOfItems(type, item);
		return typeof item === "string" ? jsonOfScalar(type, item) : "null";
	});
	return `[${written.join(",")}]`;
}

function jsonOfScalar(type: ScalarType, text: string): string {
	switch (type) {
		case "jsonb":
			return text;
		case "boolean":
			return text === "true" || text === "t" ? "true" : "false";
		case "bigint":
		case "double precision":
			return isNumber.test(text) ? text : JSON.stringify(text);
		case "timestamptz":
			return JSON.stringify(text.replace(usualTime, "$1T$2Z"));
		default:
			return JSON.stringify(text);
	}
}

/** In UTC, which every session reads; not years of five digits, BC, or infinity. */
const usualTime = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)\+00$/;

/** Not of infinities and NaN. */
const isNumber = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * The text that PostgreSQL reads the column from; `null` is NULL, `undefined`
 * that the JSON is of another type. What the text means is checked by PostgreSQL.
 */
export function textOfJson(
	type: ColumnType,
	json: string,
): string | null | undefined {
	if (type === "jsonb") return json;
	const value = parseJson(json);
	if (value === null) return null;
	if (isArrayType(type) && Array.isArray(value)) {
		const items = value.map(itemText);
		return items.includes(undefined) ? undefined : `{${items.join(",")}}`;
	}
	return scalarText(value, json);
}

function scalarText(value: unknown, json: string): string | undefined {
	if (typeof value === "string") return value;
	return typeof value === "number" ||
		typeof value === "boolean" ||
		isJsonNumber(value)
		? json
		: undefined;
}

function itemText(item: unknown): string | undefined {
	if (item === null) return "NULL";
	if (Array.isArray(item)) {
		const items = item.map(itemText);
		return items.includes(undefined) ? undefined : `{${items.join(",")}}`;
	}
	const text = Object.is(item, -0) ? "-0" : scalarText(item, String(item));
	return text === undefined ? undefined : `"${text.replace(/["\\]/g, "\\$&")}"`;
}
