import pg from "pg";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import type { Handle } from "../../src/db/database.ts";
import { send } from "../../src/db/send.ts";
import { localProvider } from "../../src/embeddings/local.ts";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { UsualSizes } from "../../src/query/usual-size.ts";
import { ident, toText } from "../../src/sql.ts";
import {
	codeOf,
	coreOf,
	coresOf,
	engine,
	useService,
} from "../support/engine.ts";
import { login } from "../support/row-security.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string(), year: z.int().optional() },
	{ entityKeyField: "name" },
);
const models = [Note] as const;
const db = useService({
	models,
	backgroundIndex: { enabled: false },
	// What a connection has prepared is seen on that connection.
	poolSize: 1,
});
const onlyText = { vector: 0, text: 1, name: 0 } as const;
const words = "rem_words_notes";

type Search = Parameters<typeof db.service.hybridSearch<"notes">>[0];

/** Names that the words find, best first. */
async function found(
	query: string,
	options: Partial<Search> = {},
	service: Pick<typeof db.service, "hybridSearch"> = db.service,
): Promise<string[]> {
	const hits = await service.hybridSearch({
		tableName: "notes",
		query,
		tenantId: "t",
		weights: onlyText,
		...options,
	});
	return hits.map(({ name }) => name);
}

async function write(texts: Readonly<Record<string, string>>, tenantId = "t") {
	await db.service.batchUpsert({
		tableName: "notes",
		entities: Object.entries(texts).map(([name, content]) => ({
			name,
			content,
		})),
		tenantId,
	});
}

async function rows<R>(text: string): Promise<R[]> {
	return (await db.service.execute(text)).rows as R[];
}

function forgetStatistics(
	service: Parameters<typeof coresOf>[0] = db.service,
): void {
	for (const { vectorStatistics } of coresOf(service))
		vectorStatistics.forget();
}

beforeEach(async () => {
	await db.service.execute("DELETE FROM notes");
	forgetStatistics();
});

