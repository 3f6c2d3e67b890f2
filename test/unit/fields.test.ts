import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defaultEmbedFields, toField } from "../../src/models/field.ts";

/** The field, or why there is none. */
const field = (schema: z.core.$ZodType, name = "thing") =>
	toField(name, schema) as Exclude<
		ReturnType<typeof toField>,
		{ problem: string }
	> & { problem?: string };

const isoDate = z.codec(z.string(), z.date(), {
	decode: (text) => new Date(text),
	encode: (date) => date.toISOString(),
});

describe("the column of", () => {
	test.each<[string, z.core.$ZodType, string]>([
		["z.string()", z.string(), "text"],
		["z.string().min(1).max(9)", z.string().min(1).max(9), "text"],
		["z.email()", z.email(), "text"],
		["z.url()", z.url(), "text"],
		["z.iso.datetime()", z.iso.datetime(), "text"],
		["z.coerce.string()", z.coerce.string(), "text"],
		["z.templateLiteral()", z.templateLiteral(["a", z.number()]), "text"],
		["z.enum()", z.enum(["a", "b"]), "text"],
		["z.enum() of numbers", z.enum({ low: 0, high: 1 }), "bigint"],
		["z.literal() of a text", z.literal("a"), "text"],
		["z.literal() of texts", z.literal(["a", "b"]), "text"],
		["z.literal() of a whole number", z.literal(1), "bigint"],
		["z.literal() of a number", z.literal(1.5), "double precision"],
		["z.literal() of a boolean", z.literal(true), "boolean"],
		["z.literal() of several kinds", z.literal(["a", 1]), "jsonb"],
		["z.uuid()", z.uuid(), "uuid"],
		["z.uuidv7()", z.uuidv7(), "uuid"],
		["z.guid()", z.guid(), "uuid"],
		["z.string().uuid()", z.string().uuid(), "uuid"],
		["z.number()", z.number(), "double precision"],
		["z.number().min(1)", z.number().min(1), "double precision"],
		["z.float32()", z.float32(), "double precision"],
		["z.coerce.number()", z.coerce.number(), "double precision"],
		["z.number().int()", z.number().int(), "bigint"],
		["z.int()", z.int(), "bigint"],
		["z.int32()", z.int32(), "bigint"],
		["z.uint32()", z.uint32(), "bigint"],
		["z.bigint()", z.bigint(), "bigint"],
		["z.int64()", z.int64(), "bigint"],
		["z.boolean()", z.boolean(), "boolean"],
		["z.stringbool()", z.stringbool(), "boolean"],
		["z.date()", z.date(), "timestamptz"],
		["z.coerce.date()", z.coerce.date(), "timestamptz"],
		["z.object()", z.object({ a: z.string() }), "jsonb"],
		["z.strictObject()", z.strictObject({ a: z.string() }), "jsonb"],
		["z.record()", z.record(z.string(), z.number()), "jsonb"],
		["z.tuple()", z.tuple([z.string(), z.number()]), "jsonb"],
		[
			"z.intersection()",
			z.intersection(z.object({ a: z.string() }), z.object({ b: z.string() })),
			"jsonb",
		],
		["a list of texts", z.array(z.string()), "text[]"],
		["a list of an enum", z.array(z.enum(["a"])), "text[]"],
		["a list of uuids", z.array(z.uuid()), "uuid[]"],
		["a list of whole numbers", z.array(z.int()), "bigint[]"],
		["a list of bigints", z.array(z.bigint()), "bigint[]"],
		["a list of numbers", z.array(z.number()), "double precision[]"],
		["a list of booleans", z.array(z.boolean()), "boolean[]"],
		["a list of dates", z.array(z.date()), "timestamptz[]"],
		["a list of objects", z.array(z.object({})), "jsonb"],
		["a list of lists", z.array(z.array(z.string())), "jsonb"],
		["a list with nulls", z.array(z.string().nullable()), "jsonb"],
		["a union of texts", z.union([z.literal("a"), z.string()]), "text"],
		["a union of kinds", z.union([z.string(), z.number()]), "jsonb"],
		[
			"a discriminated union",
			z.discriminatedUnion("k", [
				z.object({ k: z.literal("a") }),
				z.object({ k: z.literal("b") }),
			]),
			"jsonb",
		],
	])("%s", (_, schema, type) => {
		expect(field(schema)).toMatchObject({ type, nullable: false });
	});

	test("a numeric enum of TypeScript", () => {
		const level = { 0: "low", 1: "high", low: 0, high: 1 } as const;
		expect(z.enum(level).safeParse("low").success).toBe(false);
		expect(field(z.enum(level)).type).toBe("bigint");
	});

	test.each<[string, z.core.$ZodType]>([
		["z.union([z.string(), z.null()])", z.union([z.string(), z.null()])],
		["z.string().or(z.null())", z.string().or(z.null())],
		["a union with a nullable", z.union([z.string().nullable(), z.number()])],
		["z.unknown()", z.unknown()],
		["z.any()", z.any()],
		["z.json()", z.json()],
		["z.literal(null)", z.literal(["a", null])],
	])("%s takes NULL as zod does", (_, schema) => {
		expect(z.safeParse(schema, null).success).toBe(true);
		expect(field(schema).nullable).toBe(true);
	});

	test("anything at all is JSON", () => {
		for (const schema of [z.json(), z.unknown(), z.any()])
			expect(field(schema).type).toBe("jsonb");
	});

	test("a text or null is a text", () => {
		expect(field(z.union([z.string(), z.null()])).type).toBe("text");
		expect(field(z.literal(["a", null])).type).toBe("text");
	});
});

