import { describe, expect, test } from "vitest";
import {
	arrayLiteral,
	encodeArray,
	encodeVector,
	encodeVectorArray,
} from "../../src/db/encode.ts";

// PostgreSQL's binary form of an array: dimensions, whether there are NULLs,
// OID of the element; then, if there is any, length and lower bound; then each
// element as its length and bytes. test/engine/db.test.ts asks the engines.
const hex = (buffer: Buffer) => buffer.toString("hex");

test("an empty array has no dimension", () => {
	expect(hex(encodeArray("text", []))).toBe("000000000000000000000019");
});

test("a text array has lengths in bytes, and -1 for NULL", () => {
	expect(hex(encodeArray("text", ["é", null, ""]))).toBe(
		[
			"00000001", // one dimension
			"00000001", // there are NULLs
			"00000019", // text
			"00000003", // three elements
			"00000001", // from 1
			"00000002c3a9",
			"ffffffff",
			"00000000",
		].join(""),
	);
});

test("undefined is NULL too", () => {
	expect(encodeArray("text", [undefined])).toEqual(encodeArray("text", [null]));
});

test.each<[Parameters<typeof encodeArray>[0], unknown, string, string]>([
	["boolean", true, "00000010", "0000000101"],
	["boolean", false, "00000010", "0000000100"],
	["integer", -2, "00000017", "00000004fffffffe"],
	["bigint", -2, "00000014", "00000008fffffffffffffffe"],
	["bigint", 2n ** 63n - 1n, "00000014", "000000087fffffffffffffff"],
	["bigint", 2 ** 53 - 1, "00000014", "00000008001fffffffffffff"],
	["double precision", 1.5, "000002bd", "000000083ff8000000000000"],
	[
		"timestamptz",
		new Date("2000-01-01Z"),
		"000004a0",
		"000000080000000000000000",
	],
	[
		"timestamptz",
		new Date("1999-12-31T23:59:59.999Z"),
		"000004a0",
		"00000008fffffffffffffc18",
	],
	[
		"uuid",
		"01234567-89AB-cdef-0123-456789abcdef",
		"00000b86",
		"000000100123456789abcdef0123456789abcdef",
	],
	["jsonb", { a: "é" }, "00000eda", "0000000b017b2261223a22c3a9227d"],
	["bytea", Buffer.from([0, 255]), "00000011", "0000000200ff"],
])("an array of %s contains %o", (type, value, oid, element) => {
	const array = hex(encodeArray(type, [value]));
	expect(array).toBe(`0000000100000000${oid}0000000100000001${element}`);
});

test("a vector is its length, a reserved word and big-endian floats", () => {
	expect(hex(encodeVector(Float32Array.of(1, -2)))).toBe(
		"000200003f800000c0000000",
	);
});

test("a vector that is a view of a larger buffer is read from its place", () => {
	const whole = Float32Array.of(9, 1, -2, 9);
	expect(encodeVector(whole.subarray(1, 3))).toEqual(
		encodeVector(Float32Array.of(1, -2)),
	);
	expect(whole).toEqual(Float32Array.of(9, 1, -2, 9));
});

test("an array of vectors names the type by the OID of this database", () => {
	expect(hex(encodeVectorArray(0x4321, [Float32Array.of(1)]))).toBe(
		"000000010000000000004321000000010000000100000008000100003f800000",
	);
});

describe("the text form of an array", () => {
	test.each<[unknown[], string]>([
		[[], "{}"],
		[["a", "b"], '{"a","b"}'],
		[[""], '{""}'],
		[[null, undefined], "{NULL,NULL}"],
		[["NULL", "null"], '{"NULL","null"}'],
		[['a"b', "a\\b", "a,b", "{}"], '{"a\\"b","a\\\\b","a,b","{}"}'],
		[[1, 1.5, true], '{"1","1.5","true"}'],
		[[10n], '{"10"}'],
		[[new Date(0)], '{"1970-01-01T00:00:00.000Z"}'],
	])("of %o is %s", (values, text) => {
		expect(arrayLiteral(values)).toBe(text);
	});
});