describe("the order", () => {
	const texts = {
		n1: "wing wing wing flutter",
		n2: "wing panel panel of a long body behind a thin plate",
		n3: "flutter of the wing",
		n4: "panel",
		n5: "a heat shield",
	};

	test("is that of BM25, computed by hand", async () => {
		await write(texts);
		// Documents as their stems, the name is one of them; stop words are none.
		const documents: Record<string, string[]> = {
			n1: ["n1", "wing", "wing", "wing", "flutter"],
			n2: "n2 wing panel panel long bodi behind thin plate".split(" "),
			n3: ["n3", "flutter", "wing"],
			n4: ["n4", "panel"],
			n5: ["n5", "heat", "shield"],
		};
		const all = Object.values(documents);
		const average = all.reduce((sum, d) => sum + d.length, 0) / all.length;
		const score = (document: string[], query: string[]) =>
			query.reduce((sum, word) => {
				const df = all.filter((other) => other.includes(word)).length;
				const tf = document.filter((other) => other === word).length;
				const idf = Math.log(1 + (all.length - df + 0.5) / (df + 0.5));
				const norm = 1.2 * (1 - 0.75 + (0.75 * document.length) / average);
				return sum + (idf * tf * 2.2) / (tf + norm);
			}, 0);
		for (const query of [["wing"], ["flutter", "panel"], ["wing", "panel"]]) {
			const expected = Object.entries(documents)
				.map(([name, document]) => ({ name, score: score(document, query) }))
				.filter((hit) => hit.score > 0)
				.sort((a, b) => b.score - a.score)
				.map(({ name }) => name);
			expect(await found(query.join(" "))).toEqual(expected);
		}
		const stored = await rows<{ length: number; often: string[] | null }>(
			`SELECT length, often FROM ${words} AS w JOIN notes AS n ON n.id = w.entity_id ORDER BY n.name`,
		);
		expect(stored.map(({ length }) => length)).toEqual([5, 9, 3, 2, 3]);
		expect(stored[0]?.often).toEqual(["wing"]);
	});

	test("counts 1 to 64 occurrences exactly", async () => {
		const counts = [1, 2, 3, 5, 9, 17, 33, 64];
		const ranks = await rows<{ n: number }>(
			`SELECT round(0.6079271 / greatest(1 - ts_rank('{1,1,1,1}', to_tsvector('simple', repeat('w ', c)), 'w')::float8, 0.001) - 0.5)::integer AS n
			FROM unnest('{${counts.join(",")}}'::integer[]) AS c`,
		);
		expect(ranks.map(({ n }) => n)).toEqual(counts);
	});

	test("of frequent words is that of their best rows, from the index", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT 't', 'row ' || n, 'common ' || CASE WHEN n % 2 = 0 THEN 'usual ' ELSE 'other ' END || md5(n::text) || repeat(' filler' || n, n % 7)
FROM generate_series(1, 3000) AS n`);
		await write({
			best: "common common common usual usual usual",
			rare: "common zeppelin",
		});
		await db.service.indexer.build({ tableName: "notes", indexType: "gin" });
		forgetStatistics();
		const explained = await db.service.hybridSearch({
			tableName: "notes",
			query: "common usual",
			tenantId: "t",
			weights: onlyText,
			explain: true,
		});
		expect(explained.explain.sql).toContain("often");
		expect(explained[0]?.name).toBe("best");
		expect(await found("common zeppelin")).toContain("rare");
		expect((await found("common zeppelin"))[0]).toBe("rare");
		expect(await found("common")).toHaveLength(10);
	});

	test("of frequent words is of as many rows as are asked for, from the index", async () => {
		// The first rows have all three words, and would be found for one and for two of them again.
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT 't', 'row ' || n, CASE WHEN n <= 70 THEN 'red green blue' WHEN n <= 300 THEN 'red' WHEN n <= 700 THEN 'green' WHEN n <= 1300 THEN 'blue' ELSE 'other' END
FROM generate_series(1, 3000) AS n`);
		await db.service.indexer.build({ tableName: "notes", indexType: "gin" });
		forgetStatistics();
		const names = await found("red green blue", { limit: 100 });
		expect(new Set(names).size).toBe(100);
		expect(
			names.slice(0, 70).every((name) => Number(name.slice(4)) <= 70),
		).toBe(true);
	});

	test("of rows with a rare word is by all words of the query, from the index", async () => {
		// The rare word in nearly as many rows as are read of one, and in none of the sample; the last have a frequent word as well.
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT 't', 'row ' || n, CASE WHEN n NOT BETWEEN 1501 AND 1650 THEN 'red green blue white black grey pink ' || CASE WHEN n % 2 = 0 THEN 'usual' ELSE 'other' END
  WHEN n <= 1647 THEN 'zeppelin quiet' ELSE 'zeppelin usual quiet' END
FROM generate_series(1, 3150) AS n`);
		await db.service.indexer.build({ tableName: "notes", indexType: "gin" });
		forgetStatistics();
		const best = await found("usual zeppelin");
		expect(best.slice(0, 3).sort()).toEqual([
			"row 1648",
			"row 1649",
			"row 1650",
		]);
		// Rows of the frequent word alone score less than any of the rare one.
		expect(best.slice(3)).toHaveLength(7);
		expect(best.map((name) => Math.abs(Number(name.slice(4)) - 1575))).toEqual(
			best.map(() => expect.toSatisfy((distance: number) => distance <= 75)),
		);
	});
});

describe("without an index the order of a large tenant", () => {
	/** As many as are searched for of a query. */
	const template = Array.from({ length: 32 }, (_, at) => `t${at}`);
	/** The words of each row, its name among them: none of them has a stem of its own. */
	const documents = new Map(
		Array.from({ length: 2600 }, (_, n) => [
			`row ${n}`,
			[
				...["row", String(n)],
				...(n % 5 < 3 ? ["alpha"] : []),
				...(n % 3 === 0 ? Array(1 + (n % 4)).fill("gamma") : []),
				...(n % 50 === 7 ? Array(1 + (n % 3)).fill("omega") : []),
				...(n % 900 === 11 ? ["sigma"] : []),
				...Array.from({ length: n % 11 }, (_, at) => `f${n}x${at}`),
				...(n % 4 === 1 ? template : []),
			],
		]),
	);
	const average =
		[...documents.values()].reduce((sum, words) => sum + words.length, 0) /
		documents.size;

	/** BM25 of every row with any of the words, the greatest first. */
	function scores(query: readonly string[]): Map<string, number> {
		const weights = query.map((word) => {
			const rows = [...documents.values()].filter((d) => d.includes(word));
			return Math.log(
				1 + (documents.size - rows.length + 0.5) / (rows.length + 0.5),
			);
		});
		const scored = [...documents].map(([name, words]): [string, number] => {
			const norm = 1.2 * (1 - 0.75 + (0.75 * words.length) / average);
			const score = query.reduce((sum, word, at) => {
				const n = words.filter((other) => other === word).length;
				return sum + ((weights[at] ?? 0) * n * 2.2) / (n + norm);
			}, 0);
			return [name, score];
		});
		return new Map(
			scored.filter(([, s]) => s > 0).sort(([, a], [, b]) => b - a),
		);
	}

	test.each([
		["many rows have the rare word", "omega alpha"],
		["few rows have the rare word", "sigma gamma alpha"],
		["every word is frequent", "gamma alpha"],
		["no word is frequent", "omega sigma"],
		["a word is in no row", "gamma nothing"],
		[
			"all words but one that is too many are frequent",
			[...template, "omega"].join(" "),
		],
	])("is that of all of its rows where %s", async (_, query) => {
		await write(
			Object.fromEntries(
				[...documents].map(([name, [, , ...content]]) => [
					name,
					content.join(" ") || "-",
				]),
			),
		);
		await db.service.execute(`DROP INDEX IF EXISTS gin_${words}__words`);
		forgetStatistics();
		const hits = await db.service.hybridSearch({
			tableName: "notes",
			query,
			tenantId: "t",
			weights: onlyText,
			limit: 60,
			explain: true,
		});
		expect(hits.explain.sql).toContain("rem_words_notes");
		expect(hits.explain.sql.includes("found_first")).toBe(
			/alpha|gamma|t0/.test(query),
		);
		const expected = scores(query.split(" ").slice(0, template.length));
		const candidates = hits.explain.lists?.text?.candidates ?? [];
		expect(candidates.length).toBe(Math.min(120, expected.size));
		for (const [at, score] of [...expected.values()].slice(0, 120).entries()) {
			const { entityKey, value } = candidates[at] ?? {};
			expect(value).toBeCloseTo(score, 4);
			expect(expected.get(String(entityKey))).toBeCloseTo(score, 4);
		}
	});
});

describe("words follow their rows", () => {
	test("through updates, soft deletes, restores and deletes", async () => {
		await write({ a: "first tulip", b: "second tulip" });
		const repository = db.service.repository(Note);
		const [a] = await rows<{ id: string }>(
			"SELECT id FROM notes WHERE name = 'a'",
		);
		const id = a?.id as string;
		await write({ a: "first orchid" });
		expect(await found("tulip")).toEqual(["b"]);
		expect(await found("orchid")).toEqual(["a"]);
		await repository.delete(id, "t");
		expect(await found("orchid")).toEqual([]);
		expect(
			await rows(`SELECT FROM ${words} WHERE entity_id = '${id}'`),
		).toEqual([]);
		await db.service.execute(
			`UPDATE notes SET deleted_at = NULL WHERE id = '${id}'`,
		);
		expect(await found("orchid")).toEqual(["a"]);
		await db.service.execute(`DELETE FROM notes WHERE id = '${id}'`);
		expect(await found("orchid")).toEqual([]);
		await db.service.execute("TRUNCATE notes CASCADE");
		expect(await rows(`SELECT FROM ${words}`)).toEqual([]);
	});

	test("of other programs, of another tenant and of users", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, user_id, name, content) VALUES
('t', NULL, 'shared', 'a lighthouse'), ('t', 'u1', 'own', 'a lighthouse'), ('t', 'u2', 'foreign', 'a lighthouse'), ('other', NULL, 'else', 'a lighthouse')`);
		expect((await found("lighthouse")).sort()).toEqual([
			"foreign",
			"own",
			"shared",
		]);
		expect((await found("lighthouse", { userId: "u1" })).sort()).toEqual([
			"own",
			"shared",
		]);
		expect(await found("lighthouse", { userId: null })).toEqual(["shared"]);
		expect(await found("lighthouse", { tenantId: "other" })).toEqual(["else"]);
		await db.service.execute(
			"UPDATE notes SET tenant_id = 'other' WHERE name = 'own'",
		);
		expect((await found("lighthouse", { tenantId: "other" })).sort()).toEqual([
			"else",
			"own",
		]);
	});

	test("with a filter", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content, year) VALUES
