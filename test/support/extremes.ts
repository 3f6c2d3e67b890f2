import * as z from "zod";
import type { ColumnType } from "../../src/models/column-types.ts";

// Values at the edges of each type of column, as SQL writes them.

export interface Extremes {
	readonly schema: z.core.$ZodType;
	/** As SQL writes them; stored and written back, they are the same. */
	readonly kept: readonly string[];
	/** No value of the model: they can be read, and the row can be written without them. */
	readonly refused?: readonly string[];
}

const doubles = [
	"'NaN'",
	"'Infinity'",
	"'-Infinity'",
	"'-0'",
	"5e-324",
	"2.2250738585072014e-308",
	"1.7976931348623157e308",
	"0.1::float8 + 0.2::float8",
];
const bigints = [
	"9007199254740993",
	"-9007199254740993",
	"9223372036854775807",
	"-9223372036854775808",
	"0",
];
const dates = [
	"'infinity'",
	"'-infinity'",
	"'4713-01-01 BC'",
	"'0001-01-01 BC'",
	"'0099-12-31 23:59:59.999'",
	"'1969-12-31 23:59:59.999999'",
	"'2024-02-29 12:00:00.123456+05:45'",
	"'275760-09-13'",
];
const texts = [
	"''",
	"' '",
	"E'\\u0001\\t\\r\\n'",
	"E'\\uFEFFa\\uFEFF'",
	"E'\\uFFFF\\U0010FFFF'",
	"'\\x00 \\u0000'",
	"'null'",
	"repeat('x', 100000)",
];
const uuids = [
	"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
	"'00000000-0000-0000-0000-000000000000'",
	"'ffffffff-ffff-ffff-ffff-ffffffffffff'",
];
const json = [
	"'null'",
	"'[]'",
	"'1.00'",
	"'{\"a\": [1.0, 1.10, 1e2, -0, 0.1]}'",
	'\'{"a": 653247040368672769, "b": 1e400, "c": 0.12345678901234567890}\'',
	'\'{"": {"\\\\u0000": "\\\\\\\\u0000"}}\'',
	"'\"\\uFEFF\"'",
	"('{\"n\": ' || repeat('9', 5000) || '.' || repeat('9', 5000) || '}')",
];
const items = (values: readonly string[]) =>
	values.map((one) => `ARRAY[${one}]`);

export const extremesByType: Readonly<Record<ColumnType, Extremes>> = {
	text: { schema: z.string(), kept: texts },
	uuid: { schema: z.guid(), kept: uuids },
	bigint: { schema: z.int(), kept: bigints },
	"double precision": { schema: z.number(), kept: doubles },
	boolean: { schema: z.boolean(), kept: ["TRUE", "FALSE", "NULL"] },
	timestamptz: {
		schema: z.date(),
		kept: dates,
		refused: ["'275760-09-14'", "'294276-12-31'"],
	},
	jsonb: { schema: z.unknown(), kept: json },
	"text[]": arrays(z.string(), texts),
	"uuid[]": arrays(z.guid(), uuids),
	"bigint[]": arrays(z.int(), bigints),
	"double precision[]": arrays(z.number(), doubles),
	"boolean[]": arrays(z.boolean(), ["TRUE"]),
	"timestamptz[]": {
		...arrays(z.date(), dates),
		refused: ["'{275760-09-14}'", "'{NULL}'"],
	},
};

function arrays(schema: z.core.$ZodType, values: readonly string[]): Extremes {
	const [first = "", second = first] = values;
	return {
		schema: z.array(schema),
		kept: ["'{}'", "NULL", ...items(values), `ARRAY[${first}, ${second}]`],
		refused: ["'{NULL}'"],
	};
}

/** Columns of every entity that a program may fill. */
export const systemExtremes: Readonly<
	Record<string, Omit<Extremes, "schema">>
> = {
	metadata: {
		kept: json.filter((one) => one.includes("{")),
		refused: ["'null'", "'[]'", "'1.00'"],
	},
	graph_edges: {
		kept: [
			"'[]'",
			'\'[{"dst": "x", "rel_type": "y", "weight": 0.50, "properties": {"n": 653247040368672769}}]\'',
			'(\'[{"dst": "x", "rel_type": "y", "n": \' || repeat(\'9\', 5000) || \'.10}]\')',
		],
		refused: [
			"'null'",
			"'[1]'",
			'\'[{"rel_type": "y"}]\'',
			'\'[{"dst": "—", "rel_type": "y"}]\'',
			'\'[{"dst": "x", "rel_type": "y", "weight": 2}]\'',
		],
	},
	tags: { kept: items(texts), refused: ["'{NULL}'"] },
	created_at: { kept: dates },
};
