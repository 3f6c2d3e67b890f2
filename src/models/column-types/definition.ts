import type * as z from "zod";
import { membersOf } from "../../util/present.ts";

/**
 * One type of column, with everything that differs between types. Code that
 * reads, writes, filters or loads values takes it from here: to add a type, add
 * a file beside this one and list it in `column-types.ts`.
 */
export interface TypeDefinition {
	/** `pg_type.oid` of the type and of its arrays; those of PostgreSQL's own types never change. */
	readonly oid: number;
	readonly arrayOid: number;
	/** As CREATE TABLE writes it. @default the type's name */
	readonly ddl?: string;
	/** Whether the values of the zod schema, which is neither an array, a union, an enum nor a literal, are of this type. */
	isDescribedBy(schema: z.core.$ZodType): boolean;
	/** Whether values of an enum or of literals are of this type; absent: never. */
	isTypeOf?(values: readonly unknown[]): boolean;
	/** The zod schema of a JSON Schema without `$ref`, `enum` or alternatives; `undefined`: of another type. */
	fromJsonSchema?(schema: JsonSchema): z.ZodType | undefined;
	/** @internal */
	readonly encoder: Encoder;
	/** The value of PostgreSQL's text form. @default the driver's own parser */
	decode?(text: string): unknown;
	/** Whether a value is equal to what was read; neither is null. */
	equals(value: unknown, stored: unknown): boolean;
	/** As PostgreSQL writes it, where a value has several forms. */
	canonical?(value: unknown): unknown;
	/** Of types that have a value which zod refuses, and another program may have stored. */
	readonly exact?: {
		/** The value that zod checks instead; the value itself where zod accepts it. */
		nearest(value: unknown, isBounded: boolean): unknown;
		/** Why a row may not be given such a value; `undefined`: it may. */
		readonly refusal?: string;
	};
	/** Whether values have an order: rows can be ordered by it, and a B-tree index on it is useful. */
	readonly isOrdered: boolean;
	/** Whether it can be (part of) a natural key. */
	readonly isKey: boolean;
	readonly filter: FilterType;
	readonly dialect: DialectType;
	readonly cell: CellType;
	/** A value for a row whose value is not used, as PostgreSQL and as zod read it. */
	readonly empty: { readonly text: string; readonly value: unknown };
}

/**
 * @internal How an element is written in PostgreSQL's binary format. The schema
 * of the field has checked that it is a `Value`.
 */
export interface Encoder<Value = unknown> {
	/** What is measured and written in the value's place. */
	prepare?(value: unknown): Value;
	/** In bytes. */
	sizeOf(value: Value): number;
	write(buffer: Buffer, value: Value, at: number): void;
}

/** @internal An encoder of values that all have the same size. */
export function fixed<Value>(
	size: number,
	write: (buffer: Buffer, value: Value, at: number) => void,
): Encoder<Value> {
	return { sizeOf: () => size, write };
}

export type FilterOperator =
	| "eq"
	| "ne"
	| "in"
	| "notIn"
	| "gt"
	| "gte"
	| "lt"
	| "lte"
	| "like"
	| "ilike"
	| "contains"
	| "overlaps"
	| "isNull"
	| "exists";

/** In structured filters. */
interface FilterType {
	/** Besides `isNull` and `exists`, which every type has. */
	readonly operators: readonly FilterOperator[];
	/** What an error message calls a value: `takes a Date`. */
	readonly expected: string;
	/** How to write it, where the message alone leaves that open. */
	readonly hint?: string;
	accepts(value: unknown): boolean;
}

export const comparisons = [
	"eq",
	"ne",
	"in",
	"notIn",
	"gt",
	"gte",
	"lt",
	"lte",
] as const satisfies readonly FilterOperator[];

/** In the WHERE text of the REM dialect. */
export interface DialectType {
	/** What an error message calls a value: `expected a time`. */
	readonly expected: string;
	/** Names of the type in a cast, as PostgreSQL's parser returns them. */
	readonly castNames: readonly string[];
	/** Types of one family are compared with each other without a cast. */
	readonly family: string;
	/** The text of a constant to bind; `undefined`: it is not a value of the type. */
	read(text: string): string | undefined;
	/** How a constant is written, for a hint. */
	readonly format?: string;
	readonly castsToText: boolean;
	readonly castsFromText: boolean;
	/** Other types whose values the text must be as well, so that no later step can fail. */
	readonly alsoValidAs?: readonly string[];
	/** The cast from text, where it is not to the type itself. */
	readonly castThrough?: string;
}

/** In files without types, such as CSV. */
interface CellType {
	/** What an error message expects in a cell. */
	readonly expected?: string;
	/** What an error message expects in a list. @default "values" */
	readonly expectedItems?: string;
	/** Whether validation describes a wrong text better than `expected` does. */
	readonly isText: boolean;
	/** The value of a cell; `undefined`: the cell is not one. */
	read(cell: string, isBigint: boolean): unknown;
	/** A value of JSON, which has neither dates nor bigints; what is not of the type stays as it is. */
	fromJson?(value: unknown, isBigint: boolean): unknown;
}

/** The part of JSON Schema that describes a column, and what Pydantic adds. */
export interface JsonSchema {
	readonly [keyword: string]: unknown;
	readonly title?: string;
	readonly type?: string | readonly string[];
	readonly properties?: Readonly<Record<string, JsonSchema>>;
	readonly required?: readonly string[];
	readonly anyOf?: readonly JsonSchema[];
	readonly oneOf?: readonly JsonSchema[];
	readonly allOf?: readonly JsonSchema[];
	readonly items?: JsonSchema;
	readonly enum?: readonly unknown[];
	readonly format?: string;
	readonly $ref?: string;
	readonly $defs?: Readonly<Record<string, JsonSchema>>;
	readonly definitions?: Readonly<Record<string, JsonSchema>>;
	readonly embed?: boolean;
	readonly entity_key?: boolean;
}

/** The kind of a zod schema: `string`, `int` … */
export function kindOf(schema: z.core.$ZodType): string {
	return schema._zod.def.type;
}

/** `z.uuid()` has its format itself, `z.string().uuid()` among its checks. */
export function formatsOf(schema: z.core.$ZodType): string[] {
	const { def } = schema._zod;
	return [def, ...(def.checks ?? []).map((check) => check._zod.def)]
		.map((owner) => membersOf(owner).format)
		.filter((format) => typeof format === "string");
}
