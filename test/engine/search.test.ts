import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type EmbeddingProvider,
	PostgresService,
} from "../../src/index.ts";
import { hnswIndex } from "../../src/schema/index-types/hnsw.ts";
import { createIndex } from "../../src/schema/indexes.ts";
import { toText } from "../../src/sql.ts";
import { codeOf, coresOf, engine, useService } from "../support/engine.ts";

const dimensions = 24;
const space = { provider: "local", model: "lexical-v1", dimensions };
const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Page],
	embedding: { provider: "local", dimensions },
	backgroundIndex: { enabled: false },
});

// In one bucket of three: a connection has as many statements as without.
const large = "large";
const small = "few";

beforeAll(async () => {
	const pages = (count: number, of: string) =>
		Array.from({ length: count }, (_, at) => ({
			name: `${of} ${at}`,
			content: `page ${at} about ${["rivers", "stones", "birds"][at % 3]} ${at % 7}`,
		}));
	for (const [tenantId, count] of [
		[large, 600],
		[small, 5],
	] as const)
		await db.service.batchUpsert({
			tableName: "pages",
			entities: pages(count, tenantId),
			tenantId,
		});
	await db.service.execute("ANALYZE");
});

async function buildIndex(options: { quantized?: boolean } = {}) {
	const names: string[] = [];
	for (const { registry, settings } of coresOf(db.service)) {
		const table = registry.get("pages");
		const index = hnswIndex(table, Page.embedFields[0] as never, space, {
			m: 16,
			efConstruction: 64,
			...options,
		});
		await db.service.execute(toText(createIndex(settings.schema, index)));
		names.push(index.name);
	}
	forgetStatistics();
	return names[0] as string;
}

function forgetStatistics(): void {
	for (const { vectorStatistics } of coresOf(db.service))
		vectorStatistics.forget();
}

type Options = Partial<Parameters<typeof db.service.vectorSearch<"pages">>[0]>;
const search = (options: Options = {}) =>
	db.service.vectorSearch({
		tableName: "pages",
		queryText: "page about birds 3",
		fieldName: "content",
		tenantId: large,
		// At the usual 100 an index pays from 3,000 vectors on: too many to build here.
		efSearch: 16,
		...options,
		explain: true,
	});
const planOf = async (options?: Options) =>
	(await search(options)).explain.fields.map(({ plan }) => plan);

