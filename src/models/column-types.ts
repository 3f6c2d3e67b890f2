import { keysOf } from "../util/present.ts";
import { bigint } from "./column-types/bigint.ts";
import { boolean } from "./column-types/boolean.ts";
import type { TypeDefinition } from "./column-types/definition.ts";
import { doublePrecision } from "./column-types/double-precision.ts";
import { jsonb } from "./column-types/jsonb.ts";
import { text } from "./column-types/text.ts";
import { timestamptz } from "./column-types/timestamptz.ts";
import { uuid } from "./column-types/uuid.ts";

/**
 * Every type of column by its name in SQL. The first one that is described by a
 * schema is the column's: a narrower type precedes a wider one, JSON last.
 */
export const scalarTypes = {
	bigint,
	"double precision": doublePrecision,
	boolean,
	uuid,
	timestamptz,
	text,
	jsonb,
} as const;

export type ScalarType = keyof typeof scalarTypes;

/** The types a column can have; `[]` is a one-dimensional array of it. */
export type ColumnType = ScalarType | `${Exclude<ScalarType, "jsonb">}[]`;

export const scalarTypeEntries: readonly (readonly [
	ScalarType,
	TypeDefinition,
])[] = keysOf(scalarTypes).map((name) => [name, scalarTypes[name]]);

/** The definition of the type, or of the elements' type of an array. */
export function definitionOf(type: ColumnType): TypeDefinition {
	return scalarTypes[elementTypeOf(type)];
}

export function isArrayType(type: string): type is ColumnType & `${string}[]` {
	return type.endsWith("[]");
}

/** Of an array the type of its elements, else the type itself. */
export function elementTypeOf(type: ColumnType): ScalarType {
	return isArrayType(type) ? itemType(type) : type;
}

/** Of `text[]`: `text`. */
export function itemType<T extends string>(type: `${T}[]`): T {
	return type.slice(0, -2) as T;
}

/** Whether rows can be ordered by a column of the type as by one value. */
export function isOrdered(type: ColumnType): boolean {
	return !isArrayType(type) && definitionOf(type).isOrdered;
}
