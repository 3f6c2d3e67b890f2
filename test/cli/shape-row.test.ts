import { describe, expect, test } from "vitest";
import * as z from "zod";
import { fieldValue } from "../../src/cli/load/field-value.ts";
import { parseMap } from "../../src/cli/load/mapping.ts";
import { RowShaper } from "../../src/cli/load/shape-row.ts";
import { defineEntity } from "../../src/index.ts";
import { parseJson } from "../../src/models/json-text.ts";

const Film = defineEntity(
	"films",
	{
		name: z.string(),
		content: z.string().optional(),
		sizeBytes: z.number().int().optional(),
		serial: z.bigint().optional(),
		rating: z.number().optional(),
		isShort: z.boolean().optional(),
		released: z.date().optional(),
		shown: z.array(z.date()).optional(),
		genres: z.array(z.string()).optional(),
		extra: z.unknown().optional(),
		since: z.coerce.date().optional(),
		flag: z.stringbool().optional(),
	},
	{ entityKeyField: "name" },
);

const maps = (...texts: string[]) =>
	texts.reduce(
		(earlier, text) => parseMap(text, earlier),
		parseMap("x=y").slice(1),
	);

function shape(source: unknown, ...texts: string[]) {
	return new RowShaper(Film, maps(...texts), false).shape(source);
}

describe("mapping", () => {
	test("properties fill the fields they are named after, in either spelling", () => {
		expect(
			shape({ name: "x", size_bytes: 1, tenantId: "t", user_id: "u" }),
		).toEqual({
			row: { name: "x", sizeBytes: 1, tenantId: "t", userId: "u" },
			unknown: [],
			problems: [],
			isShortened: false,
		});
	});

	test("what is no field is named", () => {
		expect(shape({ name: "x", titel: "y" }).unknown).toEqual(["titel"]);
	});

	test("a map takes a property whole, which then fills nothing else", () => {
		expect(
			shape({ title: "x", content: "c" }, "name=title", "extra=content"),
		).toEqual({
			row: { name: "x", extra: "c" },
			unknown: [],
			problems: [],
			isShortened: false,
		});
	});

	test("a map wins over a property of the field's name", () => {
		expect(shape({ name: "x", title: "y" }, "name=title").row).toEqual({
			name: "y",
		});
	});

	test("targets lie in JSON fields, beside what stands there", () => {
		const source = {
			name: "x",
			metadata: { a: 1 },
			year: 1990,
			who: { by: "z" },
		};
		expect(
			shape(source, "metadata.year=year", "metadata.deep.er=who.by").row,
		).toEqual({
			name: "x",
			metadata: { a: 1, year: 1990, deep: { er: "z" } },
		});
	});

	test("sources are paths, into lists too, and names that hold dots", () => {
		expect(
			shape({ "a.b": "x", genres: ["drama"] }, "name=a.b", "content=genres.0")
				.row,
		).toEqual({ name: "x", content: "drama", genres: ["drama"] });
	});

	test("templates join properties; without one of them there is no value", () => {
		const template = "name={title} ({year})";
		expect(shape({ title: "x", year: 1990 }, template)).toEqual({
			row: { name: "x (1990)" },
			unknown: [],
			problems: [],
			isShortened: false,
		});
		expect(shape({ title: "x", year: null }, template).row).toEqual({});
		expect(shape({ cast: ["a", "b"] }, "name={cast}").row).toEqual({
			name: "a, b",
		});
	});

	test("absent sources leave the field out, null ones pass on", () => {
		expect(
			shape({ name: "x", extract: null }, "content=extract", "rating=stars")
				.row,
		).toEqual({
			name: "x",
			content: null,
		});
	});

	test("names like __proto__ are names", () => {
		const source = JSON.parse('{"name": "x", "__proto__": {"y": 1}}');
		expect(shape(source).unknown).toEqual(["__proto__"]);
		const { row } = shape(source, "metadata.__proto__.z=name", "name={name}");
		expect(JSON.stringify(row)).toBe(
			'{"metadata":{"__proto__":{"z":"x"}},"name":"x"}',
		);
		expect(({} as { z?: unknown }).z).toBeUndefined();
	});

	test("ready vectors become Float32Arrays", () => {
		expect(shape({ name: "x", vectors: { content: [0.5, 1] } }).row).toEqual({
			name: "x",
			vectors: { content: Float32Array.of(0.5, 1) },
		});
	});

	test("what is no object stays as it is", () => {
		expect(shape([1]).row).toEqual([1]);
	});

	test("unknown fields and parts of fields without parts are errors", () => {
		expect(() => shape({}, "nmae=title")).toThrow(
			'unknown field "nmae" of "films"',
		);
		expect(() => shape({}, "name.first=title")).toThrow(
			'field "name" is text, which has no parts',
		);
	});

	test.each(["name", "=x", "name=", ".a=x", "a..b=x"])(
		"%j is no map",
		(text) => {
			expect(() => parseMap(text)).toThrow("Expected field=source");
		},
	);
});

