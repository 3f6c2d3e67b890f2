import pg from "pg";
import {
	type ColumnType,
	definitionOf,
	isArrayType,
	scalarTypeEntries,
	scalarTypes,
} from "../models/column-types.ts";
import { parseJson } from "../models/json-text.ts";
import { utcTimestamp } from "./utc-timestamp.ts";

/**
 * How results become values: as the column types define it, else by `pg`'s own
 * parsers. Timestamps are TIMESTAMPTZ everywhere, so a Date is the instant that
 * was written, whatever the time zones on the way.
 */
export const resultTypes = new pg.TypeOverrides();

const parseAnyTextArray = pg.types.getTypeParser(scalarTypes.text.arrayOid);
const parseAnyTimestamp = pg.types.getTypeParser(scalarTypes.timestamptz.oid);

resultTypes.setTypeParser(scalarTypes.text.arrayOid, parseTextArray);
// `json` is not the type of any column: functions return it.
setDecoder({ oid: 114, arrayOid: 199 }, parseJson);
for (const [, type] of scalarTypeEntries)
	if (type.decode !== undefined) setDecoder(type, type.decode);
setDecoder(
	scalarTypes.timestamptz,
	(text) => utcTimestamp(text) ?? parseAnyTimestamp(text),
);

function setDecoder(
	{ oid, arrayOid }: { readonly oid: number; readonly arrayOid: number },
	decode: (text: string) => unknown,
): void {
	resultTypes.setTypeParser(oid, decode);
	resultTypes.setTypeParser(arrayOid, (text: string) =>
		mapItems(parseTextArray(text), decode),
	);
}

/** Reads a value that came as its `::text` inside JSON, as the driver would have read it from its column. */
export function decoderOf(type: ColumnType): (text: string) => unknown {
	const { oid, arrayOid } = definitionOf(type);
	return resultTypes.getTypeParser(
		isArrayType(type) ? arrayOid : oid,
	) as unknown as (text: string) => unknown;
}

/** The items of an array's text, which may be nested: texts, and `null`. */
export function arrayItems(text: string): unknown[] {
	return parseTextArray(text);
}

/** The items of an array, which may be nested, by their texts. */
function mapItems(items: unknown, read: (text: string) => unknown): unknown {
	if (Array.isArray(items)) return items.map((item) => mapItems(item, read));
	return typeof items === "string" ? read(items) : null;
}

/** An array of items without quotation marks is split: the driver reads each character. */
function parseTextArray(text: string): unknown[] {
	if (text === "{}") return [];
	if (!isPlainArray.test(text)) return parseAnyTextArray(text);
	return text
		.slice(1, -1)
		.split(",")
		.map((item) => (item === "NULL" ? null : item));
}

const isPlainArray = /^\{[^"\\{}]+\}$/;
