import { arrayLiteral } from "../db/encode.ts";
import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { ColumnType, Field } from "../models/field.ts";
import { valueProblem } from "../models/limits.ts";
import { fieldOf } from "../models/registry.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import { suggest } from "../util/suggest.ts";
import { isUuid } from "../util/uuid.ts";

/**
 * A structured filter as a condition on the entity's table: every name is a
 * field of the model, every value is bound. An empty filter holds for all.
 *
 * @example
 * whereSql(Document, { year: { gte: 1990 }, category: null }, "r")
 * // ("r"."year" >= $1::bigint AND "r"."category" IS NULL)
 */
export function whereSql(
	entity: Entity,
	where: Readonly<Record<string, unknown>>,
	alias: string,
): Sql {
	if (typeof where !== "object" || where === null || Array.isArray(where))
		throw new RemError("FILTER_REFUSED", "the filter is no object", {
			hint: "pass fields and what they must be: { year: { gte: 1990 } }",
		});
	const conditions = Object.entries(where).flatMap(([name, condition]) => {
		const field = fieldOf(entity, name);
		return fieldConditions(field, condition, ident(alias, field.column));
	});
	return conditions.length === 0
		? raw("TRUE")
		: sql`(${join(conditions, " AND ")})`;
}

function fieldConditions(field: Field, condition: unknown, column: Sql): Sql[] {
	if (condition === undefined)
		throw refused(field, "has no value", "use null for rows without a value");
	if (!isOperators(condition)) return [equals(field, condition, column)];
	const entries = Object.entries(condition);
	if (entries.length === 0)
		throw refused(field, "has no operator", `operators: ${known(field)}`);
	return entries.map(([name, value]) => {
		const operator = Object.hasOwn(operators, name)
			? operators[name]
			: undefined;
		if (operator === undefined || !operator.takes(field.type))
			throw refused(
				field,
				`has no operator "${name}"`,
				suggest(name, operatorNames(field)) ?? "",
			);
		if (value === undefined)
			throw refused(field, `${name} has no value`, "leave the operator out");
		return operator.render(field, value, column);
	});
}

function isOperators(
	condition: unknown,
): condition is Readonly<Record<string, unknown>> {
	return (
		typeof condition === "object" &&
		condition !== null &&
		!Array.isArray(condition) &&
		!(condition instanceof Date)
	);
}

interface Operator {
	takes(type: ColumnType): boolean;
	render(field: Field, value: unknown, column: Sql): Sql;
}

const isScalar = (type: ColumnType) => type !== "jsonb" && !type.endsWith("[]");
const isArray = (type: ColumnType) => type.endsWith("[]");

const compare = (symbol: string): Operator => ({
	takes: isScalar,
	render: (field, value, column) =>
		sql`${column} ${raw(symbol)} ${scalar(field, value)}`,
});

const match = (symbol: string): Operator => ({
	takes: (type) => type === "text",
	render: (field, value, column) => {
		if (typeof value === "string" && /(^|[^\\])(\\\\)*\\$/.test(value))
			throw refused(field, "ends with a backslash that escapes nothing");
		return sql`${column} ${raw(symbol)} ${scalar(field, value)}`;
	},
});

const operators: Readonly<Record<string, Operator>> = {
	eq: { takes: isScalar, render: equals },
	ne: {
		takes: isScalar,
		render: (field, value, column) =>
			sql`NOT (${equals(field, value, column)})`,
	},
	in: {
		takes: isScalar,
		render: (field, value, column) =>
			sql`${column} = ANY (${list(field, value)})`,
	},
	notIn: {
		takes: isScalar,
		render: (field, value, column) =>
			sql`${column} <> ALL (${list(field, value)})`,
	},
	gt: compare(">"),
	gte: compare(">="),
	lt: compare("<"),
	lte: compare("<="),
	like: match("LIKE"),
	ilike: match("ILIKE"),
	contains: {
		takes: (type) => !isScalar(type),
		render: (field, value, column) =>
			sql`${column} @> ${isArray(field.type) ? list(field, value) : json(field, value)}`,
	},
	overlaps: {
		takes: isArray,
		render: (field, value, column) => sql`${column} && ${list(field, value)}`,
	},
	isNull: {
		takes: () => true,
		render: (field, value, column) => {
			if (typeof value !== "boolean")
				throw refused(field, "isNull takes true or false");
			return sql`${column} IS ${raw(value ? "NULL" : "NOT NULL")}`;
		},
	},
};

/** NULL counts as a value of its own, so that `ne` finds rows without one too. */
function equals(field: Field, value: unknown, column: Sql): Sql {
	if (value === null) return sql`${column} IS NULL`;
	if (!isScalar(field.type))
		throw refused(field, "takes operators only", `operators: ${known(field)}`);
	return sql`${column} IS NOT DISTINCT FROM ${scalar(field, value)}`;
}

function scalar(field: Field, value: unknown): Sql {
	checkValue(field, value, field.type);
	return sql`${bound(value)}::${raw(field.type)}`;
}

function list(field: Field, value: unknown): Sql {
	if (!Array.isArray(value)) throw refused(field, "takes a list of values");
	const element = field.type.replace("[]", "") as ColumnType;
	for (const item of value) checkValue(field, item, element);
	return sql`${arrayLiteral(value)}::${raw(`${element}[]`)}`;
}

function json(field: Field, value: unknown): Sql {
	const problem = valueProblem(value);
	if (problem !== undefined) throw refused(field, problem.message);
	return sql`${JSON.stringify(value)}::jsonb`;
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

function operatorNames(field: Field): string[] {
	return Object.entries(operators)
		.filter(([, operator]) => operator.takes(field.type))
		.map(([name]) => name);
}

function known(field: Field): string {
	return operatorNames(field).join(", ");
}

function refused(field: Field, what: string, hint?: string): RemError {
	return new RemError(
		"FILTER_REFUSED",
		`filter on "${field.name}" ${what}`,
		hint === undefined || hint === "" ? {} : { hint },
	);
}
