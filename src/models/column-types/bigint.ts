import * as z from "zod";
import { isJsonNumber } from "../json-number.ts";
import {
	comparisons,
	fixed,
	formatsOf,
	kindOf,
	type TypeDefinition,
} from "./definition.ts";
import { cellNumber, nearestNumber, within } from "./double-precision.ts";

/** Whole numbers of 64 bits, read as a number where that is exact. */
export const bigint: TypeDefinition = {
	oid: 20,
	arrayOid: 1016,
	isDescribedBy: (schema) =>
		kindOf(schema) === "bigint" ||
		(kindOf(schema) === "number" &&
			formatsOf(schema).some((name) => name.includes("int"))),
	isTypeOf: (values) =>
		values.every((value) => typeof value === "bigint") ||
		values.every((value) => Number.isSafeInteger(value)),
	fromJsonSchema: (schema) =>
		schema.type === "integer" ? within(z.int(), schema) : undefined,
	encoder: fixed<number | bigint>(8, (buffer, value, at) => {
		buffer.writeBigInt64BE(BigInt(value), at);
	}),
	decode(text) {
		const number = Number(text);
		return Number.isSafeInteger(number) ? number : BigInt(text);
	},
	equals: (value: number | bigint, stored: number | bigint) =>
		BigInt(value) === BigInt(stored),
	exact: {
		nearest: (value, isBounded) =>
			typeof value !== "bigint" || Number.isSafeInteger(Number(value))
				? value
				: nearestNumber(Number(value), isBounded),
	},
	isOrdered: true,
	isKey: true,
	filter: {
		operators: comparisons,
		expected: "a whole number",
		accepts: (value) =>
			typeof value === "bigint" || Number.isSafeInteger(value),
	},
	dialect: {
		expected: "a whole number",
		castNames: ["int2", "int4", "int8"],
		family: "number",
		read: (text) => (isBigintText(text) ? text : undefined),
		castsToText: true,
		castsFromText: true,
	},
	cell: {
		expected: "a whole number, such as 1234",
		expectedItems: "whole numbers",
		isText: false,
		read: (cell, isBigint) =>
			isBigint ? toBigInt(cell.trim()) : cellNumber(cell),
		fromJson(value, isBigint) {
			if (isJsonNumber(value)) return toBigInt(value.text);
			return isBigint ? toBigInt(value) : value;
		},
	},
	empty: { text: "0", value: 0 },
};

/** Whether PostgreSQL reads the text as a whole number of 64 bits. */
export function isBigintText(text: string): boolean {
	if (!/^[+-]?\d{1,19}$/.test(text)) return false;
	const number = BigInt(text.replace("+", ""));
	return BigInt.asIntN(64, number) === number;
}

function toBigInt(value: unknown): unknown {
	if (typeof value === "number" && Number.isSafeInteger(value))
		return BigInt(value);
	return typeof value === "string" && /^-?\d+$/.test(value)
		? BigInt(value)
		: value;
}
