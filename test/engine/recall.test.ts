import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type PostgresService } from "../../src/index.ts";
import {
	codeOf,
	createDatabase,
	engine,
	useService,
} from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
const Person = defineEntity(
	"people",
	{ name: z.string(), role: z.string(), age: z.number().int().optional() },
	{ entityKeyField: "name" },
);
const Log = defineEntity(
	"logs",
	{ content: z.string() },
	{ entityKeyField: null },
);
const models = [Note, Person, Log] as const;
const db = useService({ models });
const tenantId = "acme";

const long = Array.from(
	{ length: 400 },
	(_, at) => `Paragraph ${at} is about gardens, ponds and paths.`,
);
long[250] = "Only here the zeppelin lands beside the orchid house.";

beforeAll(async () => {
	const { service } = db;
	await service.batchUpsert({
		tableName: "notes",
		tenantId,
		entities: [
			{
				name: "payments-migration",
				content: "The payments migration moves invoices to the new ledger.",
				graphEdges: [
					{ dst: "Sarah Chen", rel_type: "managed_by" },
					{ dst: "ledger design", rel_type: "depends_on" },
					{ dst: "nothing-of-that-name", rel_type: "cites" },
					{ dst: "rival plans", rel_type: "cites" },
					{ dst: "private diary", rel_type: "cites" },
					{ dst: "dropped idea", rel_type: "cites" },
				],
			},
			{ name: "ledger design", content: "Double entry, one row per booking." },
			{ name: "kubernetes guide", content: "How to deploy to the cluster." },
			{ name: "garden book", content: long.join("\n\n") },
			{ name: "dropped idea", content: "An idea that was dropped." },
			{ name: "長期記憶システム", content: "会話の内容を保存する。" },
			{ name: "7", content: "Seven is a number." },
		],
	});
	await service.batchUpsert({
		tableName: "notes",
		tenantId,
		userId: "eve",
		entities: [{ name: "private diary", content: "Payments that eve made." }],
	});
	await service.batchUpsert({
		tableName: "notes",
		tenantId: "rival",
		entities: [
			{ name: "rival plans", content: "Payments migration of a rival." },
		],
	});
	await service.batchUpsert({
		tableName: "people",
		tenantId,
		entities: [
			{ name: "Sarah Chen", role: "engineer", age: 40 },
			{ name: "Chen", role: "cook" },
		],
	});
	await service.batchUpsert({
		tableName: "logs",
		tenantId,
		entities: [
			{
				content: "The kitchen light was switched on.",
				graphEdges: [{ dst: "Chen", rel_type: "switched_by" }],
			},
		],
	});
	const [dropped] = await service
		.repository(Note)
		.find({ tenantId, name: "dropped idea" });
	await service.repository(Note).delete(dropped?.id as string, tenantId);
});

type Answer = Awaited<ReturnType<PostgresService<typeof models>["recall"]>>;
const names = ({ items }: Answer) =>
	items.map(({ entityKey, entityType }) => `${entityType}/${entityKey}`);
const stepsOf = ({ items }: Answer, key: string | null) =>
	items
		.find(({ entityKey }) => entityKey === key)
		?.reasons.map(({ step }) => step);

const shared = { tenantId, userId: null } as const;

