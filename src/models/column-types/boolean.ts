import * as z from "zod";
import {
	comparisons,
	fixed,
	kindOf,
	type TypeDefinition,
} from "./definition.ts";

export const boolean: TypeDefinition = {
	oid: 16,
	arrayOid: 1000,
	isDescribedBy: (schema) => kindOf(schema) === "boolean",
	isTypeOf: (values) => values.every((value) => typeof value === "boolean"),
	fromJsonSchema: ({ type }) => (type === "boolean" ? z.boolean() : undefined),
	encoder: fixed(1, (buffer, value, at) => {
		buffer[at] = value === true ? 1 : 0;
	}),
	equals: (value, stored) => value === stored,
	isOrdered: true,
	isKey: true,
	filter: {
		operators: comparisons,
		expected: "true or false",
		accepts: (value) => typeof value === "boolean",
	},
	dialect: {
		expected: "true or false",
		castNames: ["bool"],
		family: "boolean",
		read: (text) =>
			/^(true|false|t|f|yes|no|on|off|1|0)$/i.test(text) ? text : undefined,
		format: "true or false",
		castsToText: true,
		castsFromText: true,
	},
	cell: {
		expected: "true or false (or yes and no, 1 and 0)",
		isText: false,
		read: (cell) => words.get(cell.trim().toLowerCase()),
	},
	empty: { text: "false", value: false },
};

const words = new Map([
	["true", true],
	["false", false],
	["t", true],
	["f", false],
	["yes", true],
	["no", false],
	["y", true],
	["n", false],
	["on", true],
	["off", false],
	["1", true],
	["0", false],
]);
