import { arrayLiteral } from "../db/encode.ts";
import { holdingRef } from "../db/tables.ts";
import type { Field } from "../models/field.ts";
import { isJsonNumber } from "../models/json-number.ts";
import { hasHoles, limits, valueProblem } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, literal, raw, type Sql, sql } from "../sql.ts";
import { type Operator, renderAll, yesOrNo } from "./operators.ts";
import { json, jsonText, pattern, refused } from "./values.ts";

type Path = readonly (string | number)[];

/** A place inside a JSON column. */
interface Place {
	readonly column: Sql;
	readonly path: Path;
}

/**
 * Conditions on a value inside a JSON field: `{ path: ["source", "year"], gte: 1990 }`.
 * Values of different types are never equal nor in an order: `"7"` is not 7.
 */
export function pathConditions(
	field: Field,
	condition: Readonly<Record<string, unknown>>,
	column: Sql,
): Sql[] {
	const { path, ...conditions } = condition;
	if (field.type !== "jsonb")
		throw refused(field, "has no path: it is not JSON");
	checkPath(field, path);
	return renderAll({
		operators: pathOperators,
		names: Object.keys(pathOperators),
		field,
		conditions,
		target: { column, path },
	});
}

function checkPath(field: Field, path: unknown): asserts path is Path {
	const isPath =
		Array.isArray(path) &&
		path.length > 0 &&
		!hasHoles(path) &&
		path.every((step) => typeof step === "string" || Number.isInteger(step));
	if (!isPath)
		throw refused(
			field,
			"has a path that is none",
			'a list of keys, and places in arrays: ["source", "authors", 0]',
		);
	if (path.length > limits.filterDepth)
		throw refused(field, `has a path of more than ${limits.filterDepth} steps`);
	const problem = valueProblem(path);
	if (problem !== undefined) throw refused(field, problem.message);
}

const compare =
	(symbol: string): Operator<Place> =>
	(field, value, place) => {
		const text = jsonText(field, value);
		const type = isJsonNumber(value) ? "number" : typeof JSON.parse(text);
		if (type !== "number" && type !== "string")
			throw refused(field, "is compared with a number or a text");
		// PostgreSQL has an order among the types too: every text is below every number.
		return sql`(jsonb_typeof(${at(place)}) = ${type} AND ${at(place)} ${raw(symbol)} ${text}::jsonb)`;
	};

const match =
	(symbol: string): Operator<Place> =>
	(field, value, place) =>
		sql`(jsonb_typeof(${at(place)}) = 'string' AND ${place.column} #>> ${steps(place)} ${raw(symbol)} ${pattern(field, value)})`;

export const pathOperators: Readonly<Record<string, Operator<Place>>> = {
	eq: equals,
	ne: (field, value, place) =>
		value === null
			? sql`NOT ${isNull(place)}`
			: sql`(${at(place)} = ${json(field, value)}) IS NOT TRUE`,
	in: (field, value, place) =>
		sql`${at(place)} = ANY (${jsonList(field, value)})`,
	notIn: (field, value, place) =>
		sql`${at(place)} <> ALL (${jsonList(field, value)})`,
	gt: compare(">"),
	gte: compare(">="),
	lt: compare("<"),
	lte: compare("<="),
	like: match("LIKE"),
	ilike: match("ILIKE"),
	contains: (field, value, place) => sql`${at(place)} @> ${json(field, value)}`,
	isNull: (field, value, place) =>
		yesOrNo(field, "isNull", value) ? isNull(place) : sql`NOT ${isNull(place)}`,
	exists: (field, value, place) =>
		sql`${at(place)} IS ${raw(yesOrNo(field, "exists", value) ? "NOT NULL" : "NULL")}`,
};

function equals(field: Field, value: unknown, place: Place): Sql {
	if (value === null) return isNull(place);
	const isOneValue = isScalar(value);
	// Containment means the same, and has an index: but a number in a path may mean a place in an array.
	if (isOneValue && place.path.every(isKey))
		return sql`${place.column} @> ${json(field, nested(place.path, value))}`;
	return sql`${at(place)} = ${json(field, value)}`;
}

/** What the column contains where the condition is an equality on a path. */
export function containedInPath({
	path,
	eq,
}: Readonly<Record<string, unknown>>): unknown {
	const steps = path as Path;
	return eq !== undefined && isScalar(eq) && steps.every(isKey)
		? nested(steps, eq)
		: undefined;
}

function isScalar(value: unknown): boolean {
	return (
		typeof value !== "object" || value instanceof Date || isJsonNumber(value)
	);
}

function isKey(step: string | number): boolean {
	return typeof step === "string" && !/^\s*[+-]?\d/.test(step);
}

function nested(path: Path, value: unknown): unknown {
	return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
}

/** Nothing there, or JSON's null. */
function isNull(place: Place): Sql {
	return sql`(${at(place)} IS NULL OR ${at(place)} = 'null')`;
}

function at(place: Place): Sql {
	return sql`(${place.column} #> ${steps(place)})`;
}

function steps({ path }: Place): Sql {
	return sql`${arrayLiteral(path)}::text[]`;
}

function jsonList(field: Field, value: unknown): Sql {
	if (!Array.isArray(value)) throw refused(field, "takes a list of values");
	const texts = value.map((item) => jsonText(field, item));
	return sql`${arrayLiteral(texts)}::jsonb[]`;
}

/** JSON columns with an index on what they contain. */
const indexedJson = ["metadata", "graph_edges"];

/**
 * Under row level security `@>` reaches no index: PostgreSQL must look whether a
 * row may be seen before an operator that might reveal it. A function that
 * looks for the tenant's rows only may use it; what it finds is one condition
 * more, which the other one implies.
 */
export function throughIndex(
	{ table, alias }: { readonly table: EntityTable; readonly alias: string },
	{ column }: Field,
	contained: Sql,
): Sql[] {
	const { hasRowSecurity, schema, entity } = table;
	if (!hasRowSecurity || !indexedJson.includes(column)) return [];
	return [
		sql`${ident(alias, "id")} IN (SELECT h.id FROM ${holdingRef(schema, entity.tableName)}(${literal(column)}, ${contained}) AS h (id))`,
	];
}
