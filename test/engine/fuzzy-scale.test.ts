import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type FuzzyHits,
	type FuzzyMode,
} from "../../src/index.ts";
import { matchOf } from "../../src/query/fuzzy-match.ts";
import { queryOf } from "../../src/query/fuzzy-request.ts";
import { FuzzySamples } from "../../src/query/fuzzy-sample.ts";
import { fuzzySql, securedFuzzySql } from "../../src/query/fuzzy-sql.ts";
import { compile, ident } from "../../src/sql.ts";
import { useService } from "../support/engine.ts";
import { schemaOf } from "../support/schemas.ts";

// A tenant with more names than can be compared one by one.

const Topic = defineEntity(
	"topics",
	{ name: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name" },
);
// Its index of the contents is to be built when the test says so.
const db = useService({ models: [Topic], backgroundIndex: { enabled: false } });
const tenantId = "large";
const size = 25_000;
const schema = schemaOf(tenantId);

beforeAll(async () => {
	const { service } = db;
	// Every name and summary has the word "report"; every hundredth has 雨.
	for (const tenant of [tenantId, "small"])
		await service.execute(
			`INSERT INTO topics (tenant_id, name, summary)
SELECT $1, 'report ' || md5(n::text), 'report of the ' || md5((n * 7)::text) || CASE WHEN n % 100 = 0 THEN ' 今日は雨' ELSE '' END
FROM generate_series(1, $2::int) AS n`,
			[tenant, tenant === tenantId ? size : 500],
		);
	await service.batchUpsert({
		tableName: "topics",
		tenantId,
		entities: [
			{ name: "Quarterly planning", summary: "A budget for the spring" },
			{ name: "Zebra crossing", summary: "Where 斑马 walk; report it" },
		],
	});
	beforeIndex = await service.fuzzySearch({
		query: "budgt spring",
		mode: "content",
		tenantId,
	});
	await service.createIndexConcurrently({
		tableName: "topics",
		indexType: "trgm",
	});
	await service.execute("ANALYZE kv_store");
});

let beforeIndex: FuzzyHits;

test("before the index of the contents is built, the contents next to the query by name are compared, and the result is marked", () => {
	expect(beforeIndex.map(({ entityKey }) => entityKey)).toContain(
		"Quarterly planning",
	);
	expect(beforeIndex.bounded).toEqual({});
});

const find = (
	query: string,
	more: {
		mode?: FuzzyMode;
		threshold?: number;
		limit?: number;
		tenantId?: string;
	} = {},
) => db.service.fuzzySearch({ query, tenantId, ...more });

describe("a query that few names are like", () => {
	test.each<[FuzzyMode, string, string]>([
		["key", "quartrly planing", "Quarterly planning"],
		["word", "planing", "Quarterly planning"],
		["content", "budgt spring", "Quarterly planning"],
		["content", "斑马", "Zebra crossing"],
	])("in mode %s finds %s, and all there is", async (mode, query, name) => {
		const hits = await find(query, { mode, limit: 3 });
		expect(hits[0]?.entityKey).toBe(name);
		expect(hits.bounded).toBeUndefined();
	});
});

describe("a query that has much in common with every name", () => {
	test("finds the best ones, and tells from which score on none is missing", async () => {
		const { rows } = await db.service.execute<{ name: string }>(
			"SELECT name FROM topics WHERE tenant_id = 'large' AND name LIKE 'report %' ORDER BY id LIMIT 1 OFFSET 7000",
		);
		const name = rows[0]?.name as string;
		// Two letters are missing.
		const hits = await find(name.slice(0, 20) + name.slice(22), {
			threshold: 0.1,
		});
		expect(hits[0]?.entityKey).toBe(name);
		expect(hits.bounded?.completeFrom).toBeGreaterThan(0.1);
		expect(hits.bounded?.completeFrom).toBeLessThan(hits[0]?.score as number);
	});

	test("is not bounded when as many as were asked for are found above that score", async () => {
		const { rows } = await db.service.execute<{ name: string }>(
			"SELECT name FROM topics WHERE tenant_id = 'large' ORDER BY id LIMIT 1",
		);
		const hits = await find(rows[0]?.name as string, { limit: 1 });
		expect(hits).toHaveLength(1);
		expect(hits.bounded).toBeUndefined();
	});

	test.each<[FuzzyMode, string]>([
		["key", "r"],
		["key", "re"],
		["word", "report"],
		["word", "reprt"],
		["content", "report"],
		["content", "the"],
		["content", "reprt"],
	])(
		"in mode %s, %s finds some of them, each time the same",
		async (mode, query) => {
			const hits = await find(query, { mode });
			expect(hits).toHaveLength(10);
			expect(hits.bounded).toBeDefined();
			expect(await find(query, { mode })).toEqual(hits);
		},
	);

	test("a name that is the query comes first", async () => {
		await db.service.batchUpsert({
			tableName: "topics",
			tenantId,
			entities: [{ name: "Report" }, { name: "R" }],
		});
		for (const query of ["report", "r"])
			for (const mode of ["key", "word"] as const)
				expect([
					query,
					mode,
					(await find(query, { mode }))[0]?.entityKey.toLowerCase(),
				]).toEqual([query, mode, query]);
	});

	test("a small tenant's are all compared", async () => {
		for (const mode of ["key", "word", "content"] as const) {
			const hits = await find("report", {
				mode,
				tenantId: "small",
				threshold: 0.1,
				limit: 1000,
			});
			expect([mode, hits.length, hits.bounded]).toEqual([mode, 500, undefined]);
		}
	});

	test("a letter of a script without spaces is found, or the result is marked", async () => {
		const hits = await find("雨", { mode: "content", limit: 1000 });
		expect([hits.length, hits.bounded]).toEqual([size / 100, undefined]);
	});

	test("so is what has no letters", async () => {
		expect((await find("?")).bounded).toBeDefined();
		expect((await find("?", { tenantId: "small" })).bounded).toBeUndefined();
	});

	test("the threshold 0 finds as many as are asked for", async () => {
		const hits = await find("planning", { threshold: 0, limit: 5 });
		expect(hits[0]?.entityKey).toBe("Quarterly planning");
		expect(hits).toHaveLength(5);
	});

	test("the dialect passes the mark on", async () => {
		const result = await db.service.query('FUZZY "r"', { tenantId });
		expect(result).toMatchObject({ kind: "fuzzy", bounded: {} });
	});
});

test("a tenant that has grown since its size was read is searched as the large one it is", async () => {
	const { service } = db;
	const grown = { mode: "content", tenantId: "grown" } as const;
	await service.batchUpsert({
		tableName: "topics",
		tenantId: "grown",
		entities: [{ name: "first", summary: "the first one" }],
	});
	expect(await find("first one", grown)).toHaveLength(1);
	await service.execute(
		`INSERT INTO topics (tenant_id, name, summary) SELECT 'grown', 'n' || n, CASE WHEN n = 4500 THEN 'a budget for the spring' ELSE 'about ' || md5(n::text) END
FROM generate_series(1, 4500) AS n`,
	);
	const [best] = await find("budgt spring", grown);
	expect(best?.entityKey).toBe("n4500");
});

describe("what is read is bounded", () => {
	test.each<[FuzzyMode, string]>([
		["key", "report of md5"],
		["key", "r"],
		["word", "report"],
		["content", "report"],
		["content", "the"],
		["content", "?"],
	])("in mode %s by %s", async (mode, query) => {
		const request = { query, mode, tenantId };
		const names = {
			schema,
			tenantId,
			column: mode === "content" ? "content_summary" : "entity_key",
		} as const;
		const statements: ReturnType<typeof compile>[] = [];
		const samples = new FuzzySamples();
		await db.service.transaction(async (transaction) => {
			const sample = await samples.read(transaction, names);
			expect(sample?.size).toBeGreaterThan(100);
			const match = matchOf(queryOf(request), { schema, sample });
			for (const one of [match, match.bound?.more])
				if (one !== undefined)
					statements.push(
						compile(fuzzySql(ident(schema, "kv_store"), request, one)),
						compile(securedFuzzySql(schema, request, { ...one, indexes: [] })),
					);
		});
		expect(statements.length).toBeGreaterThan(0);
		for (const { text, values } of statements) {
			const { rows } = await db.service.execute<{ "QUERY PLAN": unknown }>(
				`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`,
				values,
			);
			expect(rowsRead(rows[0]?.["QUERY PLAN"])).toBeLessThan(10_000);
		}
	});
});

/** The most rows that a node of the plan has read from kv_store. */
function rowsRead(plan: unknown): number {
	if (Array.isArray(plan)) return Math.max(0, ...plan.map(rowsRead));
	if (typeof plan !== "object" || plan === null) return 0;
	const node = plan as Record<string, unknown>;
	const count = (name: string) => Number(node[name] ?? 0);
	const own =
		node["Relation Name"] === "kv_store"
			? count("Actual Rows") +
				count("Rows Removed by Filter") +
				count("Rows Removed by Index Recheck")
			: 0;
	return Math.max(own, ...Object.values(node).map(rowsRead));
}

describe("the names of a hybrid search", () => {
	const find = async (query: string) => {
		const hits = await db.service.hybridSearch({
			tableName: "topics",
			query,
			weights: { vector: 0, text: 0, name: 1 },
			tenantId,
			limit: 3,
		});
		return hits.map(({ name }) => name);
	};

	test("are found by a query that few names are like", async () => {
		expect((await find("Quartrly planing"))[0]).toBe("Quarterly planning");
	});

	test("are not compared with what is in nearly all of them", async () => {
		expect(await find("report")).toEqual([]);
	});

	test("of a question are looked for by its rare words, and have their ranks", async () => {
		const question = {
			tableName: "topics",
			query: "report a b c d e f 1 2 3 4 5 6 Quarterly planning",
			weights: { vector: 0, text: 0, name: 1 },
			tenantId,
		} as const;
		const hits = await db.service.hybridSearch({ ...question, explain: true });
		expect(hits.explain.sql).toContain("ILIKE");
		expect(hits.map(({ name }) => name)).toEqual(["Quarterly planning"]);
		const id = String(hits[0]?.id);
		const why = await db.service.explainRank({ ...question, id });
		expect(why?.lists.name).toMatchObject({ rank: 1 });
	});
});
