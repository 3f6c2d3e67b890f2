import pg from "pg";
import { describe, expect, test } from "vitest";
import { decoderOf } from "../../src/db/decode.ts";
import { parseJson } from "../../src/models/json-text.ts";

// The short ways to read a value give what the driver's own parsers give.

const driver = (oid: number) =>
	pg.types.getTypeParser(oid) as unknown as (text: string) => unknown;

describe("a time", () => {
	const read = decoderOf("timestamptz");
	const same = (text: string) =>
		expect(read(text), text).toEqual(driver(1184)(text));

	test("is the driver's, whatever its fraction", () => {
		for (let ms = 0; ms < 1000; ms++) {
			const fraction = String(ms).padStart(3, "0");
			same(`2026-01-31 23:59:59.${fraction}+00`);
			same(`2026-01-31 23:59:59.${fraction.slice(0, 2)}+00`);
			same(`2026-01-31 23:59:59.${fraction.slice(0, 1)}+00`);
		}
		expect(read("2026-01-31 23:59:59.078+00")).toEqual(
			new Date("2026-01-31T23:59:59.078Z"),
		);
	});

	test.each([
		"2026-01-31 12:00:00+00",
		"2024-02-29 00:00:00+00",
		"1969-12-31 23:59:59.999+00",
		"0001-01-01 00:00:00+00",
		"0099-12-31 23:59:59.5+00",
		"0100-01-01 00:00:00+00",
		"9999-12-31 23:59:59.999+00",
		"12026-01-31 12:00:00+00",
		"0044-03-15 12:00:00+00 BC",
		"2026-01-31 12:00:00.123456+00",
		"2026-01-31 12:00:00+02",
		"2026-01-31 12:00:00-03:30",
		"2026-01-31 12:00:00.25+05:45",
		"1850-01-01 00:00:00-00:25:21",
		"infinity",
		"-infinity",
	])("is the driver's: %s", same);

	test("an array of times is one of instants", () => {
		expect(
			decoderOf("timestamptz[]")(
				'{"2026-01-31 12:00:00+00",NULL,"2026-01-31 12:00:00+02",infinity}',
			),
		).toEqual([
			new Date("2026-01-31T12:00:00Z"),
			null,
			new Date("2026-01-31T10:00:00Z"),
			Number.POSITIVE_INFINITY,
		]);
	});
});

test.each([
	"{}",
	"{a}",
	"{a,b c,ü}",
	"{NULL,null,Null}",
	'{"NULL",a}',
	'{"a,b","c\\"d","e\\\\f",""}',
	"{{a,b},{c,d}}",
	"[0:1]={a,b}",
	'{"{}"}',
	"{1,2,NULL}",
])("an array of texts is the driver's: %s", (text) => {
	expect(decoderOf("text[]")(text)).toEqual(driver(1009)(text));
});

test("the texts of a list of values stay texts, numbers beside them stay exact", () => {
	const digits = "12345678901234567890";
	expect(parseJson(`["${digits}",null,"1e999"]`)).toEqual([
		digits,
		null,
		"1e999",
	]);
	expect(String((parseJson(`["a",${digits}]`) as unknown[])[1])).toBe(digits);
});
