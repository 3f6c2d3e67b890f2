import { RemError } from "../errors.ts";
import type { Field } from "../models/field.ts";
import { isJsonNumber } from "../models/json-number.ts";
import { limits } from "../models/limits.ts";
import { type EntityTable, fieldOf } from "../models/registry.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import { containedInPath, pathConditions, throughIndex } from "./json-path.ts";
import { equals, renderOperators } from "./operators.ts";
import { SqlFilter } from "./sql-text/sql-filter.ts";
import { json, refused } from "./values.ts";

type Filter = Readonly<Record<string, unknown>>;

/**
 * A structured filter as a condition on the entity's table: every name is a
 * field of the model, every value is bound. An empty filter is true for all rows.
 *
 * @example
 * whereSql(table, { year: { gte: 1990 }, category: null }, "r")
 * // ("r"."year" >= $1::bigint AND "r"."category" IS NULL)
 */
export function whereSql(
	table: EntityTable,
	where: Filter,
	alias: string,
): Sql {
	return filterSql({ table, alias, conditions: 0 }, where, 0);
}

interface Context {
	readonly table: EntityTable;
	readonly alias: string;
	/** How many there are so far. */
	conditions: number;
}

function filterSql(context: Context, where: unknown, depth: number): Sql {
	// A condition of the query language is SQL, compiled already.
	if (where instanceof SqlFilter)
		return where.toSql(context.alias, context.table);
	if (depth > limits.filterDepth)
		throw new RemError(
			"INPUT_LIMIT",
			`the filter is nested deeper than ${limits.filterDepth} levels`,
		);
	if (!isObject(where))
		throw new RemError("FILTER_REFUSED", "the filter must be an object", {
			hint: "pass fields and what they must be: { year: { gte: 1990 } }",
		});
	const conditions = Object.entries(where).flatMap(([name, condition]) =>
		isConnective(name)
			? connect(context, name, { filters: condition, depth })
			: fieldConditions(context, name, condition),
	);
	return conditions.length === 0
		? raw("TRUE")
		: sql`(${join(conditions, " AND ")})`;
}

type Connective = "AND" | "OR" | "NOT";

/** An empty list of alternatives is true for no row, as an empty `in` is. */
const connectives: Readonly<Record<Connective, (parts: Sql[]) => Sql>> = {
	AND: (parts) => joined(parts, " AND ", "TRUE"),
	OR: (parts) => joined(parts, " OR ", "FALSE"),
	// Exactly the rows that the filter does not find: also those of which NULL leaves it open.
	NOT: (parts) => sql`${joined(parts, " OR ", "FALSE")} IS NOT TRUE`,
};

function isConnective(name: string): name is Connective {
	return Object.hasOwn(connectives, name);
}

function joined(parts: readonly Sql[], separator: string, none: string): Sql {
	return parts.length === 0 ? raw(none) : sql`(${join(parts, separator)})`;
}

function connect(
	context: Context,
	name: Connective,
	{ filters, depth }: { readonly filters: unknown; readonly depth: number },
): Sql {
	if (name !== "NOT" && !Array.isArray(filters))
		throw new RemError("FILTER_REFUSED", `${name} takes a list of filters`, {
			hint: `{ ${name}: [{ year: 1990 }, { year: 1991 }] }`,
		});
	if (Array.isArray(filters) && filters.length > limits.filterConditions)
		throw tooManyConditions();
	const list: unknown[] = [filters].flat();
	return connectives[name](
		list.map((filter) => filterSql(context, filter, depth + 1)),
	);
}

function fieldConditions(
	context: Context,
	name: string,
	condition: unknown,
): Sql[] {
	const { table, alias } = context;
	const field = fieldOf(table.entity, name);
	const column = ident(alias, field.column);
	const conditions = conditionsOf(field, condition, column);
	context.conditions += conditions.length;
	if (context.conditions > limits.filterConditions) throw tooManyConditions();
	const contained = containedIn(field, condition);
	return contained === undefined
		? conditions
		: [...conditions, ...throughIndex(context, field, contained)];
}

function tooManyConditions(): RemError {
	return new RemError(
		"INPUT_LIMIT",
		`the filter has more than ${limits.filterConditions} conditions`,
		{ hint: "for many values of one field use `in`" },
	);
}

/** The JSON that the field contains by the condition, whatever else that has. */
function containedIn(field: Field, condition: unknown): Sql | undefined {
	if (field.type !== "jsonb" || !isObject(condition)) return undefined;
	const contained = Object.hasOwn(condition, "path")
		? containedInPath(condition)
		: condition.contains;
	return contained === undefined ? undefined : json(field, contained);
}

function conditionsOf(field: Field, condition: unknown, column: Sql): Sql[] {
	if (condition === undefined)
		throw refused(field, "has no value", "use null for rows without a value");
	if (!isObject(condition)) return [equals(field, condition, column)];
	return Object.hasOwn(condition, "path")
		? pathConditions(field, condition, column)
		: renderOperators(field, condition, column);
}

function isObject(value: unknown): value is Filter {
	return (
		typeof value === "object" &&
		value !== null &&
		!Array.isArray(value) &&
		!(value instanceof Date) &&
		!isJsonNumber(value)
	);
}
