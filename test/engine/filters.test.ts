import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { whereSql } from "../../src/filters/where.ts";
import { defineEntity, type RemError } from "../../src/index.ts";
import { compile } from "../../src/sql.ts";
import { codeOf, useService } from "../support/engine.ts";

const Film = defineEntity(
	"films",
	{
		name: z.string(),
		content: z.string(),
		genre: z.string().optional(),
		year: z.int().optional(),
		gross: z.bigint().optional(),
		rating: z.number().optional(),
		isSequel: z.boolean().optional(),
		releasedAt: z.date().optional(),
		studioId: z.uuid().optional(),
		cast: z.array(z.string()).optional(),
		awards: z.array(z.int()).optional(),
		data: z.record(z.string(), z.unknown()).optional(),
	},
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Film],
	embedding: { provider: "local", dimensions: 8 },
});
const tenantId = "films";
const studio = "0123abcd-0000-4000-8000-000000000001";

beforeAll(() =>
	db.service.batchUpsert({
		tableName: "films",
		entities: [
			{
				name: "a",
				content: "x",
				genre: "drama",
				year: 1990,
				gross: 2n ** 53n + 1n,
				rating: 7.5,
				isSequel: false,
				releasedAt: new Date("1990-06-01T00:00:00Z"),
				studioId: studio,
				cast: ["Ann", "O'Neil"],
				awards: [1, 2],
				data: { oscars: 2, tags: ["x", "y"] },
				tags: ["old"],
				metadata: { source: { name: "imdb" } },
			},
			{
				name: "b",
				content: "x",
				genre: "Drama 100%_\\",
				year: 1995,
				gross: 5n,
				rating: 8.1,
				isSequel: true,
				releasedAt: new Date("1995-06-01T12:00:00.123Z"),
				cast: [],
				awards: [2, 3],
				data: {},
				userId: "u",
			},
			{ name: "c", content: "x" },
		],
		tenantId,
	}),
);

type Filter = Parameters<typeof db.service.vectorSearch<"films">>[0]["where"];

const names = async (where: unknown) => {
	const hits = await db.service.vectorSearch({
		tableName: "films",
		queryText: "x",
		tenantId,
		where: where as NonNullable<Filter>,
	});
	return hits
		.map(({ name }) => name)
		.sort()
		.join("");
};

const statement = (where: Record<string, unknown>) =>
	compile(whereSql({ schema: "public", entity: Film }, where, "r"));

