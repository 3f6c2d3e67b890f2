import { arrayLiteral } from "../db/encode.ts";
import { RemError } from "../errors.ts";
import {
	type ColumnType,
	definitionOf,
	elementTypeOf,
	isArrayType,
} from "../models/column-types.ts";
import type { Field } from "../models/field.ts";
import { writeJson } from "../models/json-text.ts";
import { valueProblem } from "../models/limits.ts";
import { raw, type Sql, sql } from "../sql.ts";

/** One value of the field's type, bound. */
export function scalar(field: Field, value: unknown): Sql {
	checkValue(field, value, field.type);
	return sql`${bound(value)}::${raw(field.type)}`;
}

/** Values of the field's type, or of an array field's elements, as one array. */
export function list(field: Field, value: unknown): Sql {
	if (!Array.isArray(value)) throw refused(field, "takes a list of values");
	const element = elementTypeOf(field.type);
	for (const item of value) checkValue(field, item, element);
	return sql`${arrayLiteral(value)}::${raw(`${element}[]`)}`;
}

export function json(field: Field, value: unknown): Sql {
	return sql`${jsonText(field, value)}::jsonb`;
}

export function jsonText(field: Field, value: unknown): string {
	// Inside of something, a bigint too is a problem.
	const problem = valueProblem([value]);
	if (problem !== undefined) throw refused(field, problem.message);
	return writeJson(value);
}

/** A pattern for LIKE. */
export function pattern(field: Field, value: unknown): Sql {
	if (typeof value === "string" && /(^|[^\\])(\\\\)*\\$/.test(value))
		throw refused(field, "ends with a backslash that escapes nothing");
	checkValue(field, value, "text");
	return sql`${bound(value)}::text`;
}

function bound(value: unknown): string | number | boolean | Date {
	return typeof value === "bigint"
		? String(value)
		: (value as string | number | boolean | Date);
}

function checkValue(field: Field, value: unknown, type: ColumnType): void {
	const { accepts, expected, hint } = definitionOf(type).filter;
	if (!isArrayType(type) && !accepts(value))
		throw refused(field, `takes ${expected}`, hint);
	const problem = valueProblem(value);
	if (problem !== undefined) throw refused(field, problem.message);
}

/** The error of a condition that is not supported; values stay out of it. */
export function refused(field: Field, what: string, hint?: string): RemError {
	return new RemError(
		"FILTER_REFUSED",
		`filter on "${field.name}" ${what}`,
		hint === undefined || hint === "" ? {} : { hint },
	);
}