describe("how a search is made", () => {
	test("without an index it is exact, whatever the mode", async () => {
		for (const mode of ["auto", "exact", "approximate"] as const) {
			const hits = await search({ mode });
			expect(hits).toHaveLength(10);
			expect(hits.explain).toMatchObject({
				isExact: true,
				statements: 1,
				fields: [{ field: "content", plan: "exact", vectors: 600 }],
			});
		}
	});

	test("an index that the background indexer has built is used by the next search", async () => {
		expect(await planOf()).toEqual(["exact"]);
		const built = await db.service.indexer.repair({ missing: true });
		await db.service.indexer.drain();
		expect(await planOf()).toEqual(["hnsw"]);
		for (const name of built) {
			const quoted = name.split(".").map((part) => `"${part}"`);
			await db.service.execute(`DROP INDEX ${quoted.join(".")}`);
		}
		forgetStatistics();
	});

	test("an invalid index is none", async () => {
		const name = await buildIndex();
		expect(await planOf({ mode: "approximate" })).toEqual(["hnsw"]);
		await db.service.execute(
			`UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = '${name}'::regclass`,
		);
		forgetStatistics();
		expect(await planOf({ mode: "approximate" })).toEqual(["exact"]);
		expect(await search()).toHaveLength(10);
		await db.service.execute(`DROP INDEX "${name}"`);
	});

	test("with an index a large tenant uses it, a small one does not", async () => {
		const name = await buildIndex();
		expect(await planOf()).toEqual(["hnsw"]);
		expect(await planOf({ tenantId: small })).toEqual(["exact"]);
		expect(await planOf({ mode: "exact" })).toEqual(["exact"]);
		// So few and short vectors PostgreSQL would rather sort.
		const hits = await db.service.transaction(async (transaction) => {
			await transaction.script(
				"SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off",
			);
			return search({ transaction });
		});
		expect(hits.explain.isExact).toBe(false);
		expect(hits.explain.databasePlan).toContain(name);
		expect(hits.explain.sql).toContain("set_config");
		const { timing } = hits.explain;
		for (const ms of Object.values(timing))
			expect(ms).toBeGreaterThanOrEqual(0);
	});

	test("an index that gives too few rows is replaced by an exact scan", async () => {
		await buildIndex();
		const hits = await search({ tenantId: small, mode: "approximate" });
		expect(hits).toHaveLength(5);
		expect(hits.explain).toMatchObject({ isExact: true, statements: 2 });
	});

	test("wrong statistics cost time and no row", async () => {
		await buildIndex();
		expect(await planOf()).toEqual(["hnsw"]);
		const rolledBack = new Error("enough");
		const emptied = db.service.transaction(async (transaction) => {
			await transaction.script(
				"DELETE FROM pages WHERE tenant_id = 'large' AND name NOT LIKE 'large 59%'",
			);
			const hits = await search({ transaction, limit: 100 });
			expect(hits).toHaveLength(11);
			expect(hits.explain.isExact).toBe(true);
			throw rolledBack;
		});
		await expect(emptied).rejects.toBe(rolledBack);
	});

	test("a filter that few rows fulfil finds them all the same", async () => {
		await buildIndex();
		const where = { name: { in: ["large 7", "large 8", "large 240"] } };
		for (const mode of ["auto", "approximate"] as const) {
			const hits = await search({ where, mode });
			expect(hits.map(({ name }) => name).sort()).toEqual(
				where.name.in.toSorted(),
			);
		}
	});

	test("what it sets is gone with it, also inside a transaction", async () => {
		await buildIndex();
		const settings = async (query: typeof db.service.core.db.query) =>
			(
				await query({
					text: "SELECT current_setting('hnsw.ef_search') AS ef, current_setting('hnsw.iterative_scan') AS scan, current_setting('pg_trgm.similarity_threshold') AS trgm",
					values: [],
				})
			).rows;
		await db.service.transaction(async (tx) => {
			await tx.script(
				"SET LOCAL hnsw.ef_search = 77; SET LOCAL pg_trgm.similarity_threshold = 0.9",
			);
			const before = await settings(tx.query.bind(tx));
			expect((await search({ transaction: tx })).explain.isExact).toBe(false);
			await db.service.hybridSearch({
				tableName: "pages",
				query: "large 12",
				tenantId: large,
				transaction: tx,
			});
			expect(await settings(tx.query.bind(tx))).toEqual(before);
		});
	});

	test("efSearch is taken as it is", async () => {
		await buildIndex();
		const hits = await search({ efSearch: 17, mode: "approximate" });
		expect(hits.explain.fields).toEqual([
			{ field: "content", plan: "hnsw", vectors: 600, efSearch: 17 },
		]);
	});

	test("quantized ranks again what the bits have found", async () => {
		await buildIndex({ quantized: true });
		const exact = await search({ mode: "exact", limit: 600 });
		const hits = await search({ quantized: true });
		expect(hits.explain.fields[0]?.plan).toBe("quantized");
		expect(hits).toHaveLength(10);
		const similarities = hits.map(({ similarity }) => similarity);
		expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
		const exactly = new Map(
			exact.map(({ id, similarity }) => [id, similarity]),
		);
		for (const { id, similarity } of hits)
			expect(similarity).toBeCloseTo(exactly.get(id) ?? Number.NaN, 6);
	});

	test.each<[string, Options, string]>([
		["an unknown mode", { mode: "fast" as never }, "VALIDATION"],
		["efSearch 0", { efSearch: 0 }, "INPUT_LIMIT"],
		["efSearch 1001", { efSearch: 1001 }, "INPUT_LIMIT"],
	])("refuses %s", async (_, options, code) => {
		expect(await codeOf(search(options))).toBe(code);
	});

	test("explain stays out of the hits", async () => {
		const hits = await search({ limit: 1 });
		expect(JSON.parse(JSON.stringify(hits))).toHaveLength(1);
		expect(Object.keys(hits)).toEqual(["0"]);
		const plain = await db.service.vectorSearch({
			tableName: "pages",
			queryText: "x",
			tenantId: large,
		});
		expect("explain" in plain).toBe(false);
	});
});

