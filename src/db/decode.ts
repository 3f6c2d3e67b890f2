import pg from "pg";
import type { ColumnType } from "../models/field.ts";
import { parseJson } from "../models/json-text.ts";

const int8 = 20;
const int8Array = 1016;
const textArray = 1009;
const json = 114;
const jsonb = 3802;
const jsonArrays = [199, 3807];

/**
 * How results become values: `pg`'s own parsers, but a bigint is a number
 * where that is exact, and so is a number in JSON. Timestamps are TIMESTAMPTZ everywhere, so a Date is the
 * instant that was written, whatever the time zones on the way.
 */
export const resultTypes = new pg.TypeOverrides();

resultTypes.setTypeParser(int8, toInteger);
const parseTextArray = pg.types.getTypeParser(textArray as never);
resultTypes.setTypeParser(int8Array, (text: string) =>
	mapItems(parseTextArray(text), toInteger),
);
resultTypes.setTypeParser(json, parseJson);
resultTypes.setTypeParser(jsonb, parseJson);
for (const oid of jsonArrays)
	resultTypes.setTypeParser(oid, (text: string) =>
		mapItems(parseTextArray(text), parseJson),
	);

/** A value that came as its `::text` inside JSON, as the driver would have read it from its column. */
export function decodeText(type: ColumnType, text: string): unknown {
	const parse = resultTypes.getTypeParser(oids[type]);
	return (parse as unknown as (text: string) => unknown)(text);
}

// pg_type.oid of PostgreSQL's own types never changes.
const oids: Readonly<Record<ColumnType, number>> = {
	boolean: 16,
	bigint: int8,
	text: 25,
	"double precision": 701,
	timestamptz: 1184,
	uuid: 2950,
	jsonb,
	"boolean[]": 1000,
	"text[]": textArray,
	"bigint[]": int8Array,
	"double precision[]": 1022,
	"timestamptz[]": 1185,
	"uuid[]": 2951,
};

/** The items of an array, which may be nested, by their texts. */
function mapItems(items: unknown, read: (text: string) => unknown): unknown {
	if (Array.isArray(items)) return items.map((item) => mapItems(item, read));
	return items === null ? null : read(items as string);
}

function toInteger(text: string): number | bigint {
	const number = Number(text);
	return Number.isSafeInteger(number) ? number : BigInt(text);
}
