import * as z from "zod";
import { isUuid } from "../../util/uuid.ts";
import {
	comparisons,
	fixed,
	formatsOf,
	kindOf,
	type TypeDefinition,
} from "./definition.ts";

const empty = "00000000-0000-4000-8000-000000000000";

export const uuid: TypeDefinition = {
	oid: 2950,
	arrayOid: 2951,
	isDescribedBy: (schema) =>
		kindOf(schema) === "string" &&
		formatsOf(schema).some((name) => name === "uuid" || name === "guid"),
	fromJsonSchema: ({ type, format }) =>
		type === "string" && format === "uuid" ? z.guid() : undefined,
	encoder: fixed<string>(16, (buffer, value, at) => {
		buffer.write(value.replaceAll("-", ""), at, "hex");
	}),
	equals: (value: string, stored) => value.toLowerCase() === stored,
	// Two forms of a key are one key.
	canonical: (value) =>
		typeof value === "string" ? value.toLowerCase() : value,
	isOrdered: true,
	isKey: true,
	filter: {
		operators: comparisons,
		expected: "a UUID",
		accepts: (value) => typeof value === "string" && isUuid(value),
	},
	dialect: {
		expected: "a UUID",
		castNames: ["uuid"],
		family: "uuid",
		read: (text) => (isUuid(text) ? text : undefined),
		castsToText: true,
		castsFromText: true,
	},
	cell: {
		expected: "a UUID",
		isText: true,
		read: (cell) => cell.trim(),
	},
	empty: { text: empty, value: empty },
};
