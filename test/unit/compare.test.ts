import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/models/entity.ts";
import type { Field } from "../../src/models/field.ts";
import { equalsStored } from "../../src/store/compare.ts";

const { fieldsByName } = defineEntity(
	"pages",
	{ name: z.string() },
	{ entityKeyField: "name" },
);
const metadata = fieldsByName.get("metadata") as Field;

const kept = (value: unknown) => JSON.parse(JSON.stringify(value));

class Money {
	readonly cents: number;
	constructor(cents: number) {
		this.cents = cents;
	}
	toJSON() {
		return this.cents === 0 ? undefined : `${this.cents} ct`;
	}
}

class Point {
	readonly x = 1;
	readonly y = undefined;
}

const leaf = fc.oneof(
	fc.string(),
	fc.double({ noNaN: true, noDefaultInfinity: true }),
	fc.boolean(),
	fc.constantFrom(null, undefined, new Date(0), new Point()),
	fc.nat(2).map((cents) => new Money(cents)),
);
const { value: json } = fc.letrec((tie) => ({
	value: fc.oneof(
		{ maxDepth: 4 },
		leaf,
		fc.array(tie("value"), { maxLength: 4 }),
		fc.dictionary(
			fc.constantFrom("a", "b", "toJSON", "__proto__", "é"),
			tie("value"),
			{ noNullPrototype: false },
		),
	),
}));
const object = fc.dictionary(fc.constantFrom("a", "b", "c"), json);

test("a value is equal to what JSON retains of it", () => {
	fc.assert(
		fc.property(object, (value) => {
			expect(equalsStored(metadata, value, kept(value))).toBe(true);
		}),
		{ numRuns: 500 },
	);
});

test("two values are equal if JSON retains the same of both", () => {
	fc.assert(
		fc.property(object, object, (value, other) => {
			const equal = isDeepStrictEqual(kept(value), kept(other));
			expect(equalsStored(metadata, value, kept(other))).toBe(equal);
		}),
		{ numRuns: 500 },
	);
});

test("holes of a list are null, and a shorter list is another", () => {
	// biome-ignore lint/suspicious/noSparseArray: what the test is about
	expect(equalsStored(metadata, { a: [1, , 2] }, { a: [1, null, 2] })).toBe(
		true,
	);
	expect(equalsStored(metadata, { a: [1] }, { a: [1, null] })).toBe(false);
	expect(equalsStored(metadata, { a: [] }, { a: {} })).toBe(false);
});