describe("a condition", () => {
	const at = new Date("1995-06-01T12:00:00.123Z");

	test.each<[object, string, unknown[], string]>([
		[{}, "TRUE", [], "abc"],
		[{ year: 1990 }, `("r"."year" = $1::bigint)`, [1990], "a"],
		[{ year: null }, `("r"."year" IS NULL)`, [], "c"],
		[{ year: { eq: 1990 } }, `("r"."year" = $1::bigint)`, [1990], "a"],
		[{ year: { eq: null } }, `("r"."year" IS NULL)`, [], "c"],
		[
			{ year: { ne: 1990 } },
			`(("r"."year" = $1::bigint) IS NOT TRUE)`,
			[1990],
			"bc",
		],
		[{ year: { ne: null } }, `("r"."year" IS NOT NULL)`, [], "ab"],
		[{ year: { gt: 1990 } }, `("r"."year" > $1::bigint)`, [1990], "b"],
		[{ year: { gte: 1990 } }, `("r"."year" >= $1::bigint)`, [1990], "ab"],
		[{ year: { lt: 1995 } }, `("r"."year" < $1::bigint)`, [1995], "a"],
		[{ year: { lte: 1995 } }, `("r"."year" <= $1::bigint)`, [1995], "ab"],
		[
			{ year: { gte: 1990, lt: 1995 } },
			`("r"."year" >= $1::bigint AND "r"."year" < $2::bigint)`,
			[1990, 1995],
			"a",
		],
		[
			{ year: { in: [1990, 1] } },
			`("r"."year" = ANY ($1::bigint[]))`,
			['{"1990","1"}'],
			"a",
		],
		[{ year: { in: [] } }, `("r"."year" = ANY ($1::bigint[]))`, ["{}"], ""],
		[
			{ year: { notIn: [1990] } },
			`("r"."year" <> ALL ($1::bigint[]))`,
			['{"1990"}'],
			"b",
		],
		[{ year: { isNull: true } }, `("r"."year" IS NULL)`, [], "c"],
		[{ year: { isNull: false } }, `("r"."year" IS NOT NULL)`, [], "ab"],
		[
			{ gross: 2n ** 53n + 1n },
			`("r"."gross" = $1::bigint)`,
			["9007199254740993"],
			"a",
		],
		[
			{ gross: { in: [5n, 6] } },
			`("r"."gross" = ANY ($1::bigint[]))`,
			['{"5","6"}'],
			"b",
		],
		[
			{ rating: { gt: 7.5 } },
			`("r"."rating" > $1::double precision)`,
			[7.5],
			"b",
		],
		[{ isSequel: true }, `("r"."is_sequel" = $1::boolean)`, [true], "b"],
		[
			{ isSequel: { ne: true } },
			`(("r"."is_sequel" = $1::boolean) IS NOT TRUE)`,
			[true],
			"ac",
		],
		[{ releasedAt: at }, `("r"."released_at" = $1::timestamptz)`, [at], "b"],
		[
			{ releasedAt: { lt: at } },
			`("r"."released_at" < $1::timestamptz)`,
			[at],
			"a",
		],
		[
			{ releasedAt: { in: [at] } },
			`("r"."released_at" = ANY ($1::timestamptz[]))`,
			['{"1995-06-01T12:00:00.123Z"}'],
			"b",
		],
		[
			{ studioId: studio.toUpperCase() },
			`("r"."studio_id" = $1::uuid)`,
			[studio.toUpperCase()],
			"a",
		],
		[{ genre: { like: "dra%" } }, `("r"."genre" LIKE $1::text)`, ["dra%"], "a"],
		[
			{ genre: { ilike: "DRA%" } },
			`("r"."genre" ILIKE $1::text)`,
			["DRA%"],
			"ab",
		],
		[
			{ genre: { like: "%100\\%\\_\\\\" } },
			`("r"."genre" LIKE $1::text)`,
			["%100\\%\\_\\\\"],
			"b",
		],
		[
			{ cast: { contains: ["O'Neil"] } },
			`("r"."cast" @> $1::text[])`,
			[`{"O'Neil"}`],
			"a",
		],
		[{ cast: { contains: [] } }, `("r"."cast" @> $1::text[])`, ["{}"], "ab"],
		[
			{ cast: { overlaps: ["Ann", "x"] } },
			`("r"."cast" && $1::text[])`,
			['{"Ann","x"}'],
			"a",
		],
		[
			{ awards: { contains: [2] } },
			`("r"."awards" @> $1::bigint[])`,
			['{"2"}'],
			"ab",
		],
		[{ cast: null }, `("r"."cast" IS NULL)`, [], "c"],
		[
			{ data: { contains: { tags: ["y"] } } },
			`("r"."data" @> $1::jsonb)`,
			['{"tags":["y"]}'],
			"a",
		],
		[{ data: { isNull: true } }, `("r"."data" IS NULL)`, [], "c"],
		[
			{ metadata: { contains: { source: { name: "imdb" } } } },
			`("r"."metadata" @> $1::jsonb)`,
			['{"source":{"name":"imdb"}}'],
			"a",
		],
		[
			{ tags: { overlaps: ["old"] } },
			`("r"."tags" && $1::text[])`,
			['{"old"}'],
			"a",
		],
		[{ userId: "u" }, `("r"."user_id" = $1::text)`, ["u"], "b"],
		[{ userId: null }, `("r"."user_id" IS NULL)`, [], "ac"],
		[{ tenantId: "other" }, `("r"."tenant_id" = $1::text)`, ["other"], ""],
		[
			{ createdAt: { gt: new Date(0) } },
			`("r"."created_at" > $1::timestamptz)`,
			[new Date(0)],
			"abc",
		],
		[{ genre: { exists: true } }, `("r"."genre" IS NOT NULL)`, [], "ab"],
		[
			{ OR: [{ year: 1990 }, { year: null }] },
			`((("r"."year" = $1::bigint) OR ("r"."year" IS NULL)))`,
			[1990],
			"ac",
		],
		[{ OR: [] }, "(FALSE)", [], ""],
		[{ AND: [] }, "(TRUE)", [], "abc"],
		[{ NOT: {} }, "((TRUE) IS NOT TRUE)", [], ""],
		[
			{ NOT: { year: { gt: 1990 } } },
			`((("r"."year" > $1::bigint)) IS NOT TRUE)`,
			[1990],
			"ac",
		],
		[
			{ metadata: { path: ["source", "name"], eq: "imdb" } },
			`("r"."metadata" @> $1::jsonb)`,
			['{"source":{"name":"imdb"}}'],
			"a",
		],
		[
			{ data: { path: ["tags", 1], eq: "y" } },
			`(("r"."data" #> $1::text[]) = $2::jsonb)`,
			['{"tags","1"}', '"y"'],
			"a",
		],
		[
			{ data: { path: ["oscars"], gte: 2 } },
			`((jsonb_typeof(("r"."data" #> $1::text[])) = $2 AND ("r"."data" #> $3::text[]) >= $4::jsonb))`,
			['{"oscars"}', "number", '{"oscars"}', "2"],
			"a",
		],
		[
			{ year: { gte: 1990 }, genre: "drama", cast: { isNull: false } },
			`("r"."year" >= $1::bigint AND "r"."genre" = $2::text AND "r"."cast" IS NOT NULL)`,
			[1990, "drama"],
			"a",
		],
	])("%o", async (where, text, values, found) => {
		expect(statement(where as Record<string, unknown>)).toEqual({
			text,
			values,
		});
		expect(await names(where)).toBe(found);
	});

	const rows = () =>
		db.service.vectorSearch({ tableName: "films", queryText: "x", tenantId });

	test("finds a row again by any of its values", async () => {
		const fields = [
			"id",
			"name",
			"genre",
			"year",
			"gross",
			"rating",
			"isSequel",
			"releasedAt",
			"studioId",
			"userId",
		] as const;
		for (const row of await rows())
			for (const field of fields)
				expect(await names({ name: row.name, [field]: row[field] })).toBe(
					row.name,
				);
	});

	test("finds a row again by the time it was created", async () => {
		await db.service.execute(
			"UPDATE films SET created_at = '2000-01-01 00:00:00.000001+00'",
		);
		for (const { name, createdAt } of await rows())
			expect(await names({ name, createdAt })).toBe(name);
	});
});

