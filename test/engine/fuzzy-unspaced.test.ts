import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type FuzzyMode } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// Chinese, Japanese and Thai have no spaces by which a word begins.

const Topic = defineEntity(
	"topics",
	{ name: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name" },
);
const db = useService({ models: [Topic] });
const tenantId = "unspaced";

const topics = [
	{ name: "长期记忆系统", summary: "把对话写进数据库，以后再读" },
	{ name: "記憶の宮殿", summary: "去年、東京で雨に降られた" },
	{ name: "カタカナ辞書", summary: "ﾃﾞｰﾀﾍﾞｰｽと辞書" },
	{ name: "ระบบความจำระยะยาว", summary: "ข้อมูลถูกเก็บไว้ในฐานข้อมูล" },
	{ name: "PostgreSQL 数据库 handbook", summary: "indexes, 索引 and plans" },
	{ name: "plain ascii", summary: "nothing of the kind" },
	{ name: "Überblick", summary: "ein Überblick" },
];

const names = async (
	query: string,
	more: { mode?: FuzzyMode; threshold?: number } = {},
) => {
	const hits = await db.service.fuzzySearch({ query, tenantId, ...more });
	return hits.map(({ entityKey }) => entityKey);
};

beforeAll(async () => {
	for (const tenant of [tenantId, "another tenant"])
		await db.service.batchUpsert({
			tableName: "topics",
			entities: topics,
			tenantId: tenant,
		});
});

const found: [FuzzyMode, string, string[]][] = [
	["word", "记忆", ["长期记忆系统"]],
	["word", "统", ["长期记忆系统"]],
	["word", "長期", []],
	["word", "宮殿", ["記憶の宮殿"]],
	["word", "カタカナ", ["カタカナ辞書"]],
	["word", "ｶﾀｶﾅ", ["カタカナ辞書"]],
	["word", "ความจำ", ["ระบบความจำระยะยาว"]],
	["word", "数据库", ["PostgreSQL 数据库 handbook"]],
	["word", "数据库 handbok", ["PostgreSQL 数据库 handbook"]],
	["content", "数据库", ["长期记忆系统"]],
	["content", "東京", ["記憶の宮殿"]],
	["content", "雨", ["記憶の宮殿"]],
	["content", "データベース", ["カタカナ辞書"]],
	["content", "ฐานข้อมูล", ["ระบบความจำระยะยาว"]],
	["content", "索引 plans", ["PostgreSQL 数据库 handbook"]],
	["content", "雪", []],
	["key", "记忆", ["长期记忆系统"]],
	["key", "雨", []],
	["key", "记忆系统", ["长期记忆系统"]],
	["key", "长期记忆系统", ["长期记忆系统"]],
];

describe.each(["before their indexes are built", "by their indexes"])(
	"parts of names and summaries, %s",
	(when) => {
		if (when === "by their indexes")
			beforeAll(async () => {
				await db.service.createIndexConcurrently({
					tableName: "topics",
					indexType: "trgm",
				});
			});

		test.each(found)("in mode %s, %s", async (mode, query, expected) => {
			expect(await names(query, { mode })).toEqual(expected);
		});

		test("a part of the letters is a part of the score", async () => {
			const hits = await db.service.fuzzySearch({
				query: "记忆宮殿",
				mode: "word",
				tenantId,
			});
			expect(hits.map(({ entityKey, score }) => [entityKey, score])).toEqual([
				["記憶の宮殿", expect.closeTo(1 / 3)],
				["长期记忆系统", expect.closeTo(1 / 3)],
			]);
			expect(await names("记忆宮殿", { mode: "word", threshold: 0.4 })).toEqual(
				[],
			);
		});

		test("the dialect finds them, too", async () => {
			const result = await db.service.query('FUZZY "记忆"', { tenantId });
			expect("rows" in result && result.rows).toMatchObject([
				{ entityKey: "长期记忆系统" },
			]);
		});
	},
);

test("letters beside Hangul, Tibetan or a digit of their script are found", async () => {
	// These are read in pairs by the search for words, and are no letters of a query here.
	const mixed = ["漢字한국", "字漢한", "བོད་漢字", "ไทย๑漢字"];
	await db.service.batchUpsert({
		tableName: "topics",
		entities: mixed.map((name) => ({ name })),
		tenantId: "mixed",
	});
	const named = async (query: string) => {
		const hits = await db.service.fuzzySearch({
			query,
			mode: "word",
			tenantId: "mixed",
		});
		return new Set(hits.map(({ entityKey }) => entityKey));
	};
	expect(await named("漢字")).toEqual(
		new Set(["漢字한국", "བོད་漢字", "ไทย๑漢字"]),
	);
	expect(await named("字")).toEqual(new Set(mixed));
	expect(await named("漢")).toEqual(new Set(mixed));
});

test("while the cache is rebuilt, they are found in the tables", async () => {
	await db.service.execute(
		"UPDATE kv_state SET kind = 'away' WHERE kind = 'ready'",
	);
	expect(await names("记忆", { mode: "word" })).toEqual(["长期记忆系统"]);
	expect(await names("雨", { mode: "content" })).toEqual(["記憶の宮殿"]);
	await db.service.kv.rebuild();
});

test("the indexes have no entries of texts that are ASCII only", async () => {
	const { rows } = await db.service.execute<{
		name: string;
		predicate: string;
	}>(
		`SELECT DISTINCT c.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS predicate
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relname LIKE 'kv_store%pairs' ORDER BY 1`,
	);
	expect(rows).toEqual([
		{
			name: "kv_store_content_pairs",
			predicate:
				"(octet_length(content_summary) <> char_length(content_summary))",
		},
		{
			name: "kv_store_key_pairs",
			predicate:
				"(octet_length((entity_key)::text) <> char_length((entity_key)::text))",
		},
	]);
});
