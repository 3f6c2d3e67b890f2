import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { JsonNumber } from "../../src/index.ts";
import { defineEntity } from "../../src/models/entity.ts";
import { isExactNumber } from "../../src/models/json-number.ts";
import { parseJson, writeJson } from "../../src/models/json-text.ts";
import { validateRows } from "../../src/models/validate.ts";

/** Digits with an optional point and exponent, of any length. */
const numberText = fc
	.tuple(
		fc.constantFrom("", "-"),
		fc.oneof(fc.constant("0"), fc.stringMatching(/^[1-9]\d{0,40}$/)),
		fc.option(fc.stringMatching(/^\d{1,40}$/)),
		fc.option(fc.integer({ min: -500, max: 500 })),
	)
	.map(
		([sign, whole, fraction, exponent]) =>
			`${sign}${whole}${fraction === null ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`,
	);

/** The value as whole digits and a power of ten, without any of the code under test. */
function decimal(text: string): string {
	const [, sign, whole, fraction = "", exponent = "0"] =
		/^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) as RegExpExecArray;
	const digits = BigInt(`${whole}${fraction}`);
	if (digits === 0n) return "0";
	const zeros = /0*$/.exec(String(digits))?.[0].length ?? 0;
	return `${sign}${String(digits / 10n ** BigInt(zeros))}e${Number(exponent) - fraction.length + zeros}`;
}

test("every number is read and written with its decimal value", () => {
	fc.assert(
		fc.property(fc.array(numberText), fc.string(), (numbers, text) => {
			const json = `{"before": ${JSON.stringify(text)}, "numbers": [${numbers.join(", ")}]}`;
			const value = parseJson(json) as { numbers: unknown[] };
			// The list alone: a text may look like a number between two signs.
			const written = JSON.parse(
				writeJson(value.numbers).replace(/-?\d[\d.eE+-]*/g, '"$&"'),
			) as string[];
			expect(written.map(decimal)).toEqual(numbers.map(decimal));
			for (const [index, number] of value.numbers.entries())
				expect(typeof number === "number").toBe(
					isExactNumber(numbers[index] as string),
				);
		}),
		{ numRuns: 500 },
	);
});

test("what JavaScript writes is read as JSON.parse reads it", () => {
	fc.assert(
		fc.property(fc.json({ maxDepth: 4 }), (json) => {
			expect(parseJson(json)).toEqual(JSON.parse(json));
			const value: unknown = JSON.parse(json);
			expect(writeJson(value)).toBe(JSON.stringify(value));
		}),
	);
	fc.assert(
		fc.property(
			fc.double({ noNaN: true, noDefaultInfinity: true }),
			(number) => {
				expect(parseJson(JSON.stringify([number]))).toEqual([number + 0 || 0]);
			},
		),
	);
});

test.each([
	["653247040368672769", "object"],
	["-653247040368672769", "object"],
	["12345678901234.567890", "object"],
	["0.1234567890123456789", "object"],
	["1e400", "object"],
	["1e-400", "object"],
	["9007199254740993", "object"],
	["9007199254740992", "number"],
	["0.30000000000000004", "number"],
	["1.0", "number"],
	["1e21", "number"],
	["1.7976931348623157e308", "number"],
	["5e-324", "number"],
	["100000000000000000000000", "number"],
	["0.000000000000000000000001", "number"],
])("%s is read as %s", (text, type) => {
	const value = parseJson(`{"n":${text}}`) as { n: unknown };
	expect(typeof value.n).toBe(type);
	if (type === "object") expect(value.n).toEqual(new JsonNumber(text));
});

test("texts that look like numbers stay texts", () => {
	const json = String.raw`{"a\"653247040368672769":"653247040368672769, 1e400","b":"\\","c":653247040368672769}`;
	expect(parseJson(json)).toEqual({
		'a"653247040368672769': "653247040368672769, 1e400",
		b: "\\",
		c: new JsonNumber("653247040368672769"),
	});
	expect(writeJson(parseJson(json))).toBe(json);
});

test.each([
	"{653247040368672769: 1}",
	"[0653247040368672769]",
	"653247040368672769 1",
	"[.653247040368672769]",
	"[653247040368672769.]",
	"[+653247040368672769]",
])("%s is refused as JSON.parse refuses it", (text) => {
	expect(() => parseJson(text)).toThrow(SyntaxError);
});

test("__proto__ stays a key, and nested JSON of 5,000 levels is read", () => {
	const json = '{"__proto__":653247040368672769}';
	expect(writeJson(parseJson(json))).toBe(json);
	const deep = `${"[".repeat(5000)}653247040368672769${"]".repeat(5000)}`;
	let inner = parseJson(deep);
	while (Array.isArray(inner)) inner = inner[0];
	expect(String(inner)).toBe("653247040368672769");
});

