import type { ColumnType, Field } from "../models/field.ts";
import { raw, type Sql, sql } from "../sql.ts";
import { suggest } from "../util/suggest.ts";
import { refused } from "./refused.ts";
import { json, list, pattern, scalar } from "./values.ts";

/** What a condition can say of a value, and how SQL says it. */
export interface Operator<Target> {
	takes(type: ColumnType): boolean;
	render(field: Field, value: unknown, target: Target): Sql;
}

type Conditions = Readonly<Record<string, unknown>>;

/** `{ gte: 1990, lt: 2000 }` on a column. */
export function renderOperators(
	field: Field,
	conditions: Conditions,
	column: Sql,
): Sql[] {
	return renderAll(filterOperators, field, conditions, column);
}

/** Each operator of the conditions, or `FILTER_REFUSED` with those there are. */
export function renderAll<Target>(
	known: Readonly<Record<string, Operator<Target>>>,
	field: Field,
	conditions: Conditions,
	target: Target,
): Sql[] {
	const names = Object.entries(known)
		.filter(([, operator]) => operator.takes(field.type))
		.map(([name]) => name);
	const entries = Object.entries(conditions);
	if (entries.length === 0)
		throw refused(field, "has no operator", `operators: ${names.join(", ")}`);
	return entries.map(([name, value]) => {
		if (!names.includes(name))
			throw refused(
				field,
				`has no operator "${name}"`,
				suggest(name, names) ?? "",
			);
		if (value === undefined)
			throw refused(field, `${name} has no value`, "leave the operator out");
		return (known[name] as Operator<Target>).render(field, value, target);
	});
}

const isScalar = (type: ColumnType) => type !== "jsonb" && !type.endsWith("[]");
const isArray = (type: ColumnType) => type.endsWith("[]");

const compare = (symbol: string): Operator<Sql> => ({
	takes: isScalar,
	render: (field, value, column) =>
		sql`${column} ${raw(symbol)} ${scalar(field, value)}`,
});

const match = (symbol: string): Operator<Sql> => ({
	takes: (type) => type === "text",
	render: (field, value, column) =>
		sql`${column} ${raw(symbol)} ${pattern(field, value)}`,
});

export const filterOperators: Readonly<Record<string, Operator<Sql>>> = {
	eq: { takes: isScalar, render: equals },
	ne: {
		takes: isScalar,
		render: (field, value, column) =>
			value === null
				? sql`${column} IS NOT NULL`
				: sql`(${equals(field, value, column)}) IS NOT TRUE`,
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
		render: (field, value, column) =>
			sql`${column} IS ${raw(yesOrNo(field, "isNull", value) ? "NULL" : "NOT NULL")}`,
	},
	exists: {
		takes: () => true,
		render: (field, value, column) =>
			sql`${column} IS ${raw(yesOrNo(field, "exists", value) ? "NOT NULL" : "NULL")}`,
	},
};

/**
 * NULL counts as a value of its own: `ne`, which is `IS NOT TRUE`, finds rows
 * without one too. Not IS NOT DISTINCT FROM: no index of PostgreSQL 18 answers it.
 */
export function equals(field: Field, value: unknown, column: Sql): Sql {
	if (value === null) return sql`${column} IS NULL`;
	if (!isScalar(field.type)) {
		const names = Object.keys(filterOperators).filter((name) =>
			filterOperators[name]?.takes(field.type),
		);
		throw refused(
			field,
			"takes operators only",
			`operators: ${names.join(", ")}${field.type === "jsonb" ? '; or a path: { path: ["source"], eq: … }' : ""}`,
		);
	}
	return sql`${column} = ${scalar(field, value)}`;
}

export function yesOrNo(field: Field, name: string, value: unknown): boolean {
	if (typeof value === "boolean") return value;
	throw refused(field, `${name} takes true or false`);
}
