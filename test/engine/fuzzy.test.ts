import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type FuzzyMode } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

const Topic = defineEntity(
	"topics",
	{ name: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name" },
);
const Common = defineEntity(
	"common",
	{ name: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name", tenantScoped: false },
);

const db = useService({ models: [Topic, Common] });
const tenantId = "fuzzy modes";

const topics = [
	{
		name: "Quarterly planning with Sarah Chen and the whole engineering team",
		summary: "Roadmap and budget for the spring",
	},
	{ name: "Sarah", summary: "Lives in Lisbon" },
	{ name: "Sarah Jane", summary: "Keeps bees" },
	{ name: "C#", summary: "A language" },
	{ name: "C", summary: "Another language" },
	{ name: "Cobol", summary: "An older language" },
	{ name: "Basic C", summary: "Not a course" },
	{ name: "Abacus", summary: "Counts beads" },
	{ name: "Cab", summary: "Drives" },
	{ name: "what??", summary: "50% off!!" },
	{ name: "a_b", summary: "under_score" },
	{ name: "no summary" },
];

const names = async (
	query: string,
	more: { mode?: FuzzyMode; threshold?: number } = {},
) => {
	const hits = await db.service.fuzzySearch({
		query,
		tenantId,
		limit: 100,
		...more,
	});
	return hits.map(({ entityKey }) => entityKey);
};

beforeAll(async () => {
	await db.service.batchUpsert({
		tableName: "topics",
		entities: topics,
		tenantId,
	});
	await db.service.batchUpsert({
		tableName: "topics",
		entities: topics.map(({ name }) => ({ name: `${name} elsewhere` })),
		tenantId: "another tenant",
	});
	await db.service.batchUpsert({
		tableName: "common",
		entities: [{ name: "Sarahs of the world", summary: "all of them" }],
	});
});

describe("the mode word", () => {
	test("finds a short query in a long key, which the whole key is not like", async () => {
		expect(await names("sarah chen", { threshold: 0.6 })).toEqual([]);
		expect(await names("sarah chen", { mode: "word", threshold: 0.9 })).toEqual(
			[topics[0]?.name],
		);
	});

	test("puts the key with the least other text first", async () => {
		expect(await names("sarah", { mode: "word", threshold: 0.8 })).toEqual([
			"Sarah",
			"Sarah Jane",
			topics[0]?.name,
			"Sarahs of the world",
		]);
	});

	test("forgives a slip of the pen", async () => {
		const [first] = await names("enginering", { mode: "word" });
		expect(first).toBe(topics[0]?.name);
	});

	test("scores by word_similarity", async () => {
		const [hit] = await db.service.fuzzySearch({
			query: "planing",
			tenantId,
			mode: "word",
		});
		const { rows } = await db.service.execute<{ score: number }>(
			"SELECT word_similarity('planing', $1) AS score",
			[topics[0]?.name as string],
		);
		expect(hit?.score).toBe(rows[0]?.score);
	});
});

describe("the mode content", () => {
	test("finds by the summary, not by the key", async () => {
		expect(await names("budget", { mode: "content", threshold: 0.9 })).toEqual([
			topics[0]?.name,
		]);
		expect(await names("sarah", { mode: "content", threshold: 0.9 })).toEqual(
			[],
		);
	});

	test("leaves out what has no summary, also at the threshold 0", async () => {
		expect(await names("bees", { mode: "content", threshold: 0 })).toHaveLength(
			topics.length,
		);
		expect(
			await names("bees", { mode: "content", threshold: 0 }),
		).not.toContain("no summary");
	});
});

describe("a query of one or two letters", () => {
	test("finds names with a word that begins with it, the closest first", async () => {
		expect(await names("c")).toEqual([
			"C",
			"C#",
			"Basic C",
			"Cab",
			"Cobol",
			topics[0]?.name,
		]);
		expect(await names("AB")).toEqual(["Abacus"]);
		expect(await names("c#")).toEqual(await names("c"));
	});

	test("is subject to a threshold that is given", async () => {
		expect(await names("c", { threshold: 0.3 })).toEqual(["C", "C#"]);
	});
});

describe("a query without letters", () => {
	test("finds the names, or summaries, that contain it literally", async () => {
		expect(await names("?")).toEqual(["what??"]);
		expect(await names(" #\t")).toEqual(["C#"]);
		expect(await names("_")).toEqual(["a_b"]);
		expect(await names("%", { mode: "content" })).toEqual(["what??"]);
		expect(await names("!?")).toEqual([]);
		expect(await names("🙂")).toEqual([]);
	});

	test("finds nothing where a threshold is given, and nothing when it is blank", async () => {
		expect(await names("?", { threshold: 0.1 })).toEqual([]);
		expect(await names(" \t")).toEqual([]);
	});
});

test("thresholds are put back for what follows in the same transaction", async () => {
	const before = await db.service.transaction(async (transaction) => {
		const thresholds = async () => {
			const { rows } = await transaction.query({
				text: `SELECT similarity('', ''), current_setting('pg_trgm.similarity_threshold') AS key,
current_setting('pg_trgm.word_similarity_threshold') AS word`,
				values: [],
			});
			return rows[0];
		};
		const first = await thresholds();
		for (const mode of ["key", "word"] as const)
			await db.service.fuzzySearch({
				query: "c",
				tenantId,
				mode,
				transaction,
			});
		expect(await thresholds()).toEqual(first);
		await transaction.query({
			text: "SELECT set_config('pg_trgm.similarity_threshold', '0.77', TRUE)",
			values: [],
		});
		await db.service.fuzzySearch({ query: "c", tenantId, transaction });
		expect(await thresholds()).toMatchObject({ key: "0.77" });
		return first;
	});
	expect(before).toMatchObject({ key: "0.3", word: "0.6" });
});

describe("a threshold is compared in 32 bits, as pg_trgm's similarities are", () => {
	const tenantId = "exact thresholds";
	const words = ["ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "bcd", "x"];
	const entities = words.flatMap((a) =>
		words.map((b) => ({ name: `${a} ${b}`, summary: `${b} ${a} ${b}x` })),
	);

	beforeAll(async () => {
		await db.service.batchUpsert({ tableName: "topics", entities, tenantId });
	});

	test.each<[FuzzyMode, string]>([
		["key", "similarity(entity_key, $1)"],
		["word", "word_similarity($1, entity_key)"],
		["content", "word_similarity($1, content_summary)"],
	])("in mode %s", async (mode, score) => {
		let exact = 0;
		for (const query of ["abcdef abc", "abcd x", "abcdefg bcd"]) {
			const { rows } = await db.service.execute<{
				name: string;
				score: number;
			}>(
				`SELECT entity_key AS name, ${score} AS score FROM kv_store WHERE tenant_id = 'exact thresholds'`,
				[query],
			);
			const thresholds = [
				...Array.from({ length: 20 }, (_, n) => (n + 1) / 20),
				// As they are read: a driver has no more digits than distinguish them.
				...rows.map((row) => row.score).filter((found) => found > 0),
			];
			for (const threshold of new Set(thresholds)) {
				const expected = rows.filter(
					(row) => Math.fround(row.score) >= Math.fround(threshold),
				);
				exact += expected.filter(
					(row) =>
						Math.fround(row.score) === Math.fround(threshold) &&
						Math.fround(threshold) < threshold,
				).length;
				const hits = await db.service.fuzzySearch({
					query,
					tenantId,
					mode,
					threshold,
					limit: 100,
					entityType: "topics",
				});
				expect([
					threshold,
					hits.map(({ entityKey }) => entityKey).sort(),
				]).toEqual([threshold, expected.map(({ name }) => name).sort()]);
			}
		}
		expect(exact).toBeGreaterThan(0);
	});

	test("also in the dialect: seven of ten trigrams are 0.7", async () => {
		await db.service.batchUpsert({
			tableName: "topics",
			entities: [{ name: "abcdef gh" }],
			tenantId: "seven of ten",
		});
		for (const [threshold, found] of [
			["0.7", 1],
			["0.700001", 0],
		] as const) {
			const query = `FUZZY "abcdef" THRESHOLD ${threshold}`;
			const result = await db.service.query(query, {
				tenantId: "seven of ten",
			});
			expect([threshold, "rows" in result && result.rows.length]).toEqual([
				threshold,
				found,
			]);
		}
	});
});