describe("a text in passages", () => {
	const tenantId = "passages";
	const content = "The river is wide. 🐦 birds sing here. Stones are old.";

	beforeAll(async () => {
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [
				{ name: "long", content },
				...["a", "b", "c"].map((name) => ({
					name,
					content: `something else ${name}`,
				})),
			],
			tenantId,
		});
		// As a text longer than its model takes is stored.
		const passages = content.split(/(?<=\.) /);
		const vectors = await db.service.embeddings.generateBatch(passages);
		const { rows } = await db.service.execute<{ id: string }>(
			"DELETE FROM embeddings_pages AS e USING pages AS p WHERE p.id = e.entity_id AND p.tenant_id = $1 AND p.name = 'long' RETURNING p.id",
			[tenantId],
		);
		let start = 0;
		for (const [chunk, passage] of passages.entries()) {
			const length = [...passage].length;
			await db.service.execute(
				"INSERT INTO embeddings_pages (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, chunk, chunk_start, chunk_end, embedding) VALUES ($1, $2, 'content', 'local', 'lexical-v1', $3, '', $4, $5, $6, $7::text::vector)",
				[
					rows[0]?.id as string,
					tenantId,
					dimensions,
					chunk,
					start,
					start + length,
					`[${(vectors[chunk] as Float32Array).join(",")}]`,
				],
			);
			start += length + 1;
		}
	});

	test("comes once, with the passage that was nearest", async () => {
		for (const fieldName of ["content", undefined] as const)
			for (const limit of [1, 2, 4, 10]) {
				const hits = await db.service.vectorSearch({
					tableName: "pages",
					queryText: "where birds sing",
					tenantId,
					limit,
					...(fieldName === undefined ? {} : { fieldName }),
				});
				expect(hits).toHaveLength(Math.min(limit, 4));
				expect(new Set(hits.map(({ id }) => id)).size).toBe(hits.length);
				expect(hits[0]).toMatchObject({
					name: "long",
					matchedText: "🐦 birds sing here.",
				});
				for (const hit of hits.slice(1))
					expect(hit).not.toHaveProperty("matchedText");
			}
	});

	test("a hybrid search names the passage too", async () => {
		const [hit] = await db.service.hybridSearch({
			tableName: "pages",
			query: "birds sing",
			tenantId,
		});
		expect(hit).toMatchObject({
			name: "long",
			matchedText: "🐦 birds sing here.",
			ranks: { vector: 1, text: 1 },
		});
	});
});