describe("what has no column type", () => {
	test.each<[string, z.core.$ZodType, string]>([
		["z.map()", z.map(z.string(), z.string()), "z.map() has no column type"],
		["z.set()", z.set(z.string()), "z.set() has no column type"],
		["z.symbol()", z.symbol(), "z.symbol() has no column type"],
		["z.undefined()", z.undefined(), "z.undefined() has no column type"],
		["z.null()", z.null(), "z.null() has no column type"],
		["z.never()", z.never(), "z.never() has no column type"],
		["z.nan()", z.nan(), "z.nan() has no column type"],
		["z.custom()", z.custom(), "z.custom() has no column type"],
		[
			"z.instanceof()",
			z.instanceof(Uint8Array),
			"z.custom() has no column type",
		],
		["z.promise()", z.promise(z.string()), "z.promise() has no column type"],
		[
			"a transform",
			z.string().transform((text) => text.length),
			"what a transform returns is unknown: declare it with .pipe(z.string()) or the like",
		],
	])("%s is reported", (_, schema, problem) => {
		expect(toField("x", schema)).toEqual({ problem });
	});

	test("z.literal() of a bigint is a bigint", () => {
		expect(field(z.literal(1n)).type).toBe("bigint");
	});
});

describe("wrappers", () => {
	test.each<[string, z.core.$ZodType, object]>([
		["optional()", z.string().optional(), { nullable: true }],
		["nullable()", z.string().nullable(), { nullable: true }],
		["nullish()", z.string().nullish(), { nullable: true }],
		["exactOptional()", z.exactOptional(z.string()), { nullable: true }],
		[
			"default()",
			z.string().default("x"),
			{ nullable: false, defaultValue: "x" },
		],
		[
			"default() of optional()",
			z.string().optional().default("x"),
			{ nullable: false, defaultValue: "x" },
		],
		[
			"optional() of default()",
			z.string().default("x").optional(),
			{ nullable: false, defaultValue: "x" },
		],
		[
			"default() of nullable()",
			z.string().nullable().default("x"),
			{ nullable: true, defaultValue: "x" },
		],
		[
			"default(null)",
			z.string().nullable().default(null),
			{ nullable: true, defaultValue: null },
		],
		[
			"prefault()",
			z.string().prefault("x"),
			{ nullable: false, defaultValue: undefined },
		],
		[
			"catch()",
			z.string().catch("x"),
			{ nullable: false, defaultValue: undefined },
		],
		["readonly()", z.string().readonly(), { nullable: false }],
		[
			"readonly() of optional()",
			z.string().optional().readonly(),
			{ nullable: true },
		],
		["lazy()", z.lazy(() => z.string().optional()), { nullable: true }],
		["brand()", z.string().brand("b"), { nullable: false }],
		["refine()", z.string().refine(() => true), { nullable: false }],
		["trim()", z.string().trim().toLowerCase(), { nullable: false }],
		[
			"pipe() after a transform",
			z
				.number()
				.transform((value): string | undefined => String(value))
				.pipe(z.string().optional()),
			{ nullable: true },
		],
		[
			"preprocess()",
			z.preprocess((value) => value, z.string().optional()),
			{ nullable: true },
		],
	])("%s is looked through", (_, schema, expected) => {
		expect(field(schema)).toMatchObject({ type: "text", ...expected });
	});

	test("nonoptional() of optional() takes no NULL", () => {
		expect(field(z.nonoptional(z.string().optional())).nullable).toBe(false);
	});

	test("prefault() is the table's default as it comes out, or not at all", () => {
		const { defaultValue } = field(z.string().trim().prefault(" x "));
		expect(["x", undefined]).toContain(defaultValue);
	});

	test("a codec is stored as what it decodes to", () => {
		expect(field(isoDate).type).toBe("timestamptz");
		expect(field(isoDate.optional())).toMatchObject({
			type: "timestamptz",
			nullable: true,
		});
	});

	test("many at once are looked through", () => {
		const schema = z
			.lazy(() => z.string().nullable().optional())
			.readonly()
			.default("x")
			.catch("y");
		expect(field(schema)).toMatchObject({
			type: "text",
			nullable: true,
			defaultValue: "x",
		});
	});
});

