import { arrayLiteral } from "../../db/encode.ts";
import { isBigintText } from "../../models/column-types/bigint.ts";
import { type ColumnType, itemType } from "../../models/column-types.ts";
import { limits } from "../../models/limits.ts";
import { raw, sql } from "../../sql.ts";
import { refusedAt } from "./context.ts";
import type { Constant, ConstantList, Value } from "./value.ts";
import {
	dialectOf,
	familyOf,
	isList,
	nameOfType,
	type ValueType,
} from "./value-types.ts";

/**
 * A constant as a bound value of the type. Everything PostgreSQL would refuse is
 * refused here: its own message could not name the place.
 */
export function bindConstant(
	constant: Constant | ConstantList,
	type: ValueType,
): Value {
	const { position } = constant;
	const actual = typeOfNumber(constant, type);
	return {
		kind: "value",
		type: actual,
		sql: sql`${textOf(constant, actual)}::${raw(actual)}`,
		position,
		isConstant: true,
	};
}

/** A number that is not whole, or too large, is still compared with whole ones. */
function typeOfNumber(
	constant: Constant | ConstantList,
	type: ValueType,
): ValueType {
	return type === "bigint" &&
		constant.kind === "number" &&
		!isBigintText(constant.value)
		? "numeric"
		: type;
}

function textOf(constant: Constant | ConstantList, type: ValueType): string {
	if (isList(type)) return arrayText(constant, type);
	if (constant.kind === "list")
		throw refusedAt(constant.position, `expected ${nameOfType(type)}`);
	if (constant.kind === "null")
		throw refusedAt(
			constant.position,
			"nothing is equal to NULL",
			"IS NULL, IS NOT NULL",
		);
	if (constant.kind === "number" && familyOf(type) !== "number")
		throw refusedAt(
			constant.position,
			`expected ${nameOfType(type)}, found a number`,
			type === "text" ? `'${constant.value}'` : undefined,
		);
	const dialect = dialectOf(type);
	const text = dialect?.read(constant.value);
	if (text !== undefined) return text;
	throw refusedAt(
		constant.position,
		`expected ${nameOfType(type)}`,
		dialect?.format,
	);
}

const listFormat = "ARRAY['a', 'b'] or '{a,b}'";

function arrayText(
	constant: Constant | ConstantList,
	type: ColumnType & `${string}[]`,
): string {
	const items =
		constant.kind === "list" ? constant.items : parseArray(constant, type);
	const element = itemType(type);
	if (items.length > limits.filterListLength)
		throw refusedAt(
			constant.position,
			`a list has at most ${limits.filterListLength} values, this one ${items.length}`,
		);
	return arrayLiteral(items.map((item) => textOf(item, element)));
}

const arrayItem =
	/\s*(?:"((?:[^"\\]|\\[\s\S])*)"\s*|([^\s",{}\\][^",{}\\]*))(?:,|$)/y;

/** `{a,"b c"}`, one level deep. */
function parseArray(constant: Constant, type: ValueType): Constant[] {
	const { value, position } = constant;
	const inner = /^\s*\{([\s\S]*)\}\s*$/.exec(value)?.[1];
	if (constant.kind !== "text" || inner === undefined)
		throw refusedAt(position, `expected ${nameOfType(type)}`, listFormat);
	const items: Constant[] = [];
	arrayItem.lastIndex = 0;
	while (inner.trim() !== "" && arrayItem.lastIndex < inner.length) {
		const item = arrayItem.exec(inner);
		if (item === null)
			throw refusedAt(position, "the list cannot be read", listFormat);
		const text = item[1]?.replace(/\\([\s\S])/g, "$1") ?? item[2]?.trimEnd();
		items.push({ kind: "text", value: text ?? "", position });
	}
	return items;
}