describe("hybrid", () => {
	const tenantId = "hybrid";
	const hybrid = (
		options: Partial<
			Parameters<typeof db.service.hybridSearch<"pages">>[0]
		> = {},
	) =>
		db.service.hybridSearch({
			tableName: "pages",
			query: "quantum flux",
			tenantId,
			...options,
		});

	beforeAll(() =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [
				{ name: "quantum flux", content: "nothing of it inside" },
				{ name: "other", content: "the quantum and the flux of things" },
				{ name: "third", content: "fluxes" },
				{ name: "fourth", content: "gardens in spring" },
			],
			tenantId,
		}),
	);

	test("a name that is nearly the query comes by its trigrams", async () => {
		const [hit] = await hybrid({ query: "quantm flx" });
		expect(hit).toMatchObject({ name: "quantum flux", ranks: { trigram: 1 } });
	});

	test("the language decides which words are the same", async () => {
		const ranked = async (language: string) =>
			(await hybrid({ query: "flux", language }))
				.filter(({ ranks }) => ranks.text !== undefined)
				.map(({ name }) => name)
				.sort();
		expect(await ranked("english")).toEqual(["other", "quantum flux", "third"]);
		expect(await ranked("simple")).toEqual(["other", "quantum flux"]);
	});

	test("rerank puts in order what was found, before the limit", async () => {
		const hits = await hybrid({
			limit: 2,
			rerank: async (query, found) => {
				expect(query).toBe("quantum flux");
				return found.map(({ name }) => (name === "fourth" ? 1 : 0));
			},
		});
		expect(hits.map(({ name }) => name)[0]).toBe("fourth");
		expect(hits).toHaveLength(2);
		expect(hits[0]?.rerankScore).toBe(1);
		for (const scores of [[], [Number.NaN], "x"])
			expect(await codeOf(hybrid({ rerank: () => scores as never }))).toBe(
				"VALIDATION",
			);
	});

	test("while the cache is empty names come from the tables", async () => {
		const before = await hybrid({ query: "quantm flx" });
		await db.service.execute("DELETE FROM kv_state; DELETE FROM kv_store");
		expect(await hybrid({ query: "quantm flx" })).toEqual(before);
		await db.service.kv.ensureReady();
	});

	test.each<[string, object, string]>([
		["no query", { query: " " }, "VALIDATION"],
		["NUL", { query: "a\0" }, "VALIDATION"],
		["SQL for a language", { language: "english'; DROP" }, "VALIDATION"],
		["an unknown table", { tableName: "pgaes" }, "UNKNOWN_ENTITY"],
		["an unknown field in its filter", { where: { x: 1 } }, "UNKNOWN_FIELD"],
		["the limit 0", { limit: 0 }, "INPUT_LIMIT"],
	])("refuses %s", async (_, options, code) => {
		expect(await codeOf(hybrid(options))).toBe(code);
	});

	test.each([
		"'",
		"\\",
		"' | 'x",
		"a & b | !c:*",
		"<->",
		"…",
		"🦉",
		"x".repeat(20_000),
	])("takes %j for what it is", async (query) => {
		expect((await hybrid({ query, limit: 10 })).length).toBeGreaterThan(0);
	});
});

describe("a query's vector", () => {
	test("is asked for once, as a query, also by those who ask at the same time", async () => {
		const asked: string[] = [];
		let fails = true;
		const provider: EmbeddingProvider = {
			name: "counting",
			model: "m",
			dimensions: 3,
			limits: { maxTexts: 10 },
			embed: async (texts, { purpose }) => {
				asked.push(...texts.map((text) => `${purpose} ${text}`));
				if (fails) throw new Error("down");
				return texts.map(() => Float32Array.of(1, 2, 3));
			},
		};
		const service = await PostgresService.connect({
			connectionString: db.url,
			models: [Page],
			embedding: provider,
			...(db.url === "memory:" ? {} : { poolSize: 2 }),
		});
		try {
			await service.migrate();
			const find = () =>
				service.vectorSearch({
					tableName: "pages",
					queryText: "q",
					provider: "counting",
				});
			expect(await codeOf(find())).toBe("PROVIDER_FAILED");
			fails = false;
			asked.length = 0;
			await Promise.all([find(), find()]);
			await find();
			expect(asked).toEqual(["query q"]);
		} finally {
			await service.close();
		}
	});
});

test.runIf(engine === "server")(
	"a connection caches one statement for all tenants and vectors, none for filters",
	async () => {
		const service = await PostgresService.connect({
			connectionString: db.url,
			models: [Page],
			embedding: { provider: "local", dimensions },
			backgroundIndex: { enabled: false },
			poolSize: 1,
		});
		onTestFinished(() => service.close());
		const find = (options: Options) =>
			service.vectorSearch({
				tableName: "pages",
				queryText: "page about birds 3",
				fieldName: "content",
				mode: "exact",
				tenantId: large,
				...options,
			});
		const kept = async () => {
			const { rows } = await service.execute<{ uses: number }>(
				"SELECT (custom_plans + generic_plans)::int AS uses FROM pg_prepared_statements WHERE name LIKE 'rem_search_%'",
			);
			return rows.map(({ uses }) => uses);
		};
		for (let at = 0; at < 8; at++) {
			expect(await find({ queryText: `stones ${at}` })).toHaveLength(10);
			expect(await find({ tenantId: small })).toHaveLength(5);
		}
		expect(await kept()).toEqual([16]);
		await find({ where: { name: { like: "large 1%" } } });
		await find({ limit: 101 });
		expect(await kept()).toEqual([16]);
		await find({ limit: 3 });
		expect(await kept()).toHaveLength(2);
	},
);
