import { describe, expect, test } from "vitest";
import {
	characters,
	limits,
	scopeProblem,
	textProblem,
	valueProblem,
} from "../../src/models/limits.ts";

/** A list in a list in a list …, so many levels of it. */
function nested(levels: number): unknown {
	let value: unknown = 1;
	for (let level = 0; level < levels; level++) value = [value];
	return value;
}

test("characters are code points, as PostgreSQL counts them", () => {
	expect(characters("")).toBe(0);
	expect(characters("aé🙂")).toBe(3);
	expect(characters("👩‍👧")).toBe(3);
});

describe("a text", () => {
	test.each(["", "a\n\t\u0001", "🙂", "\ufffd", "\uffff", "é", "'\"\\%"])(
		"%j can be stored",
		(text) => {
			expect(textProblem(text)).toBeUndefined();
		},
	);

	test.each([
		["a\0b", "contains a NUL character"],
		["\ud83d", "contains a lone surrogate"],
		["\udd13\ud83d", "contains a lone surrogate"],
	])("%j cannot", (text, problem) => {
		expect(textProblem(text)).toBe(problem);
	});
});

describe("a value", () => {
	test.each([
		["null", null],
		["undefined", undefined],
		["a number", -0.5],
		["a bigint of 64 bits", -(2n ** 63n)],
		["a date", new Date(0)],
		["JSON", { a: [1, { b: "c" }, null, true] }],
		["JSON with odd keys", { "": 1, "a b": 2, constructor: 3 }],
		["JSON of 100 levels", nested(100)],
		["an object without prototype", Object.create(null)],
	])("%s can be stored", (_, value) => {
		expect(valueProblem(value)).toBeUndefined();
	});

	test.each<[string, unknown, string]>([
		["NaN", Number.NaN, "is not a finite number"],
		["Infinity", Number.POSITIVE_INFINITY, "is not a finite number"],
		["a number deep inside", { a: [Number.NaN] }, "is not a finite number"],
		["an invalid date", new Date("x"), "is not a valid date"],
		["an invalid date inside", [new Date("x")], "is not a valid date"],
		["a bigint too large", 2n ** 63n, "does not fit into 64 bits"],
		[
			"a bigint in JSON",
			{ a: 1n },
			"contains a bigint, which JSON does not have: use a JsonNumber",
		],
		["a function", { a: () => 1 }, "contains a function"],
		["a symbol", [Symbol("x")], "contains a symbol"],
		["a map", { a: new Map() }, "contains a Map, which JSON has not"],
		["a set", new Set(), "contains a Set, which JSON has not"],
		["bytes", [new Uint8Array(1)], "contains a Uint8Array, which JSON has not"],
		["a NUL inside", { a: { b: "\0" } }, "contains a NUL character"],
		["a NUL in a key", { "\0": 1 }, "contains a NUL character"],
		["a lone surrogate inside", ["\ud83d"], "contains a lone surrogate"],
		["a lone surrogate in a key", { "\ud83d": 1 }, "contains a lone surrogate"],
	])("%s cannot", (_, value, message) => {
		expect(valueProblem(value)).toEqual({ kind: "value", message });
	});

	test("JSON of 101 levels is over the limit", () => {
		expect(limits.jsonDepth).toBe(100);
		expect(valueProblem(nested(101))).toEqual({
			kind: "limit",
			message: "is nested deeper than 100 levels",
		});
	});

	test("an object that contains itself is over the limit", () => {
		const circle: Record<string, unknown> = {};
		circle.self = circle;
		expect(valueProblem(circle)?.kind).toBe("limit");
	});

	test("JSON of 100,000 levels does not overflow the stack", () => {
		expect(valueProblem(nested(100_000))?.kind).toBe("limit");
	});
});

describe("a tenant or user", () => {
	test.each(["a", "acme-corp", "é🙂", "'; DROP TABLE", "🙂".repeat(100), "**"])(
		"may be called %j",
		(name) => {
			expect(scopeProblem(name)).toBeUndefined();
		},
	);

	test.each<[unknown, string]>([
		["", "is empty"],
		["*", 'is "*", which is reserved'],
		["a".repeat(101), "is longer than 100 characters"],
		["a\0", "contains a NUL character"],
		["\ud83d", "contains a lone surrogate"],
		[1, "is not a text"],
		[null, "is not a text"],
		[undefined, "is not a text"],
	])("may not be %j", (name, problem) => {
		expect(scopeProblem(name)).toBe(problem);
	});
});