('t', 'old', 'a lighthouse', 1900), ('t', 'new', 'a lighthouse', 2000)`);
		expect(
			await found("lighthouse", { where: { year: { gt: 1950 } } }),
		).toEqual(["new"]);
	});

	test.each([
		{ where: "read one by one", count: 1500, isIndexed: false },
		{ where: "read from the index", count: 3000, isIndexed: true },
	])(
		"with a word in each row of the scope, which weighs nothing, $where",
		async ({ count, isIndexed }) => {
			// Each row has the word "common", often and in a short text, but the one that has the rare word.
			await db.service.execute(`INSERT INTO notes (tenant_id, user_id, name, content, year)
SELECT 't', CASE WHEN n % 100 <> 0 THEN 'u' ELSE 'u1' END, 'row ' || n, 'common common common', n % 100 FROM generate_series(1, ${count}) AS n
UNION ALL SELECT 't', 'u1', 'rare', 'common zeppelin' || repeat(' long text', 20), 0`);
			if (isIndexed)
				await db.service.indexer.build({
					tableName: "notes",
					indexType: "gin",
				});
			forgetStatistics();
			const ofFilter = { where: { year: { eq: 0 } } } as const;
			expect((await found("common zeppelin", ofFilter))[0]).toBe("rare");
			if (!isIndexed)
				expect((await found("common zeppelin", { userId: "u1" }))[0]).toBe(
					"rare",
				);
		},
	);
});

describe("languages", () => {
	const texts = {
		中文: "我们的长期记忆系统使用数据库。",
		日本: "東京タワーは高い。今日は雨です",
		ไทย: "สวัสดีครับ ระบบฐานข้อมูล",
		mixed: "PostgreSQL 数据库 stores memories",
		wide: "ＰｏｓｔｇｒｅＳＱＬ１８",
		plain: "nothing of the kind",
	};

	test.each([
		["数据库", ["中文", "mixed"]],
		["记忆", ["中文"]],
		["東京", ["日本"]],
		["雨", ["日本"]],
		["库", ["中文", "mixed"]],
		["ฐานข้อมูล", ["ไทย"]],
		["memory 数据库", ["mixed", "中文"]],
		["postgresql18", ["wide"]],
		["日本", ["日本"]],
	])("without spaces between words: %s", async (query, names) => {
		await write(texts);
		expect((await found(query)).sort()).toEqual([...names].sort());
	});

	test("a call in another language computes the words", async () => {
		await write({ a: "die schönen Häuser", b: "ein Baum" });
		expect(await found("Haus", { language: "german" })).toEqual(["a"]);
		expect(await found("Haus")).toEqual([]);
		expect(await codeOf(found("Haus", { language: "klingon" }))).toBe(
			"VALIDATION",
		);
	});
});

describe("weights", () => {
	test("leave a list out, and show in the ranks", async () => {
		await write({ alpha: "a lighthouse", beta: "a windmill" });
		const search = (weights: Search["weights"]) =>
			db.service.hybridSearch({
				tableName: "notes",
				query: "windmill",
				tenantId: "t",
				...(weights === undefined ? {} : { weights }),
			});
		const [hit] = await search(onlyText);
		expect(hit?.ranks).toEqual({ text: 1 });
		expect(hit?.score).toBeCloseTo(1 / 11, 6);
		const [near] = await search({ text: 0, name: 0, vector: 2 });
		expect(near?.ranks).toEqual({ vector: 1 });
		expect(near?.score).toBeCloseTo(2 / 11, 6);
		const [both] = await search({ text: 1, vector: 1, name: 0 });
		expect(both?.ranks).toEqual({ vector: 1, text: 1 });
		const [fallback] = await search(undefined);
		expect(fallback?.name).toBe("beta");
	});

	test.each([
		[{ vector: -1 }],
		[{ text: Number.NaN }],
		[{ name: Number.POSITIVE_INFINITY }],
		[{ vector: 0, text: 0, name: 0 }],
		[{ words: 1 }],
		[{ text: "1" }],
	])("%j are refused", async (weights) => {
		expect(await codeOf(found("windmill", { weights: weights as never }))).toBe(
			"VALIDATION",
		);
	});

	test("are shown for each hit with its share of the score", async () => {
		await write({ alpha: "a lighthouse" });
		const hits = await db.service.hybridSearch({
			tableName: "notes",
			query: "lighthouse",
			tenantId: "t",
			weights: { vector: 1, text: 3, name: 0 },
			explain: true,
		});
		expect(hits.explain.hits?.[0]).toEqual({
			id: hits[0]?.id,
			lists: {
				vector: {
					rank: 1,
					weight: 1,
					share: expect.closeTo(0.25, 9),
					value: expect.closeTo(hits[0]?.similarity ?? Number.NaN, 6),
				},
				text: {
					rank: 1,
					weight: 3,
					share: expect.closeTo(0.75, 9),
					value: expect.any(Number),
				},
			},
		});
	});
});

describe("the weight of the vectors, where the call gives none,", () => {
	async function weight(
		query: string,
		options: Partial<Search> = {},
	): Promise<number> {
		const hits = await db.service.hybridSearch({
			tableName: "notes",
			query,
			tenantId: "t",
			explain: true,
			...options,
		});
		return hits.explain?.hits?.[0]?.lists.vector?.weight ?? Number.NaN;
	}

	test("is the higher, the more of the query's words the model knows", async () => {
		await write({
			alpha: "the keeper of the lighthouse",
			beta: "灯台守の日記",
		});
		expect(await weight("who keeps the lighthouse?")).toBeCloseTo(0.25, 6);
		expect(await weight("灯台守の日記")).toBeCloseTo(0.05, 6);
		const half = await weight("lighthouse 灯台守");
		expect(half).toBeGreaterThan(0.06);
		expect(half).toBeLessThan(0.24);
	});

	test("is the same with the query's vector, in every table and in the explanation of a rank", async () => {
		await write({ alpha: "the lighthouse 灯台守" });
		const query = "lighthouse 灯台守";
		const own = await weight(query);
		const [queryEmbedding] = await localProvider({
			model: "semantic-v1",
			dimensions: 612,
		}).embed([query], { purpose: "query" });
		expect(
			await weight(query, { queryEmbedding: queryEmbedding as Float32Array }),
		).toBe(own);
		const all = await db.service.hybridSearch({
			query,
			tenantId: "t",
			explain: true,
		});
		const [hit] = all.explain.notes?.hits ?? [];
		expect(hit?.lists.vector?.weight).toBe(own);
		const rank = await db.service.explainRank({
			tableName: "notes",
			id: String(hit?.id),
			query,
			tenantId: "t",
		});
		expect(rank?.lists.vector?.weight).toBe(own);
	});
});

describe("queries", () => {
	test("in a script without spaces are read beyond their 32nd pair", async () => {
		const beginning = "ผู้ดูแลประภาคารบนเกาะเขียนบันทึกทุกคืน";
		const end = "ว่ามีเรือผ่านกี่ลำ";
		await write({ first: beginning, last: `กะลาสีถาม${end}` });
		expect(await found(beginning + end)).toEqual(["first", "last"]);
		expect(await found(end)).toEqual(["last"]);
	});

	test("of stop words alone find by the other lists, and throw nothing", async () => {
		await write({ the: "a lighthouse" });
		expect(await found("the of and")).toEqual([]);
		const hits = await db.service.hybridSearch({
			tableName: "notes",
			query: "the",
			tenantId: "t",
		});
		expect(hits.map(({ name }) => name)).toEqual(["the"]);
	});

	test("that are empty are refused, and long ones are not", async () => {
		await write({ a: "a lighthouse" });
		expect(await codeOf(found("  "))).toBe("VALIDATION");
		const long = "lighthouse ".repeat(2900);
		expect(await found(long)).toEqual(["a"]);
		expect(await codeOf(found("x".repeat(65_537)))).toBe("INPUT_LIMIT");
		expect(await found("'; DROP TABLE notes; \\ lighthouse:*&|!()")).toEqual([
			"a",
		]);
	});
});

describe("a prepared statement", () => {
	const prepared = async (kind = "hybrid") => {
		const [counted] = await rows<{ uses: number }>(
			`SELECT coalesce(sum(custom_plans + generic_plans), 0)::integer AS uses FROM pg_prepared_statements WHERE name LIKE 'rem_${kind}_%'`,
		);
		return counted?.uses;
	};
	const search = (options: Partial<Search>) =>
		found("wing flutter", { weights: {}, ...options });

	test("answers searches of tenants of the usual size, but none of one far larger", async () => {
		// Of its 2,000 tenants one has 3,000 rows: planned for another, its search would read them all.
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT CASE WHEN i <= 3000 THEN 'large' ELSE 't' || i END, 'n' || i, 'wing ' || i FROM generate_series(1, 5000) AS i`);
		await db.service.execute(`ANALYZE ${words}`);
		await db.service.execute("ANALYZE kv_store");
		forgetStatistics();
		const before = await prepared();
		expect(await search({ tenantId: "large" })).toHaveLength(10);
		expect(await prepared()).toBe(before);
		for (const tenantId of ["t3001", "t3002", "t3003"])
			expect(await search({ tenantId })).toHaveLength(1);
		expect(await prepared()).toBe((before ?? 0) + 3);
		await search({ tenantId: "t3001", where: { year: 1 } });
		await search({ tenantId: "t3001", limit: 101 });
		expect(await prepared()).toBe((before ?? 0) + 3);
	});

	test.runIf(engine === "server")(
		"has the plan for any values from the first search on, and no other statement has",
		async () => {
			await write({ n1: "a wing", n2: "a flutter" });
			const service = await PostgresService.connect({
				connectionString: db.url,
				models,
				poolSize: 1,
			});
			onTestFinished(() => service.close());
			const mode = async (handle: Pick<Handle, "query">) =>
				(
					await handle.query<{ mode: string }>({
						text: "SELECT current_setting('plan_cache_mode') AS mode WHERE $1",
						values: [true],
					})
				).rows[0]?.mode;
			const plansOf = async (kind: string) =>
				(
					await service.execute(
						`SELECT sum(custom_plans)::int AS custom, sum(generic_plans)::int AS generic FROM pg_prepared_statements WHERE name LIKE 'rem_${kind}_%'`,
					)
				).rows[0];
			const hybrid = (transaction?: Handle) =>
				service.hybridSearch({
					tableName: "notes",
					query: "wing flutter",
					tenantId: "t",
					...(transaction && { transaction }),
				});
			const first = await hybrid();
			expect(first).toHaveLength(2);
			expect(await hybrid()).toEqual(first);
			await service.fuzzySearch({ query: "n1", tenantId: "t" });
			expect(await plansOf("hybrid")).toEqual({ custom: 0, generic: 2 });
			expect(await plansOf("fuzzy")).toEqual({ custom: 0, generic: 1 });
			await hybrid();
			expect(await mode(coreOf(service, "t").db)).toBe("auto");
			await hybrid();
			await service.transaction(async (transaction) => {
				expect(await mode(transaction)).toBe("auto");
				expect(await hybrid(transaction)).toEqual(first);
				expect(await mode(transaction)).toBe("auto");
			});
			await hybrid();
			await service.vectorSearch({
				tableName: "notes",
				queryText: "wing",
				tenantId: "t",
			});
			expect(await plansOf("search")).toEqual({ custom: 1, generic: 0 });
		},
	);

	test.runIf(engine === "server")(
		"leaves the session as it was, whose next client another may be",
		async () => {
			const client = new pg.Client({
				connectionString: db.url,
				pipeline: true,
			} as pg.ClientConfig);
			await client.connect();
			onTestFinished(() => client.end());
			const mode = async () =>
				(await client.query("SHOW plan_cache_mode")).rows[0].plan_cache_mode;
			const text =
				"SELECT current_setting('plan_cache_mode') AS mode, $1::text AS value";
			const named = (name: string, value: string, plan?: "generic") =>
				send(client, { text, values: [value] }, { name, plan });
			for (const value of ["a", "b"]) {
				const { rows } = await named("generic", value, "generic");
				expect(rows).toEqual([{ mode: "force_generic_plan", value }]);
				expect(await mode()).toBe("auto");
			}
			// What follows in the same packet is planned as the session is.
			const [generic, own] = await Promise.all([
				named("generic", "c", "generic"),
				named("own", "d"),
			]);
			expect(generic.rows).toEqual([
				{ mode: "force_generic_plan", value: "c" },
			]);
			expect(own.rows).toEqual([{ mode: "auto", value: "d" }]);
			// A statement that fails leaves nothing either.
			const failing = { text: "SELECT 1 / $1::int AS ratio", values: [0] };
			await expect(
				send(client, failing, { name: "failing", plan: "generic" }),
			).rejects.toMatchObject({ sqlState: "22012" });
			expect(await mode()).toBe("auto");
			expect(
				(
					await send(
						client,
						{ ...failing, values: [1] },
						{ name: "failing", plan: "generic" },
					)
				).rows,
			).toEqual([{ ratio: 1 }]);
			const plans = await client.query(
				"SELECT name, custom_plans::int AS custom, generic_plans::int AS generic FROM pg_prepared_statements WHERE name IN ('generic', 'own') ORDER BY name",
			);
			expect(plans.rows).toEqual([
				{ name: "generic", custom: 0, generic: 3 },
				{ name: "own", custom: 1, generic: 0 },
			]);
		},
	);

	test("is decided for all tenants of a table at once", async () => {
		const { schema } = coreOf(db.service, "t").settings;
		const ref = ident(schema, "sizes");
		await db.service.execute(`CREATE TABLE ${toText(ref)} (tenant_id text);
INSERT INTO ${toText(ref)} SELECT CASE WHEN i <= 3000 THEN 'large' ELSE 't' || i % 100 END FROM generate_series(1, 5000) AS i;
ANALYZE ${toText(ref)}`);
		onTestFinished(async () => {
			await db.service.execute(`DROP TABLE ${toText(ref)}`);
		});
		const core = coreOf(db.service, "t");
		let statements = 0;
		const counted = {
			query: (...given: Parameters<Handle["query"]>) => {
				statements++;
				return core.db.query(...given);
			},
		} as Handle;
		const sizes = new UsualSizes();
		for (let at = 0; at < 100; at++)
			expect(await sizes.isUsual(counted, { ref, tenant: `t${at}` })).toBe(
				true,
			);
		expect(await sizes.isUsual(counted, { ref, tenant: "large" })).toBe(false);
		expect(await sizes.isUsual(counted, { ref, tenant: "unknown" })).toBe(true);
		expect(statements).toBe(3);
	});

	test("answers FUZZY in tenants of the usual size, but not in one far larger", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT CASE WHEN i <= 1500 THEN 'large' ELSE 't' || i END, 'lighthouse ' || i, 'a wing' FROM generate_series(1, 3000) AS i`);
		await db.service.execute("ANALYZE kv_store");
		forgetStatistics();
		const queries = { key: "lighthouse", content: "a wing" };
		const fuzzy = async (tenantId: string, mode: "key" | "content") =>
			(await db.service.fuzzySearch({ query: queries[mode], mode, tenantId }))
				.length;
		const kinds = ["fuzzy", "contents", "scored"];
		const before = await Promise.all(kinds.map(prepared));
		expect(await fuzzy("large", "key")).toBe(10);
		expect(await fuzzy("large", "content")).toBe(10);
		expect(await Promise.all(kinds.map(prepared))).toEqual(before);
		expect(await fuzzy("t2001", "key")).toBe(1);
		expect(await fuzzy("t2002", "key")).toBe(1);
		expect(await fuzzy("t2003", "content")).toBe(1);
		const after = await Promise.all(kinds.map(prepared));
		expect(after.map((uses, at) => (uses ?? 0) - (before[at] ?? 0))).toEqual([
			2, 1, 1,
		]);
	});

	test("answers every search where each tenant has many rows", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT 't' || i % 2, 'n' || i, 'wing ' || i FROM generate_series(1, 6000) AS i`);
		await db.service.execute(`ANALYZE ${words}`);
		await db.service.execute("ANALYZE kv_store");
		forgetStatistics();
		const before = (await prepared()) ?? 0;
		for (let at = 1; at <= 8; at++) {
			expect(await search({ tenantId: `t${at % 2}` })).toHaveLength(10);
			expect(await prepared()).toBe(before + at);
		}
	});
});

