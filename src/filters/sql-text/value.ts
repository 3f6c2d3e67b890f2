import type { ColumnType } from "../../models/field.ts";
import type { Sql } from "../../sql.ts";

export type ValueType = ColumnType | "numeric" | "date" | "interval";

/** Something of a known type, as SQL. */
export interface Value {
	readonly kind: "value";
	readonly type: ValueType;
	readonly sql: Sql;
	/** Where it was written, counted from 1. */
	readonly position: number;
	/** The same for every row: errors it may give say nothing about rows. */
	readonly isConstant?: boolean;
	/** Holds a checked cast, which has its operand twice: none may be put around it. */
	readonly hasCast?: boolean;
	/** Of a step into JSON: the same step as text. */
	readonly asText?: Sql;
}

/** A constant as it was written: what it is beside decides on its type. */
export interface Constant {
	readonly kind: "text" | "number" | "null";
	readonly value: string;
	readonly position: number;
}

/** `ARRAY['a', 'b']` */
export interface ConstantList {
	readonly kind: "list";
	readonly items: readonly Constant[];
	readonly position: number;
}

export type Operand = Value | Constant | ConstantList;

const families: Readonly<Record<string, string>> = {
	bigint: "number",
	numeric: "number",
	"double precision": "number",
	timestamptz: "time",
	date: "time",
};

/** Types of one family are compared with each other as they are. */
export function familyOf(type: ValueType): string {
	return families[type] ?? type;
}

const articles: Readonly<Record<string, string>> = {
	text: "text",
	bigint: "a whole number",
	numeric: "a number",
	"double precision": "a number",
	boolean: "true or false",
	timestamptz: "a time",
	date: "a date",
	interval: "an interval",
	uuid: "a UUID",
	jsonb: "JSON",
};

export function nameOfType(type: ValueType): string {
	return articles[type] ?? `a list (${type})`;
}

export function isList(type: ValueType): type is ColumnType & `${string}[]` {
	return type.endsWith("[]");
}
