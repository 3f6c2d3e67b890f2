import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import { fieldOf } from "../models/registry.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";

/** A field and a direction: `"createdAt asc"`, `"name"`. */
export type OrderBy = string | readonly string[];

/** One column that rows are ordered by. NULLs come last ascending, first descending. */
export interface OrderTerm {
	readonly field: Field;
	readonly descending: boolean;
}

/**
 * The order as terms, `id` last so that it is the same every time.
 *
 * @example
 * parseOrderBy(Message, "createdAt desc") // createdAt descending, then id descending
 */
export function parseOrderBy(entity: Entity, orderBy: OrderBy): OrderTerm[] {
	const terms = [orderBy].flat().map((text) => parseTerm(entity, text));
	if (terms.some(({ field }) => field.name === "id")) return terms;
	const descending = terms.at(-1)?.descending ?? false;
	return [...terms, { field: fieldOf(entity, "id"), descending }];
}

function parseTerm(entity: Entity, text: string): OrderTerm {
	const match = /^\s*(\w+)(?:\s+(asc|desc))?\s*$/i.exec(text);
	if (match === null)
		throw new RemError("FILTER_REFUSED", `orderBy cannot be read: "${text}"`, {
			hint: 'a field and a direction, such as "createdAt desc"; several as a list',
		});
	const [, name = "", direction] = match;
	const field = fieldOf(entity, name);
	if (field.type === "jsonb")
		throw new RemError(
			"FILTER_REFUSED",
			`rows cannot be ordered by "${field.name}", which is JSON`,
		);
	return { field, descending: direction?.toLowerCase() === "desc" };
}

export function orderBySql(terms: readonly OrderTerm[], alias: string): Sql {
	return join(
		terms.map(
			({ field, descending }) =>
				sql`${ident(alias, field.column)}${raw(descending ? " DESC" : "")}`,
		),
	);
}

/**
 * The rows after a given one as ranges, in the order of their rows: those that
 * are equal in all terms but the last, then all but the last two, and so on. Each
 * is a range of an index on the terms; as one condition with OR they are none.
 * `values` are the given row's columns as PostgreSQL writes them: a JavaScript
 * Date would lose the microseconds, and rows with them.
 */
export function rangesAfter(
	terms: readonly OrderTerm[],
	values: readonly (string | null)[],
	alias: string,
): Sql[] {
	const equal = terms.map((term, at) => isEqual(term, values[at], alias));
	return terms
		.flatMap((term, at) =>
			// Reversed as a whole below.
			behind(term, values[at] ?? null, alias)
				.reverse()
				.map((range) => join([...equal.slice(0, at), range], " AND ")),
		)
		.reverse();
}

function isEqual(
	{ field }: OrderTerm,
	value: string | null | undefined,
	alias: string,
): Sql {
	const column = ident(alias, field.column);
	return value === null || value === undefined
		? sql`${column} IS NULL`
		: sql`${column} = ${value}::${raw(field.type)}`;
}

/** The ranges behind the value in the term's order; none: nothing is. */
function behind(
	{ field, descending }: OrderTerm,
	value: string | null,
	alias: string,
): Sql[] {
	const column = ident(alias, field.column);
	if (value === null) return descending ? [sql`${column} IS NOT NULL`] : [];
	const bound = sql`${value}::${raw(field.type)}`;
	if (descending) return [sql`${column} < ${bound}`];
	const greater = sql`${column} > ${bound}`;
	return field.nullable ? [greater, sql`${column} IS NULL`] : [greater];
}
