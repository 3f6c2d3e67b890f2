import type { FilterOperator } from "../models/column-types/definition.ts";
import {
	type ColumnType,
	definitionOf,
	isArrayType,
} from "../models/column-types.ts";
import type { Field } from "../models/field.ts";
import { raw, type Sql, sql } from "../sql.ts";
import { keysOf } from "../util/present.ts";
import { suggest } from "../util/suggest.ts";
import { json, list, pattern, refused, scalar } from "./values.ts";

/** The condition that an operator puts on a column, or on a value inside JSON. */
export type Operator<Target> = (
	field: Field,
	value: unknown,
	target: Target,
) => Sql;

type Conditions = Readonly<Record<string, unknown>>;

/** `{ gte: 1990, lt: 2000 }` on a column. */
export function renderOperators(
	field: Field,
	conditions: Conditions,
	column: Sql,
): Sql[] {
	return renderAll({
		operators: filterOperators,
		names: operatorsOf(field.type),
		field,
		conditions,
		target: column,
	});
}

/** The operators of a type, in the order of {@link filterOperators}. */
export function operatorsOf(type: ColumnType): FilterOperator[] {
	const own: readonly FilterOperator[] = isArrayType(type)
		? ["contains", "overlaps"]
		: definitionOf(type).filter.operators;
	return keysOf(filterOperators).filter(
		(name) => name === "isNull" || name === "exists" || own.includes(name),
	);
}

interface Rendering<Name extends string, Target> {
	readonly operators: Readonly<Record<Name, Operator<Target>>>;
	/** Those that the field has. */
	readonly names: readonly Name[];
	readonly field: Field;
	readonly conditions: Conditions;
	readonly target: Target;
}

/** Each operator of the conditions, or `FILTER_REFUSED` with those that the field has. */
export function renderAll<Name extends string, Target>({
	operators,
	names,
	field,
	conditions,
	target,
}: Rendering<Name, Target>): Sql[] {
	const entries = Object.entries(conditions);
	if (entries.length === 0)
		throw refused(field, "has no operator", `operators: ${names.join(", ")}`);
	return entries.map(([given, value]) => {
		const name = names.find((known) => known === given);
		if (name === undefined)
			throw refused(
				field,
				`has no operator "${given}"`,
				suggest(given, names) ?? "",
			);
		if (value === undefined)
			throw refused(field, `${name} has no value`, "leave the operator out");
		return operators[name](field, value, target);
	});
}

const compare =
	(symbol: string): Operator<Sql> =>
	(field, value, column) =>
		sql`${column} ${raw(symbol)} ${scalar(field, value)}`;

const match =
	(symbol: string): Operator<Sql> =>
	(field, value, column) =>
		sql`${column} ${raw(symbol)} ${pattern(field, value)}`;

const filterOperators: Readonly<Record<FilterOperator, Operator<Sql>>> = {
	eq: equals,
	ne: (field, value, column) =>
		value === null
			? sql`${column} IS NOT NULL`
			: sql`(${equals(field, value, column)}) IS NOT TRUE`,
	in: (field, value, column) => sql`${column} = ANY (${list(field, value)})`,
	notIn: (field, value, column) =>
		sql`${column} <> ALL (${list(field, value)})`,
	gt: compare(">"),
	gte: compare(">="),
	lt: compare("<"),
	lte: compare("<="),
	like: match("LIKE"),
	ilike: match("ILIKE"),
	contains: (field, value, column) =>
		sql`${column} @> ${isArrayType(field.type) ? list(field, value) : json(field, value)}`,
	overlaps: (field, value, column) => sql`${column} && ${list(field, value)}`,
	isNull: (field, value, column) =>
		sql`${column} IS ${raw(yesOrNo(field, "isNull", value) ? "NULL" : "NOT NULL")}`,
	exists: (field, value, column) =>
		sql`${column} IS ${raw(yesOrNo(field, "exists", value) ? "NOT NULL" : "NULL")}`,
};

/**
 * NULL counts as a value of its own: `ne`, which is `IS NOT TRUE`, finds rows
 * without one too. Not IS NOT DISTINCT FROM: no index of PostgreSQL 18 answers it.
 */
export function equals(field: Field, value: unknown, column: Sql): Sql {
	if (value === null) return sql`${column} IS NULL`;
	const names = operatorsOf(field.type);
	if (!names.includes("eq"))
		throw refused(
			field,
			"takes operators only",
			`operators: ${names.join(", ")}${field.type === "jsonb" ? '; or a path: { path: ["source"], eq: … }' : ""}`,
		);
	return sql`${column} = ${scalar(field, value)}`;
}

export function yesOrNo(field: Field, name: string, value: unknown): boolean {
	if (typeof value === "boolean") return value;
	throw refused(field, `${name} takes true or false`);
}