test("stored words are those that a query's text is made into, whatever the text", async () => {
	const texts = {
		plain:
			"The lighthouse-keeper's e-mail: a_b@example.org/path?x=1&y=2 <b>bold</b> 3.14",
		accents: "Ärger über crème brûlée — naïve façades",
		mixed: "長期記憶 of the ＷＩＤＥ letters and ภาษาไทย",
		long: `before ${"x".repeat(600)} after`,
		lines: "no\tspace\nin\tthis\ntext\n".repeat(30),
		edge: `${"a ".repeat(63)}b ${"c".repeat(255)} d`,
	};
	await write(texts);
	expect(
		await rows(`SELECT r.name, w.words = rem_words('english', r.name || ' ' || r.content, false) AS same
FROM notes AS r JOIN ${words} AS w ON w.entity_id = r.id ORDER BY r.name`),
	).toEqual(
		Object.keys(texts)
			.sort()
			.map((name) => ({ name, same: true })),
	);
});

test("each search reads a short list of new entries beside an index of words or names", async () => {
	await write({ n1: "lighthouse" });
	await db.service.indexer.repair({ missing: true });
	await db.service.indexer.drain();
	const gin = `SELECT c.relname AS name FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
WHERE a.amname = 'gin' AND (c.relname ~ '^kv_store|notes') IS TRUE`;
	expect(await rows(gin)).not.toEqual([]);
	expect(
		await rows(
			`${gin} AND NOT coalesce('gin_pending_list_limit=256' = ANY (c.reloptions), false)`,
		),
	).toEqual([]);
	expect(await db.service.indexer.repair()).toEqual([]);
});

