import { expect, test } from "vitest";
import {
	compile,
	empty,
	ident,
	join,
	literal,
	raw,
	sql,
	toText,
} from "../../src/sql.ts";

test("a value becomes a parameter and never meets the text", () => {
	const hostile = "'; DROP TABLE docs; --";
	expect(compile(sql`SELECT ${hostile}, ${2}, ${null}, ${true}`)).toEqual({
		text: "SELECT $1, $2, $3, $4",
		values: [hostile, 2, null, true],
	});
});

test("a fragment is spliced in and its parameters are renumbered", () => {
	const inner = sql`b = ${"b"} AND c = ${"c"}`;
	expect(
		compile(sql`SELECT ${"a"} WHERE ${inner} OR ${inner} LIMIT ${1}`),
	).toEqual({
		text: "SELECT $1 WHERE b = $2 AND c = $3 OR b = $4 AND c = $5 LIMIT $6",
		values: ["a", "b", "c", "b", "c", 1],
	});
});

test("a Buffer and a Date are values, not fragments", () => {
	const buffer = Buffer.from([1, 2]);
	const date = new Date(0);
	expect(compile(sql`${buffer}${date}`)).toEqual({
		text: "$1$2",
		values: [buffer, date],
	});
});

test("a statement without values is its own text", () => {
	expect(compile(sql`SELECT 1`)).toEqual({ text: "SELECT 1", values: [] });
	expect(compile(empty)).toEqual({ text: "", values: [] });
});

test("a dollar sign in the text stays what it is", () => {
	expect(compile(sql`DO $$ ... $$ ${1}`).text).toBe("DO $$ ... $$ $1");
});

test.each([
	["docs", '"docs"'],
	['we"ird', '"we""ird"'],
	['"; DROP TABLE x; --', '"""; DROP TABLE x; --"'],
	["order", '"order"'],
	["naïve 🙂", '"naïve 🙂"'],
])("ident quotes %j", (name, text) => {
	expect(toText(ident(name))).toBe(text);
});

test("ident joins several names with a dot", () => {
	expect(toText(ident("public", "a.b"))).toBe('"public"."a.b"');
});

test.each([
	["plain", "'plain'"],
	["it's", "'it''s'"],
	["back\\slash", "E'back\\\\slash'"],
	["\\'", "E'\\\\'''"],
	["", "''"],
])("literal quotes %j", (value, text) => {
	expect(toText(literal(value))).toBe(text);
});

test("join puts the separator between fragments and retains their values", () => {
	const list = [sql`a = ${1}`, raw("b"), sql`c = ${2}`];
	expect(compile(join(list, " AND "))).toEqual({
		text: "a = $1 AND b AND c = $2",
		values: [1, 2],
	});
	expect(compile(join(list)).text).toBe("a = $1, b, c = $2");
	expect(compile(join([])).text).toBe("");
});

test("a text for psql cannot have parameters", () => {
	expect(() => toText(sql`SELECT ${1}`)).toThrow(TypeError);
	expect(toText(sql`SELECT ${raw("1")}`)).toBe("SELECT 1");
});