test("a JsonNumber counts, compares and prints; JSON.stringify preserves its digits", () => {
	const id = new JsonNumber("653247040368672769");
	expect(`${id}`).toBe("653247040368672769");
	expect(Number(id)).toBe(653247040368672800);
	expect(Number(id) > 1).toBe(true);
	expect(JSON.stringify({ id })).toBe('{"id":"653247040368672769"}');
	expect(new JsonNumber(653247040368672769n)).toEqual(id);
	for (const text of ["", "abc", "1,5", "0x10", "1e", "01", " 1", "1\n"])
		expect(() => new JsonNumber(text)).toThrow(
			expect.objectContaining({ code: "VALIDATION" }),
		);
});

test("an object that pretends to be a JsonNumber writes no JSON of its own", () => {
	const forged = Object.create(JsonNumber.prototype, {
		text: { value: '1, "admin": true', enumerable: true },
	});
	expect(writeJson({ forged })).toBe('{"forged":null}');
});

test("the numbers that toJSON returns, and those beside bigints, are exact", () => {
	const number = new JsonNumber("1e400");
	expect(writeJson({ a: { toJSON: () => number } })).toBe('{"a":1e400}');
	expect(writeJson([new Date(0), number], 1)).toBe(
		'[\n "1970-01-01T00:00:00.000Z",\n 1e400\n]',
	);
});

const Typed = defineEntity(
	"typed",
	{
		name: z.string(),
		loose: z.unknown().optional(),
		typed: z
			.object({ id: z.number(), int: z.int().optional() })
			.readonly()
			.optional(),
		list: z
			.array(z.object({ at: z.union([z.string(), z.number()]) }))
			.optional(),
		any: z.json().optional(),
		whole: z.int().optional(),
		wholes: z.array(z.int()).optional(),
		small: z.object({ n: z.number().max(100) }).optional(),
		doubled: z
			.object({ n: z.number() })
			.transform(({ n }) => ({ n: n * 2 }))
			.pipe(z.object({ n: z.number() }))
			.optional(),
	},
	{ entityKeyField: "name" },
);
const big = new JsonNumber("653247040368672769");
const checked = (row: object) =>
	validateRows(Typed, [{ name: "a", ...row }], { defaultTenant: "t" })[0]
		?.supplied;

test.each([
	["z.unknown()", { loose: { deep: [big, 1] } }],
	["z.unknown() at the top", { loose: big }],
	["z.number() in an object that is read-only", { typed: { id: big } }],
	["z.int() in an object", { typed: { id: 1, int: big } }],
	["a union in a list", { list: [{ at: "x" }, { at: big }] }],
	["z.json()", { any: { a: [big, { b: big }] } }],
	["beyond a double", { typed: { id: new JsonNumber("-1e400") } }],
	["metadata", { metadata: { id: big, other: { x: big } } }],
	[
		"weight and properties of an edge",
		{
			graphEdges: [
				{
					dst: "b",
					rel_type: "r",
					weight: new JsonNumber("0.12345678901234567890"),
					properties: { id: big },
				},
			],
		},
	],
	["a whole number's column", { whole: 9_007_199_254_740_993n }],
	["a list of whole numbers", { wholes: [1, 9_007_199_254_740_993n] }],
])("an exact number passes through zod as it is: %s", (_, row) => {
	expect(checked(row)).toEqual({ name: "a", ...row });
});

test("the model's own checks see the number, and its transforms make another", () => {
	expect(() => checked({ small: { n: big } })).toThrow(
		expect.objectContaining({
			code: "VALIDATION",
			issues: [expect.objectContaining({ field: "small.n" })],
		}),
	);
	expect(checked({ doubled: { n: big } })).toEqual({
		name: "a",
		doubled: { n: Number(big) * 2 },
	});
});

test.each([
	["a bigint in JSON", { metadata: { id: 653247040368672769n } }],
	[
		"a number too large for numeric",
		{ metadata: { n: new JsonNumber("1e131072") } },
	],
	[
		"a number too small for numeric",
		{ metadata: { n: new JsonNumber("1e-16384") } },
	],
	["Infinity", { metadata: { n: Number.POSITIVE_INFINITY } }],
	["a bigint that is no whole number's", { whole: 2n ** 64n }],
])("%s is refused", (_, row) => {
	expect(() => checked(row)).toThrow(
		expect.objectContaining({ code: "VALIDATION" }),
	);
});
