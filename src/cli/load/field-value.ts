import * as z from "zod";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import { isJsonNumber, type JsonNumber } from "../../models/json-number.ts";
import { parseJson } from "../../models/json-text.ts";

/**
 * A value from a file as the field's type: dates and bigints, which JSON has
 * not, are read from texts; in a file without types so is everything else. What
 * does not look like the type stays as it is: validation then says so.
 */
export function fieldValue(
	entity: Entity,
	field: Field,
	value: unknown,
	isUntyped: boolean,
): unknown {
	const typed = isUntyped ? fromCell(field, value) : fromJson(field, value);
	if (typed === value || isJsonNumber(value)) return typed;
	// A model may take the text itself: z.coerce.date(), z.stringbool(), …
	const schema = entity.shape[field.name];
	return schema === undefined || accepts(schema, typed) ? typed : value;
}

/**
 * What is wrong with a cell that is a text still although its field is none, in
 * place of a parser's "expected number, received string". The cell itself is not
 * quoted: it may be anything.
 */
export function cellProblem({ type }: Field, cell: string): string {
	const text = cell.trim();
	if (/^(?:null|nil|none|n\/a|na|nan|\\n|-)$/i.test(text))
		return `expected ${expectedCell(type)}; leave the cell empty where there is no value`;
	if (/^[+-]?\d{1,3}(?:[,.' ]\d{3})+(?:[.,]\d+)?$/.test(text))
		return `expected ${expectedCell(type)}, without thousands separators`;
	return `expected ${expectedCell(type)}`;
}

/** A cell that begins like JSON and is none would be stored as the text that it is. */
export function isBrokenJson({ type }: Field, cell: string): boolean {
	const text = cell.trim();
	return type === "jsonb" && /^[[{"]/.test(text) && jsonIn(text) === undefined;
}

const expectedCells: Readonly<Partial<Record<Field["type"], string>>> = {
	bigint: "a whole number, such as 1234",
	"double precision": "a number, such as 1234.5",
	boolean: "true or false (or yes and no, 1 and 0)",
	timestamptz: "a date, such as 2024-12-31 or 2024-12-31T08:30:00Z",
	jsonb: 'JSON, such as {"a": 1}, with its quotation marks doubled in CSV',
	uuid: "a UUID",
};

function expectedCell(type: Field["type"]): string {
	const known = expectedCells[type];
	if (known !== undefined) return known;
	if (!type.endsWith("[]")) return `a value of type ${type}`;
	const item =
		{ "bigint[]": "whole numbers", "double precision[]": "numbers" }[
			type as string
		] ?? "values";
	return `a list of ${item}, such as [1, 2], {1,2} or 1; 2`;
}

function accepts(schema: z.core.$ZodType, value: unknown): boolean {
	return z.safeParse(schema, value).success;
}

function fromJson({ type, bigint }: Field, value: unknown): unknown {
	if (type === "timestamptz") return toDate(value);
	if (type === "timestamptz[]" && Array.isArray(value))
		return value.map(toDate);
	if (isJsonNumber(value) && type !== "jsonb") return plainNumber(type, value);
	if (!bigint) return value;
	return Array.isArray(value) ? value.map(toBigInt) : toBigInt(value);
}

/** A number of a file that JavaScript cannot hold: columns have types of their own. */
function plainNumber(type: Field["type"], number: JsonNumber): unknown {
	if (type === "double precision") return Number(number);
	return type === "bigint" ? toBigInt(number.text) : number;
}

function fromCell(field: Field, cell: unknown): unknown {
	if (typeof cell !== "string") return fromJson(field, cell);
	const text = cell.trim();
	switch (field.type) {
		case "text":
			return cell;
		case "uuid":
			return text;
		case "bigint":
			return field.bigint ? toBigInt(text) : toNumber(text, cell);
		case "double precision":
			return toNumber(text, cell);
		case "boolean":
			return booleans.get(text.toLowerCase()) ?? cell;
		case "timestamptz":
			return toDate(text);
		case "jsonb":
			return jsonIn(text) ?? cell;
		default:
			return fromJson(field, listOf(field.type, text) ?? cell);
	}
}

/**
 * A list as JSON (`["a","b"]`), as PostgreSQL writes it (`{a,"b c"}`), or as
 * values between `;`, `|` or `,`: the first of these that the cell contains.
 */
function listOf(type: Field["type"], text: string): unknown {
	const json = jsonIn(text);
	if (Array.isArray(json)) return json;
	// Not the JSON or the literal that it begins like: half of it is no list of texts.
	if (/^[[{]/.test(text) && !/^\{.*\}$/s.test(text)) return undefined;
	const items =
		text.startsWith("{") && text.endsWith("}")
			? arrayLiteral(text.slice(1, -1))
			: separated(text);
	const item = itemTypes.get(type);
	return items?.map((value) =>
		item === undefined || typeof value !== "string" ? value : item(value),
	);
}

const itemTypes: ReadonlyMap<string, (text: string) => unknown> = new Map([
	["bigint[]", (text) => toNumber(text, text)],
	["double precision[]", (text) => toNumber(text, text)],
	["boolean[]", (text) => booleans.get(text.toLowerCase()) ?? text],
]);

const separators = [";", "|", ","];

function separated(text: string): string[] {
	const separator = separators.find((one) => text.includes(one));
	const items = separator === undefined ? [text] : text.split(separator);
	return items.map((item) => item.trim()).filter((item) => item !== "");
}

/** The items of PostgreSQL's array literal: bare, or quoted with backslashes. */
function arrayLiteral(text: string): (string | null)[] | undefined {
	const item = /(?:\s*"((?:[^"\\]|\\.)*)"\s*|([^",]*))(?:,|$)/sy;
	const items: (string | null)[] = [];
	while (item.lastIndex < text.length) {
		const found = item.exec(text);
		if (found === null) return undefined;
		const bare = found[2]?.trim();
		if (bare === undefined)
			items.push((found[1] ?? "").replaceAll(/\\(.)/gs, "$1"));
		else items.push(bare.toUpperCase() === "NULL" ? null : bare);
	}
	return items;
}

const booleans = new Map([
	["true", true],
	["false", false],
	["t", true],
	["f", false],
	["yes", true],
	["no", false],
	["y", true],
	["n", false],
	["on", true],
	["off", false],
	["1", true],
	["0", false],
]);

function toNumber(text: string, otherwise: string): unknown {
	const isNumber = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text);
	return isNumber ? Number(text) : otherwise;
}

function toBigInt(value: unknown): unknown {
	if (typeof value === "number" && Number.isSafeInteger(value))
		return BigInt(value);
	return typeof value === "string" && /^-?\d+$/.test(value)
		? BigInt(value)
		: value;
}

function jsonIn(text: string): unknown {
	try {
		return parseJson(text);
	} catch {
		return undefined; // validation says what was expected instead
	}
}

const iso8601 =
	/^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** ISO 8601; a time without a zone is UTC, so that it is the same everywhere. */
function toDate(value: unknown): unknown {
	const match = typeof value === "string" ? iso8601.exec(value) : null;
	if (match === null) return value;
	const [, day = "", time = "00:00", zone = "Z"] = match;
	const date = new Date(`${day}T${time}${fullZone(zone)}`);
	return isCalendarDay(day) && !Number.isNaN(date.getTime()) ? date : value;
}

/** `+01` and `+0100` → `+01:00`. */
function fullZone(zone: string): string {
	if (/^z$/i.test(zone)) return "Z";
	return `${zone.slice(0, 3)}:${zone.slice(3).replace(":", "") || "00"}`;
}

/** JavaScript takes 31 February for 3 March. */
function isCalendarDay(day: string): boolean {
	const date = new Date(`${day}T00:00Z`);
	return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}
