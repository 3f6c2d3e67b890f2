import pg from "pg";

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

function toInteger(text: string): number | bigint {
	const number = Number(text);
	return Number.isSafeInteger(number) ? number : BigInt(text);
}
