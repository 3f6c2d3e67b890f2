import * as z from "zod";
import {
	comparisons,
	type JsonSchema,
	kindOf,
	type TypeDefinition,
} from "./definition.ts";

export const text: TypeDefinition = {
	oid: 25,
	arrayOid: 1009,
	isDescribedBy: (schema) =>
		kindOf(schema) === "string" || kindOf(schema) === "template_literal",
	isTypeOf: (values) => values.every((value) => typeof value === "string"),
	fromJsonSchema: (schema) =>
		schema.type === "string" ? bounded(schema) : undefined,
	encoder: {
		sizeOf: (value: string) => Buffer.byteLength(value),
		write: (buffer, value: string, at) => {
			buffer.write(value, at, "utf8");
		},
	},
	equals: (value, stored) => value === stored,
	isOrdered: true,
	isKey: true,
	filter: {
		operators: [...comparisons, "like", "ilike"],
		expected: "text",
		accepts: (value) => typeof value === "string",
	},
	dialect: {
		expected: "text",
		castNames: ["text", "varchar"],
		family: "text",
		read: (constant) => constant,
		castsToText: false,
		castsFromText: false,
	},
	cell: { isText: true, read: (cell) => cell },
	empty: { text: "", value: "" },
};

function bounded({ minLength, maxLength }: JsonSchema): z.ZodString {
	let type = z.string();
	if (typeof minLength === "number") type = type.min(minLength);
	if (typeof maxLength === "number") type = type.max(maxLength);
	return type;
}