describe("rows that were there before their words", () => {
	async function forgetWords() {
		await db.service.execute(`DELETE FROM ${words}`);
		await db.service.execute(
			"UPDATE rem_word_sources SET is_filled = false, filled_to = NULL",
		);
		forgetStatistics();
	}

	test("are found before, while and after the indexer gets to them", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT 't', 'n' || n, 'lighthouse ' || n FROM generate_series(1, 450) AS n`);
		await forgetWords();
		expect(await found("lighthouse 317")).toContain("n317");
		await write({ late: "lighthouse windmill" });
		expect(await found("windmill")).toEqual(["late"]);
		// A process that died after the first batch.
		await db.service.execute(`INSERT INTO ${words}
SELECT id, tenant_id, user_id, (SELECT version FROM rem_word_sources), 2, NULL, rem_words('english', name || ' ' || content, false)
FROM notes ORDER BY id LIMIT 200 ON CONFLICT DO NOTHING`);
		await db.service.execute(
			"UPDATE rem_word_sources SET filled_to = (SELECT id FROM notes ORDER BY id OFFSET 199 LIMIT 1)",
		);
		expect(await found("lighthouse 317")).toContain("n317");
		expect(await found("lighthouse 7")).toContain("n7");
		await db.service.indexer.drain();
		forgetStatistics();
		expect(await rows("SELECT is_filled FROM rem_word_sources")).toEqual([
			{ is_filled: true },
		]);
		expect(await rows(`SELECT count(*)::integer AS n FROM ${words}`)).toEqual([
			{ n: 451 },
		]);
		expect(await found("lighthouse 317")).toContain("n317");
	});

	test("in a tenant with many of them are left out, and the result is marked", async () => {
		await db.service.execute(`INSERT INTO notes (tenant_id, name, content)
SELECT 't', 'n' || n, 'lighthouse ' || n FROM generate_series(1, 5100) AS n`);
		const search = () =>
			db.service.hybridSearch({
				tableName: "notes",
				tenantId: "t",
				query: "lighthouse 317",
				weights: { vector: 0, name: 0 },
			});
		forgetStatistics();
		expect((await search()).partialWords).toBeUndefined();
		// Words in another way: those of the first rows are the former ones, the others have none.
		await db.service.execute(
			"UPDATE rem_word_sources SET is_filled = false, filled_to = NULL, version = version + 1",
		);
		await db.service.execute(
			`DELETE FROM ${words} WHERE entity_id IN (SELECT id FROM notes WHERE substr(name, 2)::integer > 400)`,
		);
		forgetStatistics();
		const some = await search();
		expect(some.partialWords).toBe(true);
		expect(some[0]?.name).toBe("n317");
		const names = (await found("lighthouse 4321")).map((name) => name);
		expect(names).not.toContain("n4321");
		await db.service.indexer.drain();
		forgetStatistics();
		const all = await search();
		expect(all.partialWords).toBeUndefined();
		expect(await found("lighthouse 4321")).toContain("n4321");
	});

	test("get their table by a migration that drops the earlier index", async () => {
		await write({ a: "a lighthouse" });
		await db.service.execute(`DROP TABLE ${words};
DROP FUNCTION fn_notes_words() CASCADE;
DELETE FROM rem_word_sources;
CREATE INDEX gin_notes__words__english__name__content ON notes USING gin (tenant_id, to_tsvector('english', content))`);
		await db.service.execute(
			"DELETE FROM rem_migrations WHERE name = 'entity:notes'",
		);
		await db.service.migrate();
		forgetStatistics();
		expect(await found("lighthouse")).toEqual(["a"]);
		expect(
			await rows(
				"SELECT FROM pg_class WHERE relname LIKE 'gin_notes\\_\\_words%'",
			),
		).toEqual([]);
		await db.service.indexer.drain();
		expect(await rows(`SELECT FROM ${words}`)).toHaveLength(1);
		await write({ b: "a windmill" });
		expect(await rows(`SELECT FROM ${words}`)).toHaveLength(2);
	});

	// The embedded database has one opener.
	test.runIf(engine === "server")(
		"are made again in another language",
		async () => {
			await write({ a: "die schönen Häuser" });
			const german = await PostgresService.connect({
				connectionString: db.url,
				models,
				language: "german",
				backgroundIndex: { enabled: false },
			});
			try {
				await german.migrate();
				expect(await found("Haus", {}, german as never)).toEqual(["a"]);
				await german.indexer.drain();
				forgetStatistics(german);
				expect(await found("Haus", {}, german as never)).toEqual(["a"]);
			} finally {
				await german.close();
				await db.service.migrate();
				await db.service.indexer.drain();
			}
		},
	);
});

describe.runIf(engine === "server")("with row level security", () => {
	test("words are read by their tenant and written by no application", async () => {
		const account = await login(db as never, models, "rem_app");
		const app = await PostgresService.connect({
			connectionString: account.url,
			models,
			poolSize: 1,
			rowLevelSecurity: true,
			backgroundIndex: { enabled: false },
		} as never);
		try {
			await app.batchUpsert({
				tableName: "notes",
				entities: [{ name: "mine", content: "a lighthouse" }],
				tenantId: "t",
			} as never);
			await write({ theirs: "a lighthouse" }, "other");
			expect(await found("lighthouse", {}, app as never)).toEqual(["mine"]);
			const ownRows = app as never as Pick<typeof db.service, "hybridSearch">;
			const { explain } = await ownRows.hybridSearch({
				tableName: "notes",
				query: "mine",
				tenantId: "t",
				explain: true,
			});
			const keys = Object.entries(explain.lists ?? {}).map(
				([list, { candidates }]) => [
					list,
					candidates.map(({ entityKey }) => entityKey),
				],
			);
			expect(Object.fromEntries(keys)).toEqual({
				vector: ["mine"],
				text: ["mine"],
				name: ["mine"],
			});
			expect(
				await codeOf(
					app.transaction(
						(tx) =>
							tx.query({
								parts: [`DELETE FROM ${words}`],
								values: [],
							} as never),
						{
							tenantId: "t",
						} as never,
					),
				),
			).not.toBe("no error");
		} finally {
			await app.close();
			await account.drop();
		}
	});
});
