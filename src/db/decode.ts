import pg from "pg";
import type { ColumnType } from "../models/field.ts";

const int8 = 20;
const int8Array = 1016;
const textArray = 1009;

/**
 * How results become values: `pg`'s own parsers, but a bigint is a number
 * where that is exact. Timestamps are TIMESTAMPTZ everywhere, so a Date is the
 * instant that was written, whatever the time zones on the way.
 */
export const resultTypes = new pg.TypeOverrides();

resultTypes.setTypeParser(int8, toInteger);
const parseTextArray = pg.types.getTypeParser(textArray as never);
resultTypes.setTypeParser(int8Array, (text: string) =>
	(parseTextArray(text) as unknown as (string | null)[]).map((item) =>
		item === null ? null : toInteger(item),
	),
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
	jsonb: 3802,
	"boolean[]": 1000,
	"text[]": textArray,
	"bigint[]": int8Array,
	"double precision[]": 1022,
	"timestamptz[]": 1185,
	"uuid[]": 2951,
};

function toInteger(text: string): number | bigint {
	const number = Number(text);
	return Number.isSafeInteger(number) ? number : BigInt(text);
}
