import { itemType } from "../../models/column-types.ts";
import { limits } from "../../models/limits.ts";
import { empty, raw, type Sql, sql } from "../../sql.ts";
import { valueAt } from "../../util/present.ts";
import { bindConstant } from "./constants.ts";
import { refusedAt } from "./context.ts";
import { sameFamily } from "./operators.ts";
import { as, settle } from "./unify.ts";
import type { Constant, Operand, Value } from "./value.ts";
import { isList, listTypeOf } from "./value-types.ts";

/** A value that is compared with those of a list. */
export interface Membership {
	readonly left: Operand;
	readonly operator: string;
	readonly position: number;
}

/** `x IN (1, 2)`, `x NOT IN (1, 2)` (its operator is `<>`). */
export function inList(
	{ left, operator, position }: Membership,
	items: readonly Operand[],
): Value {
	const value = settle(left);
	const found = items.map((item) => {
		if (item.kind === "text" || item.kind === "number") return item;
		throw refusedAt(
			item.position,
			"IN takes a list of constants",
			item.kind === "null" ? "IS NULL finds what has no value" : undefined,
		);
	});
	const list = listOf(value, found, position);
	return operator === "="
		? boolean(position, sql`(${value.sql} = ANY (${list.sql}))`)
		: boolean(position, sql`(${value.sql} <> ALL (${list.sql}))`);
}

/** `x = ANY (ARRAY[1, 2])`, `'a' = ANY (tags)` */
export function matchesAny(
	{ left, operator, position }: Membership,
	right: Operand,
): Value {
	if (operator !== "=")
		throw refusedAt(position, "ANY stands after = only", "x = ANY (…)");
	if (right.kind !== "value") {
		const value = settle(left);
		const list =
			right.kind === "list"
				? listOf(value, right.items, position)
				: bindConstant(right, listTypeOf(value.type));
		return boolean(position, sql`(${value.sql} = ANY (${list.sql}))`);
	}
	if (!isList(right.type)) throw refusedAt(right.position, "ANY takes a list");
	const value = as(left, itemType(right.type));
	// An index on the list knows @>.
	return boolean(position, sql`(${right.sql} @> ARRAY[${value.sql}])`);
}

/** Numbers that are not all whole are compared as numeric ones. */
function listOf(
	value: Value,
	items: readonly Constant[],
	position: number,
): Value {
	if (items.length > limits.filterListLength)
		throw refusedAt(
			position,
			`a list has at most ${limits.filterListLength} values, this one ${items.length}`,
		);
	const isMixed =
		value.type === "bigint" &&
		items.some((item) => bindConstant(item, "bigint").type !== "bigint");
	const type = isMixed ? "numeric" : value.type;
	if (isList(type) || type === "jsonb")
		throw refusedAt(position, "IN is for single values, not lists or JSON");
	return bindConstant({ kind: "list", items, position }, listTypeOf(type));
}

export function between(
	operand: Operand,
	[low, high]: readonly [low: Operand, high: Operand],
	isNot: boolean,
): Value {
	const value = settle(operand);
	const [, from] = sameFamily(value, low);
	const [, to] = sameFamily(value, high);
	const [left] = sameFamily(value, from);
	const not = isNot ? raw("NOT ") : empty;
	return boolean(
		value.position,
		sql`(${left.sql} ${not}BETWEEN ${from.sql} AND ${to.sql})`,
	);
}

const likeOperators: ReadonlyMap<string, string> = new Map([
	["~~", "LIKE"],
	["!~~", "NOT LIKE"],
	["~~*", "ILIKE"],
	["!~~*", "NOT ILIKE"],
]);

export function like(left: Operand, pattern: Operand, operator: string): Value {
	const value = as(left, "text");
	if (pattern.kind !== "text")
		throw refusedAt(pattern.position, "LIKE takes a constant pattern");
	if (/(^|[^\\])(\\\\)*\\$/.test(pattern.value))
		throw refusedAt(
			pattern.position,
			"the pattern ends with a backslash that escapes nothing",
		);
	const word = raw(valueAt(likeOperators, operator));
	return boolean(
		value.position,
		sql`(${value.sql} ${word} ${pattern.value}::text)`,
	);
}

function boolean(position: number, condition: Sql): Value {
	return { kind: "value", type: "boolean", sql: condition, position };
}