describe("recall", () => {
	test("finds what the query names, in any spelling, and says which words named it", async () => {
		const found = await db.service.recall({
			query: "What does sarah-chen think of the weather?",
			...shared,
		});
		expect(names(found)[0]).toBe("people/Sarah Chen");
		expect(found.items[0]?.reasons[0]).toEqual({
			step: "lookup",
			rank: 1,
			via: "sarah-chen",
		});
		// "chen" within the longer name is not the cook.
		expect(
			stepsOf(
				await db.service.recall({ query: "Ask Sarah Chen", ...shared }),
				"Chen",
			),
		).toEqual(["edge"]);
	});

	test("takes no number and no stop word for a name", async () => {
		const found = await db.service.recall({
			query: "the flow at mach 7 and the",
			...shared,
			explain: true,
		});
		expect(stepsOf(found, "7") ?? []).not.toContain("lookup");
		expect(found.explain.names).not.toContain("7");
		expect(found.explain.names).not.toContain("the");
		const whole = await db.service.recall({ query: "7", ...shared });
		expect(stepsOf(whole, "7")).toContain("lookup");
	});

	test("finds a name in a text without spaces", async () => {
		const found = await db.service.recall({
			query: "昨日の長期記憶システムについて教えて",
			...shared,
		});
		expect(names(found)[0]).toBe("notes/長期記憶システム");
		expect(stepsOf(found, "長期記憶システム")).toContain("lookup");
	});

	test("finds a misspelt name", async () => {
		const found = await db.service.recall({
			query: "What is the age of Sara Chenn?",
			...shared,
		});
		expect(stepsOf(found, "Sarah Chen")).toContain("fuzzy");
		expect(stepsOf(found, "Sarah Chen")).not.toContain("lookup");
	});

	test("finds by meaning and by words in every table with embeddings", async () => {
		const found = await db.service.recall({
			query: "who switched the kitchen light on",
			...shared,
		});
		const [first] = found.items;
		expect(first).toMatchObject({
			entityType: "logs",
			entityKey: null,
			text: "The kitchen light was switched on.",
			isWhole: true,
		});
		expect(first?.reasons.map(({ step }) => step).sort()).toEqual([
			"text",
			"vector",
		]);
		// Of an entity without a key, too.
		expect(stepsOf(found, "Chen")).toEqual(["edge"]);
	});

	test("follows the edges of the best hits, and never to what the scope does not see", async () => {
		const found = await db.service.recall({
			query: "who manages the payments migration",
			...shared,
		});
		expect(names(found)[0]).toBe("notes/payments-migration");
		const chen = found.items.find(
			({ entityKey }) => entityKey === "Sarah Chen",
		);
		expect(chen?.reasons).toEqual([
			{
				step: "edge",
				rank: 1,
				via: "payments-migration",
				from: {
					entityType: "notes",
					entityId: found.items[0]?.entityId,
				},
				relType: "managed_by",
			},
		]);
		expect(chen?.text).toBe("Sarah Chen\nrole: engineer\nage: 40");
		for (const hidden of ["rival plans", "private diary", "dropped idea"])
			expect(names(found)).not.toContain(`notes/${hidden}`);
		const own = await db.service.recall({
			query: "who manages the payments migration",
			tenantId,
			userId: "eve",
		});
		expect(stepsOf(own, "private diary")).toContain("edge");
	});

	test("returns each entity once", async () => {
		const found = await db.service.recall({
			query: "payments-migration ledger design migration",
			...shared,
			limit: 50,
		});
		const ids = found.items.map(({ entityId }) => entityId);
		expect(new Set(ids).size).toBe(ids.length);
		expect(stepsOf(found, "ledger design")).toEqual(
			expect.arrayContaining(["lookup", "edge", "vector"]),
		);
	});

	test("returns entities of the given tables only", async () => {
		const found = await db.service.recall({
			query: "who manages the payments migration",
			...shared,
			tables: ["people", "logs"],
		});
		const types = new Set(found.items.map(({ entityType }) => entityType));
		expect([...types].sort()).toEqual(["logs", "people"]);
		const people = await db.service.recall({
			query: "Sarah Chen",
			...shared,
			tables: ["people"],
		});
		expect(names(people)[0]).toBe("people/Sarah Chen");
		expect(
			await codeOf(
				db.service.recall({
					query: "a",
					tenantId,
					tables: ["nowhere" as never],
				}),
			),
		).toBe("UNKNOWN_ENTITY");
		expect(
			await codeOf(db.service.recall({ query: "a", tenantId, tables: [] })),
		).toBe("VALIDATION");
	});

	test("keeps to the budget, the first item too, with the passage that fits the query", async () => {
		for (const maxTokens of [1, 5, 20, 60, 200, 1000, 4000]) {
			const found = await db.service.recall({
				query: "where does the zeppelin land",
				...shared,
				maxTokens,
			});
			expect(found.tokens).toBeLessThanOrEqual(maxTokens);
			expect(found.tokens).toBe(
				found.items.reduce((sum, { tokens }) => sum + tokens, 0),
			);
			const more = await db.service.recall({
				query: "where does the zeppelin land",
				...shared,
				maxTokens: 1_000_000,
			});
			expect(found.items.length + found.omitted).toBe(more.items.length);
		}
		const { items } = await db.service.recall({
			query: "where does the zeppelin land",
			...shared,
			maxTokens: 60,
			limit: 1,
		});
		expect(items[0]?.entityKey).toBe("garden book");
		expect(items[0]?.isWhole).toBe(false);
		expect(items[0]?.text).toMatch(/^garden book\n[\s\S]*zeppelin/);
		expect(
			await db.service.recall({ query: "zeppelin", ...shared, maxTokens: 1 }),
		).toMatchObject({ items: [], tokens: 0 });
	});

	test("returns as many items as the tokens have room for where they alone are given", async () => {
		const { service } = db;
		const many = { tenantId: "many", userId: null } as const;
		await service.batchUpsert({
			tableName: "logs",
			...many,
			entities: Array.from({ length: 60 }, (_, at) => ({
				content: `The lighthouse keeper wrote entry ${at}.`,
			})),
		});
		const query = "lighthouse keeper";
		const usual = await service.recall({ query, ...many });
		expect(usual.items).toHaveLength(10);
		const all = await service.recall({ query, ...many, maxTokens: 4000 });
		expect(all.items).toHaveLength(60);
		expect(all.omitted).toBe(0);
		const some = await service.scope(many).recall({ query, maxTokens: 400 });
		expect(some.items.length).toBeGreaterThan(10);
		expect(some.tokens).toBeLessThanOrEqual(400);
		expect(some.items.length + some.omitted).toBe(20);
		const limited = await service.recall({
			query,
			...many,
			limit: 3,
			maxTokens: 4000,
		});
		expect(limited.items).toHaveLength(3);
		const scope = service.scope(many);
		const asked = await scope.query(`RECALL "${query}" MAX TOKENS 4000`);
		expect("rows" in asked && asked.rows).toHaveLength(60);
		const both = await scope.query(`RECALL "${query}" LIMIT 4 MAX TOKENS 4000`);
		expect("rows" in both && both.rows).toHaveLength(4);
	});

	test("returns what was written since a time", async () => {
		const { service } = db;
		const own = { tenantId: "times", userId: null } as const;
		await service.batchUpsert({
			tableName: "notes",
			...own,
			entities: [
				{ name: "old", content: "apples and pears" },
				{ name: "older", content: "apples", graphEdges: [] },
			],
		});
		const rows = await service.repository(Note).find({ tenantId: "times" });
		const since = new Date(
			Math.max(...rows.map(({ updatedAt }) => updatedAt.getTime())) + 1,
		);
		await service.batchUpsert({
			tableName: "notes",
			...own,
			entities: [
				{
					name: "new",
					content: "apples of this year",
					updatedAt: since,
					graphEdges: [{ dst: "old", rel_type: "follows" }],
				},
			],
		});
		const found = await service.recall({
			query: "apples old older new",
			...own,
			since,
		});
		expect(names(found)).toEqual(["notes/new"]);
		const all = await service.recall({ query: "apples old older new", ...own });
		expect(names(all).sort()).toEqual([
			"notes/new",
			"notes/old",
			"notes/older",
		]);
	});

	test("gives the same answer to the same data", async () => {
		const ask = () =>
			db.service.recall({
				query: "payments of Sarah Chen and Chen",
				...shared,
			});
		const first = await ask();
		for (let run = 0; run < 5; run++) expect(await ask()).toEqual(first);
	});

	test("takes a vector in place of the provider's", async () => {
		const [queryEmbedding] = await db.service.embeddings.generateBatch([
			"The kitchen light was switched on.",
		]);
		const found = await db.service.recall({
			query: "unrelated",
			queryEmbedding: queryEmbedding as Float32Array,
			...shared,
		});
		expect(names(found)[0]).toBe("logs/null");
	});

	test("explains what was looked for", async () => {
		const { explain } = await db.service.recall({
			query: "Ask Sarah Chen of the Zepelin Hause",
			...shared,
			explain: true,
		});
		expect(explain.names).toContain("Sarah Chen");
		expect(explain.fuzzyNames).toEqual(["Zepelin Hause"]);
		expect(Object.keys(explain.tables).sort()).toEqual(["logs", "notes"]);
		expect(
			explain.tables.notes?.lists?.vector?.candidates.length,
		).toBeGreaterThan(0);
		const { weights, lists } = explain.tables.notes ?? {};
		expect(weights).toMatchObject({ text: 1, name: 0.5 });
		// Of the words of the query the offline model knows a part.
		expect(weights?.vector).toBeGreaterThanOrEqual(0.05);
		expect(weights?.vector).toBeLessThan(0.25);
		expect(lists?.vector?.weight).toBe(weights?.vector);
		expect(Object.keys(explain.timing)).toEqual([
			"namesMs",
			"searchMs",
			"edgesMs",
			"totalMs",
		]);
		expect(
			"explain" in (await db.service.recall({ query: "a", ...shared })),
		).toBe(false);
	});

	test("explains which entities names and edges led to, also of those that it leaves out", async () => {
		const { items, explain } = await db.service.recall({
			query: "the payments-migration of Sarah Chenn",
			...shared,
			limit: 1,
			explain: true,
		});
		expect(items).toHaveLength(1);
		const led = explain.candidates.map(({ entityKey, reason, value }) => [
			reason.step,
			reason.rank,
			entityKey,
			value,
		]);
		expect(led).toEqual([
			["lookup", 1, "payments-migration", 1.1],
			["fuzzy", 1, "Sarah Chen", expect.closeTo(0.769, 3)],
			["edge", 1, "Sarah Chen", expect.any(Number)],
			["edge", 2, "ledger design", expect.any(Number)],
		]);
	});

	test("refuses what cannot be asked", async () => {
		const { service } = db;
		const code = (options: object) =>
			codeOf(service.recall({ query: "a", tenantId, ...options } as never));
		expect(await code({ query: "" })).toBe("VALIDATION");
		expect(await code({ query: " \n" })).toBe("VALIDATION");
		expect(await code({ query: "a\0b" })).toBe("VALIDATION");
		expect(await code({ query: "x".repeat(65_537) })).toBe("INPUT_LIMIT");
		expect(await code({ limit: 0 })).toBe("INPUT_LIMIT");
		expect(await code({ limit: 201 })).toBe("INPUT_LIMIT");
		expect(await code({ maxTokens: 0 })).toBe("INPUT_LIMIT");
		expect(await code({ maxTokens: 1.5 })).toBe("INPUT_LIMIT");
		expect(await code({ since: new Date("x") })).toBe("VALIDATION");
		expect(await code({ since: "2026-01-01" })).toBe("VALIDATION");
		expect(await code({ queryEmbedding: [1, 2] })).toBe("DIMENSION_MISMATCH");
	});

	test("answers a query of 64 KiB, one of stop words alone and one of marks alone", async () => {
		for (const query of [
			"payments migration ".repeat(3400),
			"x".repeat(65_536),
			"記".repeat(65_536),
			"ก".repeat(65_536),
			"😀".repeat(32_768),
			"a-b_".repeat(16_384),
			"\u0301".repeat(65_536),
			'"'.repeat(65_536),
			"the of and to",
			"??? !!!",
		]) {
			const found = await db.service.recall({ query, ...shared, limit: 3 });
			expect(found.items.length).toBeLessThanOrEqual(3);
		}
	});

	test("finds nothing in a tenant without rows, and asks no provider there", async () => {
		expect(
			await db.service.recall({ query: "payments", tenantId: "nobody's" }),
		).toEqual({ items: [], omitted: 0, tokens: 0 });
	});

	test("reads only: inside a transaction that allows nothing else", async () => {
		const found = await db.service.transaction(
			(transaction) =>
				db.service.recall({
					query: "Sara Chenn payments",
					...shared,
					transaction,
				}),
			{ readOnly: true },
		);
		expect(found).toEqual(
			await db.service.recall({ query: "Sara Chenn payments", ...shared }),
		);
	});

	test("sees what its transaction wrote", async () => {
		const rolledBack = new Error("rolled back");
		await expect(
			db.service.transaction(async (transaction) => {
				await db.service.batchUpsert({
					tableName: "notes",
					tenantId,
					transaction,
					entities: [{ name: "unwritten", content: "quokka" }],
				});
				const found = await db.service.recall({
					query: "quokka",
					...shared,
					transaction,
				});
				expect(names(found)[0]).toBe("notes/unwritten");
				throw rolledBack;
			}),
		).rejects.toBe(rolledBack);
	});

	test("finds the same while the cache is rebuilt", async () => {
		const ask = (query: string) => db.service.recall({ query, ...shared });
		const queries = [
			"what does Sarah Chen think of the payments migration",
			"Sara Chenn",
			"昨日の長期記憶システムについて教えて",
		];
		const before = [];
		for (const query of queries) before.push(await ask(query));
		for (const [at, query] of queries.entries()) {
			await db.service.execute("TRUNCATE kv_store");
			expect(await ask(query)).toEqual(before[at]);
			await db.service.kv.ensureReady();
		}
	});

	test("stops when its signal is aborted", async () => {
		const stopped = { query: "payments", ...shared };
		expect(
			await codeOf(
				db.service.recall({ ...stopped, signal: AbortSignal.abort() }),
			),
		).toBe("CANCELLED");
		const controller = new AbortController();
		const call = codeOf(
			db.service.recall({ ...stopped, signal: controller.signal }),
		);
		controller.abort();
		expect(await call).toBe("CANCELLED");
	});

	test("is bound by a scope, and part of the dialect", async () => {
		const scope = db.service.scope(shared);
		const query = "who manages the payments migration";
		const found = await db.service.recall({ query, ...shared, limit: 3 });
		expect(await scope.recall({ query, limit: 3 })).toEqual(found);
		const { items: rows, ...rest } = found;
		expect(await scope.query(`RECALL "${query}" LIMIT 3`)).toEqual({
			kind: "recall",
			rows,
			...rest,
		});
		const some = await scope.query(
			`recall ${query} IN people, logs LIMIT 5 MAX TOKENS 100`,
		);
		expect(some).toMatchObject({ kind: "recall" });
		const explained = await scope.query(`EXPLAIN RECALL "${query}"`);
		expect(explained).toMatchObject({
			kind: "explain",
			query: { kind: "recall", query, limit: 10, maxTokens: 4000 },
		});
	});
});

test("recall without a provider is PROVIDER_NOT_CONFIGURED on a server, and works with a vector", async () => {
	if (engine === "embedded") return;
	const { PostgresService } = await import("../../src/index.ts");
	const database = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: database.url,
		models,
		embedding: { provider: "openai" },
	});
	try {
		await service.migrate();
		const vector = new Float32Array(1536).fill(1);
		await service.batchUpsert({
			tableName: "notes",
			tenantId,
			generateEmbeddings: false,
			entities: [{ name: "a", content: "text", vectors: { content: vector } }],
		});
		const call = { query: "text", tenantId };
		expect(await codeOf(service.recall(call))).toBe("PROVIDER_NOT_CONFIGURED");
		const found = await service.recall({ ...call, queryEmbedding: vector });
		expect(found.items.map(({ entityKey }) => entityKey)).toEqual(["a"]);
	} finally {
		await service.close();
		await database.drop();
	}
});
