import type * as z from "zod";
import type { Entity, Shape } from "./entity.ts";
import type { VectorInput } from "./vector.ts";

/** An edge of the graph, stored in `graphEdges` exactly as it is given. */
export interface Edge {
	/** Natural key of the entity it points to. */
	readonly dst: string;
	readonly rel_type: string;
	/** 0 to 1. */
	readonly weight?: number;
	readonly properties?: Readonly<Record<string, unknown>>;
	readonly created_at?: string;
	readonly [other: string]: unknown;
}

/** What every entity has besides its own fields. */
export interface SystemFields {
	readonly id: string;
	readonly tenantId: string;
	readonly userId: string | null;
	readonly graphEdges: Edge[];
	readonly metadata: Record<string, unknown>;
	readonly tags: string[];
	readonly createdAt: Date;
	readonly updatedAt: Date;
	readonly deletedAt: Date | null;
}

/**
 * A row as it is read. A column without a value is `null`.
 *
 * @example
 * type Document = Row<typeof Document> // { id: string, name: string, description: string | null, … }
 */
export type Row<E> =
	E extends Entity<string, infer S>
		? Flat<SystemFields & { [K in keyof S]: Stored<S[K]> }>
		: never;

/**
 * A row as it is written: what the zod fields accept, system fields optional.
 * Absent means "leave as it is" (or the default, for a new row); `null` clears.
 */
export type NewRow<E> =
	E extends Entity<string, infer S>
		? Flat<
				Omit<z.input<z.ZodObject<S>>, OptionalKeys<S>> & {
					[K in OptionalKeys<S>]?: z.input<S[K]> | ClearedBy<S[K]> | undefined;
				} & NewSystemFields & {
						/** Ready vectors by field: stored as they are, no provider is asked. */
						readonly vectors?:
							| { readonly [K in TextFields<S>]?: VectorInput }
							| undefined;
					}
			>
		: never;

/**
 * Some fields of a row that exists, with their new values: what zod accepts,
 * `null` to clear. Absent means "leave as it is".
 */
export type Patch<E> =
	E extends Entity<string, infer S>
		? Flat<
				{
					[K in keyof S]?: z.input<S[K]> | ClearedBy<S[K]> | undefined;
				} & Pick<
					NewSystemFields,
					"userId" | "graphEdges" | "metadata" | "tags"
				> & {
						/** Ready vectors by field, of texts that the patch names. */
						readonly vectors?:
							| { readonly [K in TextFields<S>]?: VectorInput }
							| undefined;
					}
			>
		: never;

interface NewSystemFields {
	/** A UUID; without one, the row of this natural key, or a new one. */
	readonly id?: string | undefined;
	readonly tenantId?: string | undefined;
	readonly userId?: string | null | undefined;
	readonly graphEdges?: readonly Edge[] | undefined;
	readonly metadata?: Readonly<Record<string, unknown>> | undefined;
	readonly tags?: readonly string[] | undefined;
	/** Of a new row; a stored one retains its own. */
	readonly createdAt?: Date | undefined;
	/** Accepted so that a row that was read can be written again; the database has its own. */
	readonly updatedAt?: Date | undefined;
	readonly deletedAt?: null | undefined;
}

/** Names of the fields of a row, system fields included. */
export type FieldName<E> = keyof Row<E> & string;

/** Names of the fields that contain text, and so may have a vector. */
export type TextFieldName<E> =
	E extends Entity<string, infer S> ? TextFields<S> : never;

/**
 * `{ year: { gte: 1990 }, category: "drama" }`: all of them must match. `AND` and
 * `OR` take lists of filters, `NOT` one or a list of which none may match.
 */
export type Where<E> = {
	readonly [K in FieldName<E>]?: Condition<Row<E>[K]> | undefined;
} & {
	readonly AND?: readonly Where<E>[];
	/** At least one of them matches; of an empty list none does. */
	readonly OR?: readonly Where<E>[];
	/** Finds exactly the rows that the filter does not find. */
	readonly NOT?: Where<E> | readonly Where<E>[];
};

/** A value (equal), `null` (has none), or operators that must all match. */
export type Condition<T> =
	| Exclude<T, readonly unknown[] | Record<string, unknown>>
	| (null extends T ? null : never)
	| Operators<NonNullable<T>>;

export type Operators<T> = T extends readonly (infer Item)[]
	? Item extends Record<string, unknown> & { getTime?: never }
		? JsonOperators<readonly Partial<Item>[]>
		: {
				/** Contains every one of these items. */
				readonly contains?: readonly Item[];
				/** Contains at least one of these items. */
				readonly overlaps?: readonly Item[];
				readonly isNull?: boolean;
				readonly exists?: boolean;
			}
	: T extends Record<string, unknown> & { getTime?: never }
		? JsonOperators<Record<string, unknown>>
		: {
				readonly eq?: T | null;
				readonly ne?: T | null;
				readonly in?: readonly T[];
				readonly notIn?: readonly T[];
				readonly gt?: T;
				readonly gte?: T;
				readonly lt?: T;
				readonly lte?: T;
				/** SQL's LIKE: `%` any text, `_` any character. */
				readonly like?: T extends string ? string : never;
				/** LIKE whatever the case. */
				readonly ilike?: T extends string ? string : never;
				readonly isNull?: boolean;
				readonly exists?: boolean;
			};

type JsonOperators<Json> =
	| {
			/** Contains this JSON: PostgreSQL's `@>`. */
			readonly contains?: Json;
			readonly isNull?: boolean;
			readonly exists?: boolean;
	  }
	| PathCondition;

/** What a value inside JSON must be: `{ path: ["source", "year"], gte: 1990 }`. */
interface PathCondition {
	/** Keys, and places in arrays, from the outside in. */
	readonly path: readonly (string | number)[];
	readonly eq?: unknown;
	readonly ne?: unknown;
	readonly in?: readonly unknown[];
	readonly notIn?: readonly unknown[];
	/** Numbers are compared with numbers, texts (dates too) with texts. */
	readonly gt?: number | string | Date;
	readonly gte?: number | string | Date;
	readonly lt?: number | string | Date;
	readonly lte?: number | string | Date;
	readonly like?: string;
	readonly ilike?: string;
	readonly contains?: unknown;
	/** Nothing there, or JSON's null. */
	readonly isNull?: boolean;
	/** Something there, be it null. */
	readonly exists?: boolean;
}

type Stored<T extends z.core.$ZodType> =
	| Exclude<z.output<T>, undefined>
	| (undefined extends z.output<T> ? null : never);

type OptionalKeys<S extends Shape> = {
	[K in keyof S]: undefined extends z.input<S[K]> ? K : never;
}[keyof S];

/** What has no default is cleared by `null`, whether or not zod names null. */
type ClearedBy<T extends z.core.$ZodType> =
	undefined extends z.output<T> ? null : never;

/** Of a model that is only known at run time, any name may be one. */
type TextFields<S extends Shape> = string extends keyof S
	? string
	: {
			[K in keyof S & string]: NonNullable<z.output<S[K]>> extends string
				? K
				: never;
		}[keyof S & string];

type Flat<T> = { [K in keyof T]: T[K] } & {};