describe("refused is", () => {
	test.each<[string, object, string]>([
		["an unknown field", { yaer: 1 }, "UNKNOWN_FIELD"],
		["a column's spelling", { is_sequel: true }, "UNKNOWN_FIELD"],
		["a field of every object", { constructor: 1 }, "UNKNOWN_FIELD"],
		["__proto__", JSON.parse('{"__proto__":1}'), "UNKNOWN_FIELD"],
		["SQL for a field", { '"year" = 1 OR 1': 1 }, "UNKNOWN_FIELD"],
		["undefined", { year: undefined }, "FILTER_REFUSED"],
		["no operator", { year: {} }, "FILTER_REFUSED"],
		["an unknown operator", { year: { greater: 1 } }, "FILTER_REFUSED"],
		[
			"an operator of every object",
			{ year: { toString: 1 } },
			"FILTER_REFUSED",
		],
		[
			"an operator without value",
			{ year: { gte: undefined } },
			"FILTER_REFUSED",
		],
		["LIKE on a number", { year: { like: "1%" } }, "FILTER_REFUSED"],
		["an order of JSON", { data: { gt: 1 } }, "FILTER_REFUSED"],
		["JSON as a value", { data: { oscars: 2 } }, "FILTER_REFUSED"],
		["a list as a value", { cast: ["Ann"] }, "FILTER_REFUSED"],
		["a list for a text", { genre: ["drama"] }, "FILTER_REFUSED"],
		["contains on a text", { genre: { contains: "d" } }, "FILTER_REFUSED"],
		["a text for a number", { year: "1990" }, "FILTER_REFUSED"],
		["a number for a text", { genre: 1 }, "FILTER_REFUSED"],
		["a broken number for a whole one", { year: 1.5 }, "FILTER_REFUSED"],
		["a number that is not exact", { year: 2 ** 60 }, "FILTER_REFUSED"],
		["a bigint too large", { gross: 2n ** 63n }, "FILTER_REFUSED"],
		["NaN", { rating: Number.NaN }, "FILTER_REFUSED"],
		["NaN in a comparison", { rating: { gte: Number.NaN } }, "FILTER_REFUSED"],
		["a text for a date", { releasedAt: "1990-01-01" }, "FILTER_REFUSED"],
		["an invalid date", { releasedAt: new Date("x") }, "FILTER_REFUSED"],
		["a text that is no UUID", { studioId: "x" }, "FILTER_REFUSED"],
		["a text for a boolean", { isSequel: "true" }, "FILTER_REFUSED"],
		["null in a comparison", { year: { gt: null } }, "FILTER_REFUSED"],
		["null in a list", { year: { in: [null] } }, "FILTER_REFUSED"],
		["no list for in", { year: { in: 1 } }, "FILTER_REFUSED"],
		["another type in a list", { year: { in: [1, "2"] } }, "FILTER_REFUSED"],
		["isNull without yes or no", { year: { isNull: "yes" } }, "FILTER_REFUSED"],
		["NUL", { genre: "a\0" }, "FILTER_REFUSED"],
		["NUL in a list", { cast: { contains: ["\0"] } }, "FILTER_REFUSED"],
		["NUL in JSON", { data: { contains: { a: "\0" } } }, "FILTER_REFUSED"],
		["a lone surrogate", { genre: { like: "\ud83d" } }, "FILTER_REFUSED"],
		[
			"a function in JSON",
			{ data: { contains: { a: () => 1 } } },
			"FILTER_REFUSED",
		],
		["OR without a list", { OR: { year: 1 } }, "FILTER_REFUSED"],
		["OR of no filters", { OR: [1] }, "FILTER_REFUSED"],
		["NOT of nothing", { NOT: undefined }, "FILTER_REFUSED"],
		["an unknown field inside", { AND: [{ yaer: 1 }] }, "UNKNOWN_FIELD"],
		[
			"a path into a column",
			{ year: { path: ["a"], eq: 1 } },
			"FILTER_REFUSED",
		],
		["an empty path", { data: { path: [], eq: 1 } }, "FILTER_REFUSED"],
		["a path of text", { data: { path: "a.b", eq: 1 } }, "FILTER_REFUSED"],
		["a path with NUL", { data: { path: ["\0"], eq: 1 } }, "FILTER_REFUSED"],
		["a path alone", { data: { path: ["a"] } }, "FILTER_REFUSED"],
		["a bigint in JSON", { data: { path: ["a"], eq: 1n } }, "FILTER_REFUSED"],
		[
			"an order of booleans",
			{ data: { path: ["a"], gt: true } },
			"FILTER_REFUSED",
		],
		["1,001 conditions", { OR: Array(1001).fill({ year: 1 }) }, "INPUT_LIMIT"],
	])("%s", async (_, where, code) => {
		expect(await codeOf(names(where))).toBe(code);
	});

	test("more than 16 levels of AND, OR and NOT, but not 16", async () => {
		const nested = (levels: number) =>
			Array.from({ length: levels }).reduce<object>(
				(inner, _, level) =>
					level % 2 ? { NOT: inner } : { OR: [inner, { year: 1 }] },
				{ year: 1990 },
			);
		expect(await codeOf(names(nested(16)))).toBe("no error");
		expect(await codeOf(names(nested(17)))).toBe("INPUT_LIMIT");
		expect(await codeOf(names(nested(100_000)))).toBe("INPUT_LIMIT");
	});

	test("JSON deeper than 100 levels", async () => {
		let deep: unknown = 1;
		for (let level = 0; level < 200; level++) deep = [deep];
		const code = await codeOf(names({ data: { contains: { deep } } }));
		expect(["FILTER_REFUSED", "INPUT_LIMIT"]).toContain(code);
	});

	test.each<[string, object]>([
		["an empty text", { genre: "" }],
		["several operators at once", { year: { gt: 1, ne: null, notIn: [3] } }],
	])("not %s", async (_, where) => {
		expect(await codeOf(names(where))).toBe("no error");
	});

	test("a pattern that ends with a backslash", async () => {
		expect(await codeOf(names({ genre: { like: "dram\\" } }))).toBe(
			"FILTER_REFUSED",
		);
	});

	test("a date that PostgreSQL has not", async () => {
		const where = { releasedAt: { gt: new Date(-8.64e15) } };
		expect(await codeOf(names(where))).toBe("FILTER_REFUSED");
	});

	test("not a list with a date after the year 9999", async () => {
		const where = { releasedAt: { in: [new Date("+012345-01-01T00:00:00Z")] } };
		expect(await codeOf(names(where))).toBe("no error");
	});

	test("with a hint of what there is", async () => {
		const error = await names({ year: { gte1: 1 } }).catch((e: RemError) => e);
		expect(error).toMatchObject({
			code: "FILTER_REFUSED",
			message: 'filter on "year" has no operator "gte1"',
			hint: 'did you mean "gte"?',
		});
	});
});

test("a value never becomes part of the statement", async () => {
	const hostile = `'; DROP TABLE films; -- " \\ $1 %`;
	for (const where of [
		{ genre: hostile },
		{ genre: { ne: hostile } },
		{ genre: { in: [hostile, '"', "{}", ","] } },
		{ genre: { like: `${hostile}x` } },
		{ cast: { contains: [hostile] } },
		{ data: { contains: { [hostile]: hostile } } },
		{ data: { path: [hostile, 0], eq: hostile } },
		{ NOT: [{ data: { path: [hostile], like: `${hostile}x` } }] },
	]) {
		expect(statement(where).text).not.toContain("DROP");
		await names(where);
	}
	expect(await names({})).toBe("abc");
});
