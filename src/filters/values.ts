import { arrayLiteral } from "../db/encode.ts";
import type { ColumnType, Field } from "../models/field.ts";
import { writeJson } from "../models/json-text.ts";
import { valueProblem } from "../models/limits.ts";
import { raw, type Sql, sql } from "../sql.ts";
import { isUuid } from "../util/uuid.ts";
import { refused } from "./refused.ts";

/** One value of the field's type, bound. */
export function scalar(field: Field, value: unknown): Sql {
	checkValue(field, value, field.type);
	return sql`${bound(value)}::${raw(field.type)}`;
}

/** Values of the field's type, or of an array field's elements, as one array. */
export function list(field: Field, value: unknown): Sql {
	if (!Array.isArray(value)) throw refused(field, "takes a list of values");
	const element = field.type.replace("[]", "") as ColumnType;
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

const expectations: Readonly<
	Record<string, { what: string; fits(value: unknown): boolean }>
> = {
	text: { what: "text", fits: (value) => typeof value === "string" },
	uuid: {
		what: "a UUID",
		fits: (value) => typeof value === "string" && isUuid(value),
	},
	bigint: {
		what: "a whole number",
		fits: (value) => typeof value === "bigint" || Number.isSafeInteger(value),
	},
	"double precision": {
		what: "a number",
		fits: (value) => typeof value === "number",
	},
	boolean: {
		what: "true or false",
		fits: (value) => typeof value === "boolean",
	},
	timestamptz: { what: "a Date", fits: (value) => value instanceof Date },
};

function checkValue(field: Field, value: unknown, type: ColumnType): void {
	const expected = expectations[type];
	if (expected?.fits(value) === false)
		throw refused(field, `takes ${expected.what}`);
	const problem = valueProblem(value);
	if (problem !== undefined) throw refused(field, problem.message);
}