function value(field: string, given: unknown, isUntyped: boolean) {
	const found = Film.fieldsByName.get(field);
	if (found === undefined) throw new Error(field);
	return fieldValue(given, { entity: Film, field: found, isUntyped });
}

const utc = (text: string) => new Date(text);

describe("values", () => {
	test.each([
		["released", "1990-07-11", utc("1990-07-11T00:00:00Z")],
		["released", "1990-07-11T12:30:00+02:00", utc("1990-07-11T10:30:00Z")],
		["released", "1990-07-11 12:30", utc("1990-07-11T12:30:00Z")],
		[
			"released",
			"1990-07-11 12:30:00.123456+02",
			utc("1990-07-11T10:30:00.123Z"),
		],
		["released", "1990-02-31", "1990-02-31"],
		["released", "July 1990", "July 1990"],
		["shown", ["1990-07-11"], [utc("1990-07-11T00:00:00Z")]],
		["serial", 5, 5n],
		["serial", "9007199254740993", 9007199254740993n],
		["rating", "5", "5"],
		["name", "1990-07-11", "1990-07-11"],
		["flag", "yes", "yes"],
	])("JSON: %s takes %o as %o", (field, given, expected) => {
		expect(value(field, given, false)).toEqual(expected);
	});

	test.each([
		["sizeBytes", " 12 ", 12],
		["sizeBytes", "12a", "12a"],
		["serial", "12", 12n],
		["rating", "-1.5e3", -1500],
		["rating", "0x10", "0x10"],
		["isShort", "Yes", true],
		["isShort", "0", false],
		["isShort", "maybe", "maybe"],
		["released", "1990-07-11", utc("1990-07-11T00:00:00Z")],
		["genres", '["a"]', ["a"]],
		["genres", "a, b", ["a", "b"]],
		["genres", "a, b; c", ["a, b", "c"]],
		["genres", "a|b", ["a", "b"]],
		["genres", "a", ["a"]],
		["genres", '{a,"b ""c"}', '{a,"b ""c"}'],
		["genres", '{a, "b \\"c, d"}', ["a", 'b "c, d']],
		["genres", "{}", []],
		[
			"shown",
			"1990-07-11;1990-07-12",
			[utc("1990-07-11T00:00:00Z"), utc("1990-07-12T00:00:00Z")],
		],
		["metadata", '{"a": 1}', { a: 1 }],
		["extra", "12", 12],
		["extra", "plain", "plain"],
		["name", "007", "007"],
		["flag", "yes", "yes"],
	])("CSV: %s takes %o as %o", (field, given, expected) => {
		expect(value(field, given, true)).toEqual(expected);
	});
});

test("items of a list are read as single values of the type are", () => {
	const Ledger = defineEntity("ledgers", {
		numbers: z.array(z.bigint()),
		shares: z.array(z.number()),
	});
	const read = (name: string, given: unknown, isUntyped: boolean) => {
		const field = Ledger.fieldsByName.get(name);
		if (field === undefined) throw new Error(name);
		return fieldValue(given, { entity: Ledger, field, isUntyped });
	};
	const big = 653247040368672769n;
	expect(read("numbers", "653247040368672769; 1", true)).toEqual([big, 1n]);
	expect(read("numbers", parseJson("[653247040368672769]"), false)).toEqual([
		big,
	]);
	expect(read("shares", parseJson("[0.10000000000000000001]"), false)).toEqual([
		0.1,
	]);
});