describe("the default", () => {
	test.each<[string, unknown, z.core.$ZodType]>([
		["zero", 0, z.number().default(0)],
		["false", false, z.boolean().default(false)],
		["an empty text", "", z.string().default("")],
		["a bigint", 5n, z.bigint().default(5n)],
		["a list", ["a"], z.array(z.string()).default(["a"])],
		["JSON", { a: 1 }, z.record(z.string(), z.number()).default({ a: 1 })],
	])("of %s is the table's too", (_, defaultValue, schema) => {
		expect(field(schema).defaultValue).toEqual(defaultValue);
	});

	test("that differs in each call is not the table's", () => {
		let count = 0;
		expect(field(z.number().default(() => count++)).defaultValue).toBe(
			undefined,
		);
		expect(
			field(z.string().default(() => crypto.randomUUID())).defaultValue,
		).toBe(undefined);
		expect(field(z.date().default(() => new Date())).defaultValue).toBe(
			undefined,
		);
	});

	test("of the outermost wrapper counts", () => {
		const schema = z.string().default("in").default("out");
		expect(field(schema).defaultValue).toBe("out");
	});
});

describe("embedding", () => {
	test("is the default for texts of seven names", () => {
		expect([...defaultEmbedFields]).toEqual([
			"content",
			"description",
			"summary",
			"text",
			"body",
			"message",
			"notes",
		]);
		for (const name of defaultEmbedFields) {
			expect(field(z.string(), name).embed).toBe(true);
			expect(field(z.string().nullish(), name).embed).toBe(true);
			expect(field(z.number(), name).embed).toBe(false);
			expect(field(z.uuid(), name).embed).toBe(false);
			expect(field(z.array(z.string()), name).embed).toBe(false);
		}
		expect(field(z.string(), "Content").embed).toBe(false);
		expect(field(z.string(), "title").embed).toBe(false);
	});

	test.each<[string, z.core.$ZodType]>([
		["on the text itself", z.string().meta({ embed: true })],
		["outside optional()", z.string().optional().meta({ embed: true })],
		["inside optional()", z.string().meta({ embed: true }).optional()],
		["inside nullable()", z.string().meta({ embed: true }).nullable()],
		["inside default()", z.string().meta({ embed: true }).default("x")],
		["inside prefault()", z.string().meta({ embed: true }).prefault("x")],
		["inside catch()", z.string().meta({ embed: true }).catch("x")],
		["inside readonly()", z.string().meta({ embed: true }).readonly()],
		["inside lazy()", z.lazy(() => z.string().meta({ embed: true }))],
		[
			"inside many",
			z.string().meta({ embed: true }).nullable().optional().readonly(),
		],
		[
			"on the end of a pipe",
			z
				.number()
				.transform(String)
				.pipe(z.string().meta({ embed: true })),
		],
		["beside other meta", z.string().meta({ title: "T", embed: true })],
	])("can be asked for %s", (_, schema) => {
		expect(field(schema, "title").embed).toBe(true);
	});

	test("can be refused for a name that embeds by default", () => {
		expect(field(z.string().meta({ embed: false }), "content").embed).toBe(
			false,
		);
		expect(
			field(z.string().meta({ embed: false }).optional(), "content").embed,
		).toBe(false);
	});

	test("is that of the outermost meta", () => {
		const schema = z
			.string()
			.meta({ embed: true })
			.optional()
			.meta({ embed: false });
		expect(field(schema, "content").embed).toBe(false);
	});

	test("needs a boolean", () => {
		expect(field(z.string().meta({ embed: "yes" }), "title").embed).toBe(false);
	});

	test.each<[string, z.core.$ZodType, string]>([
		["a number", z.number().meta({ embed: true }), "double precision"],
		["a uuid", z.uuid().meta({ embed: true }), "uuid"],
		["a list", z.array(z.string()).meta({ embed: true }), "text[]"],
		["JSON", z.object({}).meta({ embed: true }), "jsonb"],
		["a date", z.date().optional().meta({ embed: true }), "timestamptz"],
	])("of %s is a problem", (_, schema, type) => {
		expect(toField("content", schema)).toEqual({
			problem: `embed is for text, this is ${type}`,
		});
	});
});

test("a bigint is read as a bigint, a whole number as a number", () => {
	expect(field(z.bigint()).bigint).toBe(true);
	expect(field(z.bigint().optional()).bigint).toBe(true);
	expect(field(z.int()).bigint).toBe(false);
});

test("a list of bigints is read as bigints", () => {
	expect(field(z.array(z.bigint())).bigint).toBe(true);
});
