import type { Sql } from "../../sql.ts";
import type { ValueType } from "./value-types.ts";

/** Something of a known type, as SQL. */
export interface Value {
	readonly kind: "value";
	readonly type: ValueType;
	readonly sql: Sql;
	/** Where it was written, counted from 1. */
	readonly position: number;
	/** The same for every row: its errors reveal nothing about rows. */
	readonly isConstant?: boolean;
	/** Contains a checked cast, which has its operand twice: none may be put around it. */
	readonly hasCast?: boolean;
	/** Of a step into JSON: the same step as text. */
	readonly asText?: Sql | undefined;
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
