import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Edge } from "../../src/index.ts";
import { matchOf } from "../../src/query/fuzzy-match.ts";
import { queryOf } from "../../src/query/fuzzy-request.ts";
import { fuzzySql } from "../../src/query/fuzzy-sql.ts";
import { lookupSql } from "../../src/query/lookup.ts";
import { searchSql } from "../../src/query/search.ts";
import { compile, ident } from "../../src/sql.ts";
import { codeOf, useService } from "../support/engine.ts";

const Person = defineEntity(
	"people",
	{
		name: z.string(),
		description: z.string().optional(),
		content: z.string().optional(),
		year: z.int().optional(),
	},
	{ entityKeyField: "name" },
);
const Place = defineEntity(
	"places",
	{ name: z.string(), notes: z.string().optional() },
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Person, Place],
	embedding: { provider: "local", dimensions: 64 },
});

const people = (
	tenantId: string,
	entities: Parameters<typeof db.service.batchUpsert<"people">>[0]["entities"],
) => db.service.batchUpsert({ tableName: "people", entities, tenantId });

describe("LOOKUP", () => {
	test("finds a key in any case", async () => {
		const tenantId = "spellings";
		const keys = ["Sarah Chen", "Straße", "café", "a.b@c/d#1", "🙂 face"];
		await people(
			tenantId,
			keys.map((name) => ({ name })),
		);
		const spellings: [string, string][] = [
			["Sarah Chen", "Sarah Chen"],
			["sarah-chen", "Sarah Chen"],
			["SARAH_CHEN", "Sarah Chen"],
			["  sarah  \t-_ chen ", "Sarah Chen"],
			["Ｓarah Chen", "Sarah Chen"],
			["STRASSE", "Straße"],
			["CAFE\u0301", "café"],
			["A.B@C/D#1", "a.b@c/d#1"],
			["🙂-FACE", "🙂 face"],
		];
		for (const [entityKey, expected] of spellings) {
			const hit = await db.service.lookupEntity({ entityKey, tenantId });
			expect(hit?.entityKey, entityKey).toBe(expected);
		}
		for (const entityKey of [
			"sarahchen",
			"SarahChen",
			"Sarah",
			"cafe",
			"%",
			"S_rah Chen",
		])
			expect(
				await db.service.lookupEntity({ entityKey, tenantId }),
				entityKey,
			).toBeUndefined();
	});

	test("gives what is known of the entity", async () => {
		const tenantId = "whole";
		const graphEdges: Edge[] = [
			{
				dst: "Other",
				rel_type: "knows",
				weight: 0.5,
				properties: { a: 1 },
				since: 1,
			},
		];
		const { ids } = await people(tenantId, [
			{
				name: "Full Name",
				userId: "u",
				description: "d".repeat(600),
				content: "content",
				metadata: { sizeBytes: 1, snake_case: [2] },
				graphEdges,
			},
		]);
		expect(
			await db.service.lookupEntity({ entityKey: "full name", tenantId }),
		).toEqual({
			requestedKey: "full name",
			entityKey: "Full Name",
			entityType: "people",
			entityId: ids[0],
			userId: "u",
			metadata: { sizeBytes: 1, snake_case: [2] },
			contentSummary: "d".repeat(500),
			graphEdges,
		});
	});

	test("gives the best match first: exact, own, shared, latest", async () => {
		const tenantId = "best";
		const at = (day: number) => new Date(Date.UTC(2020, 0, day));
		await people(tenantId, [
			{ name: "The Key", createdAt: at(1), userId: "other" },
			{ name: "the-key", createdAt: at(2), userId: "me" },
			{ name: "the-key", createdAt: at(3) },
			{ name: "THE KEY", createdAt: at(5) },
			{ name: "the_key", createdAt: at(4) },
		]);
		await db.service.batchUpsert({
			tableName: "places",
			entities: [{ name: "the-key", createdAt: at(9) }],
			tenantId,
		});
		const order = async (entityKey: string, userId?: string) => {
			const hits = await db.service.lookupEntities({
				entityKeys: [entityKey],
				tenantId,
				...(userId === undefined ? {} : { userId }),
			});
			return hits.map(
				(hit) => `${hit.entityType} ${hit.entityKey} ${hit.userId}`,
			);
		};
		expect(await order("the-key", "me")).toEqual([
			"people the-key me",
			"places the-key null",
			"people the-key null",
			"people THE KEY null",
			"people the_key null",
		]);
		expect(await order("The Key")).toEqual([
			"people The Key other",
			"places the-key null",
			"people THE KEY null",
			"people the_key null",
			"people the-key null",
			"people the-key me",
		]);
		expect(
			await db.service.lookupEntity({ entityKey: "the-key", tenantId }),
		).toMatchObject({ entityType: "places" });
	});

	test("of many keys answers in their order, a repeated one again", async () => {
		const tenantId = "many";
		await people(tenantId, [{ name: "a" }, { name: "b" }, { name: "A" }]);
		const hits = await db.service.lookupEntities({
			entityKeys: ["b", "missing", "a", "b"],
			tenantId,
		});
		expect(hits.map((hit) => [hit.requestedKey, hit.entityKey])).toEqual([
			["b", "b"],
			["a", "a"],
			["a", "A"],
			["b", "b"],
		]);
		expect(
			await db.service.lookupEntities({ entityKeys: [], tenantId }),
		).toEqual([]);
		const thousands = Array.from({ length: 5000 }, (_, i) => `no ${i}`);
		const among = await db.service.lookupEntities({
			entityKeys: [...thousands, "b"],
			tenantId,
		});
		expect(among).toHaveLength(1);
	});

	test("of one entity type finds no other", async () => {
		const tenantId = "types";
		await people(tenantId, [{ name: "same" }]);
		await db.service.batchUpsert({
			tableName: "places",
			entities: [{ name: "same" }],
			tenantId,
		});
		const typesOf = async (entityType?: string) => {
			const hits = await db.service.lookupEntities({
				entityKeys: ["same"],
				tenantId,
				...(entityType === undefined ? {} : { entityType }),
			});
			return hits.map((hit) => hit.entityType);
		};
		expect(await typesOf()).toEqual(["places", "people"]);
		expect(await typesOf("people")).toEqual(["people"]);
		expect(await codeOf(typesOf("peple"))).toBe("UNKNOWN_ENTITY");
	});

	test("is one statement over one index", () => {
		const entries = { from: ident("public", "kv_store"), isFallback: false };
		const request = { tenantId: "t", entityKeys: ["a", "b"] };
		const whole = compile(lookupSql("public", entries, request));
		expect(
			whole.text,
		).toBe(`SELECT q.rem_ord, k.entity_key, k.entity_type, k.entity_id, k.user_id, k.metadata, k.content_summary, k.graph_edges
FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS q (key, rem_ord)
CROSS JOIN LATERAL (SELECT k.* FROM "public"."kv_store" AS k WHERE "k"."tenant_id" IN ($2, '*')
  AND k.normalized_key = "public"."rem_normalize_key"(q.key) OFFSET 0) AS k
ORDER BY q.rem_ord, k.entity_key = q.key DESC, k.user_id IS NULL DESC, k.created_at DESC, k.entity_type, k.entity_id`);
		expect(whole.values.slice(1)).toEqual(["t"]);
		const own = compile(
			lookupSql("public", entries, {
				...request,
				userId: "u",
				entityType: "x",
			}),
		);
		expect(own.text).toContain(
			`AND k.entity_type = $3 AND ("k"."user_id" = $4 OR "k"."user_id" IS NULL)`,
		);
		expect(own.text).toContain("k.user_id IS NOT DISTINCT FROM $5 DESC, ");
		const shared = compile(
			lookupSql("public", entries, { ...request, userId: null }),
		);
		expect(shared.text).toContain(`AND "k"."user_id" IS NULL`);
	});

	test.each<[string, { entityKeys: string[] }, string]>([
		["an empty key", { entityKeys: ["a", ""] }, "VALIDATION"],
		[
			"a key of 256 characters",
			{ entityKeys: ["k".repeat(256)] },
			"INPUT_LIMIT",
		],
		["a key with NUL", { entityKeys: ["a\0"] }, "VALIDATION"],
		["a key with a lone surrogate", { entityKeys: ["\ud83d"] }, "VALIDATION"],
		["a key that is no text", { entityKeys: [1 as never] }, "VALIDATION"],
	])("refuses %s", async (_, request, code) => {
		expect(
			await codeOf(db.service.lookupEntities({ ...request, tenantId: "t" })),
		).toBe(code);
	});

	test("takes a key of 255 emoji", async () => {
		const name = "🙂".repeat(255);
		await people("emoji", [{ name }]);
		expect(
			await db.service.lookupEntity({ entityKey: name, tenantId: "emoji" }),
		).toMatchObject({ entityKey: name });
	});
});

describe("FUZZY", () => {
	const tenantId = "fuzzy";
	const names = [
		"sarah chen",
		"sara chen",
		"sarah",
		"chen sarah",
		"sahra chan",
		"deployment guide",
		"api design doc",
		"Ärger",
		"日本語",
		"x",
	];

	beforeAll(async () => {
		await people(
			tenantId,
			names.map((name) => ({ name, description: `about ${name}` })),
		);
		// Enough others that the planner takes the index.
		await people(
			tenantId,
			Array.from({ length: 2000 }, (_, i) => ({ name: `zzz ${i} qqq` })),
		);
		await db.service.execute("ANALYZE kv_store");
	});

	const scores = async (query: string, threshold?: number, limit = 100) => {
		const hits = await db.service.fuzzySearch({
			query,
			tenantId,
			limit,
			...(threshold === undefined ? {} : { threshold }),
		});
		return hits.map(({ entityKey, score }) => [entityKey, score]);
	};

	const expected = async (query: string, threshold: number) => {
		const { rows } = await db.service.execute<{ name: string; score: number }>(
			`SELECT name, similarity(name, $1) AS score FROM people
WHERE tenant_id = $2 AND similarity(name, $1) >= $3::real ORDER BY score DESC, name COLLATE "C"`,
			[query, tenantId, threshold],
		);
		return rows.map(({ name, score }) => [name, score]);
	};

	test.each([0.05, 0.2, 0.3, 0.31, 0.5, 0.9, 1])(
		"finds what similarity() finds at the threshold %d",
		async (threshold) => {
			for (const query of [
				"sarah chen",
				"sahra",
				"api",
				"ärger",
				"日本語",
				"X",
			]) {
				const found = await scores(query, threshold);
				const all = await expected(query, threshold);
				expect(new Map(found as [string, number][])).toEqual(
					new Map(all as [string, number][]),
				);
				expect(found.map(([, score]) => score)).toEqual(
					all.map(([, score]) => score),
				);
			}
		},
	);

	test("has the threshold 0.3 and the limit 10 by default", async () => {
		expect(await scores("sarah chen")).toEqual(await scores("sarah chen", 0.3));
		const hits = await db.service.fuzzySearch({ query: "zzz qqq", tenantId });
		expect(hits).toHaveLength(10);
	});

	test("finds every key at the threshold 0", async () => {
		expect(await scores("sarah", 0, 10_000)).toHaveLength(2010);
	});

	test("takes the best, however few it is asked for", async () => {
		expect((await scores("sarah chen", 0.1, 1)).map(([key]) => key)).toEqual([
			"chen sarah",
		]);
		expect(await scores("sarah chen", 0.1, 2)).toEqual(
			(await scores("sarah chen", 0.1)).slice(0, 2),
		);
	});

	test("does not change the threshold of the next query", async () => {
		const low = await scores("sarah chen", 0.05);
		const high = await scores("sarah chen", 0.9);
		expect(low.length).toBeGreaterThan(high.length);
		const [first, second, third] = await Promise.all([
			scores("sarah chen", 0.9),
			scores("sarah chen", 0.05),
			scores("sarah chen"),
		]);
		expect(first).toEqual(high);
		expect(second).toEqual(low);
		expect(third).toEqual(await scores("sarah chen", 0.3));
		const { rows } = await db.service.execute(
			"SELECT current_setting('pg_trgm.similarity_threshold') AS threshold",
		);
		expect(rows).toEqual([{ threshold: "0.3" }]);
	});

	test("gives what is known of the entity", async () => {
		const [hit] = await db.service.fuzzySearch({
			query: "deployment gide",
			tenantId,
		});
		expect(hit).toEqual({
			entityKey: "deployment guide",
			entityType: "people",
			entityId: expect.stringMatching(/^[0-9a-f-]{36}$/),
			score: expect.closeTo(0.75, 1),
			metadata: {},
			contentSummary: "about deployment guide",
		});
	});

	test("fills its limit with visible rows", async () => {
		const tenantId = "fuzzy users";
		const rows = Array.from({ length: 40 }, (_, i) => ({
			name: `same name ${i}`,
			userId: i % 2 === 0 ? "me" : i % 4 === 1 ? "other" : null,
		}));
		await people(tenantId, rows);
		const count = async (userId?: string | null) => {
			const hits = await db.service.fuzzySearch({
				query: "same name",
				tenantId,
				limit: 15,
				...(userId === undefined ? {} : { userId }),
			});
			return hits.length;
		};
		expect(await count()).toBe(15);
		expect(await count("me")).toBe(15);
		expect(await count(null)).toBe(10);
		expect(await count("nobody")).toBe(10);
	});

	test("of one entity type finds no other", async () => {
		await db.service.batchUpsert({
			tableName: "places",
			entities: [{ name: "sarah chen" }],
			tenantId,
		});
		const types = async (entityType: string) => {
			const hits = await db.service.fuzzySearch({
				query: "sarah chen",
				tenantId,
				entityType,
			});
			return new Set(hits.map((hit) => hit.entityType));
		};
		expect(await types("places")).toEqual(new Set(["places"]));
		expect(await types("people")).toEqual(new Set(["people"]));
		expect(await codeOf(types("persons"))).toBe("UNKNOWN_ENTITY");
	});

	test.each(["!!!", "🙂", " ", "%", "_"])(
		"finds nothing for %j, which has no trigram",
		async (query) => {
			expect(await scores(query, 0.01)).toEqual([]);
		},
	);

	test("sets its threshold within its one statement, and asks the tenant's index for it", () => {
		const request = {
			tenantId: "t",
			userId: "u",
			query: "query",
			threshold: 0.25,
			limit: 5,
		};
		const match = matchOf(queryOf(request), {
			schema: "public",
			sample: undefined,
		});
		const { text, values } = compile(
			fuzzySql(ident("public", "kv_store"), request, match),
		);
		const entries = (tenant: string, firstValue: number) => {
			const $ = (at: number) => `$${firstValue + at}`;
			return `SELECT k.entity_key, k.entity_type, k.entity_id, similarity(k.entity_key, ${$(0)}) AS score, k.metadata, k.content_summary
  FROM "public"."kv_store" AS k
  WHERE t."after0" IS NOT NULL AND k.tenant_id = ${tenant} AND (k.entity_type <> '' OR to_tsvector('simple', k.entity_key) IS NULL OR to_tsvector('simple', k.entity_key) IS NULL) AND k.entity_key % (SELECT ${$(tenant === "'*'" ? 1 : 2)}::text) AND ("k"."user_id" = ${$(tenant === "'*'" ? 2 : 3)} OR "k"."user_id" IS NULL)`;
		};
		expect(
			text,
		).toBe(`SELECT f.* FROM (SELECT coalesce(current_setting('pg_trgm.similarity_threshold', TRUE), '0.3') AS "before0" OFFSET 0) AS b,
LATERAL (SELECT set_config('pg_trgm.similarity_threshold', $1, TRUE) AS "after0" WHERE b.before0 IS NOT NULL OFFSET 0) AS t,
LATERAL (
  (SELECT u.entity_key, u.entity_type, u.entity_id, u.score, 0 AS tie, u.metadata, u.content_summary
FROM (
  ${entries("$3", 2)}
  UNION ALL
  ${entries("'*'", 6)}
) AS u
ORDER BY u.score DESC, u.entity_key, u.entity_type, u.entity_id
LIMIT $9)
  UNION ALL
  SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE concat(set_config('pg_trgm.similarity_threshold', b."before0", TRUE)) IS NULL
) AS f`);
		expect(values).toEqual([
			"0.25",
			...["query", "t", "query", "u"],
			...["query", "query", "u"],
			5,
		]);
	});

	test.each<[string, object, string]>([
		["an empty query", { query: "" }, "VALIDATION"],
		["a query of 257 characters", { query: "🙂".repeat(257) }, "INPUT_LIMIT"],
		["a query with NUL", { query: "a\0" }, "VALIDATION"],
		["a query that is no text", { query: 1 }, "VALIDATION"],
		["a negative threshold", { threshold: -0.1 }, "VALIDATION"],
		["a threshold above 1", { threshold: 1.1 }, "VALIDATION"],
		["a threshold that is no number", { threshold: Number.NaN }, "VALIDATION"],
		["a mode there is not", { mode: "words" }, "VALIDATION"],
		["the limit 0", { limit: 0 }, "INPUT_LIMIT"],
		["a limit over 10,000", { limit: 10_001 }, "INPUT_LIMIT"],
		["a broken limit", { limit: 1.5 }, "INPUT_LIMIT"],
		["a limit that is no number", { limit: Number.NaN }, "INPUT_LIMIT"],
	])("refuses %s", async (_, request, code) => {
		const options = { query: "a", tenantId, ...request };
		expect(await codeOf(db.service.fuzzySearch(options))).toBe(code);
	});

	test("takes a query of 256 characters", async () => {
		expect(await scores("🙂a".repeat(128))).toEqual([]);
	});
});

describe("SEARCH", () => {
	const tenantId = "search";
	const texts = [
		"deploy kubernetes clusters with karpenter",
		"design a restful api",
		"cook pasta with tomatoes",
		"a history of rome",
		"gardening in spring",
	];

	beforeAll(async () => {
		await people(tenantId, [
			...texts.map((content, i) => ({
				name: `doc ${i}`,
				content,
				description: i === 3 ? "kubernetes in antiquity" : `number ${i}`,
				year: 1990 + i,
				userId: i % 2 === 0 ? null : "me",
				tags: i < 2 ? ["tech"] : [],
			})),
			{ name: "textless" },
		]);
	});

	type SearchOptions = Partial<
		Parameters<typeof db.service.vectorSearch<"people">>[0]
	>;
	const search = (options: SearchOptions = {}) =>
		db.service.vectorSearch({
			tableName: "people",
			...(options.queryEmbedding === undefined
				? { queryText: "deploy kubernetes" }
				: { queryEmbedding: options.queryEmbedding }),
			tenantId,
			...options,
		});
	const names = async (options?: SearchOptions) =>
		(await search(options)).map(({ name }) => name);

	test("gives min(limit, eligible) rows, nearest first", async () => {
		for (const limit of [1, 3, 5, 10_000]) {
			const hits = await search({ limit, fieldName: "content" });
			expect(hits).toHaveLength(Math.min(limit, 5));
			const similarities = hits.map(({ similarity }) => similarity);
			expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
			expect(hits[0]?.name).toBe("doc 0");
		}
		expect(await search()).toHaveLength(5);
	});

	test("gives whole rows with the similarity of the vectors", async () => {
		const queryEmbedding = Float32Array.from({ length: 64 }, (_, i) => i - 20);
		const hits = await search({ queryEmbedding, fieldName: "content" });
		const { rows } = await db.service.execute<{ name: string; v: string }>(
			"SELECT p.name, e.embedding::text AS v FROM people p JOIN embeddings_people e ON e.entity_id = p.id WHERE e.field_name = 'content' AND p.tenant_id = $1",
			[tenantId],
		);
		const exact = new Map(
			rows.map(({ name, v }) => [name, cosine(queryEmbedding, JSON.parse(v))]),
		);
		expect(hits).toHaveLength(5);
		for (const hit of hits)
			expect(hit.similarity).toBeCloseTo(exact.get(hit.name) as number, 5);
		expect(hits.find(({ name }) => name === "doc 1")).toEqual({
			id: expect.any(String),
			tenantId,
			userId: "me",
			graphEdges: [],
			metadata: {},
			tags: ["tech"],
			createdAt: expect.any(Date),
			updatedAt: expect.any(Date),
			deletedAt: null,
			name: "doc 1",
			description: "number 1",
			content: texts[1],
			year: 1991,
			similarity: expect.any(Number),
			matchedField: "content",
		});
	});

	test("without a field takes the best one of each entity", async () => {
		const hits = await search({ queryText: "kubernetes in antiquity" });
		expect(hits).toHaveLength(5);
		expect(hits[0]).toMatchObject({
			name: "doc 3",
			matchedField: "description",
		});
		expect(hits[0]?.similarity).toBeCloseTo(1, 5);
		const [content] = await search({
			queryText: "kubernetes in antiquity",
			fieldName: "content",
		});
		expect(content).toMatchObject({ name: "doc 0", matchedField: "content" });
	});

	test("minSimilarity leaves out what is farther", async () => {
		const all = await search();
		for (const { similarity } of all.slice(0, -1)) {
			const minSimilarity = similarity - 1e-6;
			const hits = await search({ minSimilarity });
			expect(hits.map(({ id }) => id)).toEqual(
				all
					.filter((hit) => hit.similarity >= minSimilarity)
					.map(({ id }) => id),
			);
		}
		expect(await search({ minSimilarity: -1 })).toHaveLength(5);
		expect(await search({ minSimilarity: 1 })).toEqual([]);
	});

	test("filters before it counts", async () => {
		const where = { year: { gte: 1993 } };
		expect(await names({ where, limit: 2 })).toHaveLength(2);
		expect((await names({ where })).sort()).toEqual(["doc 3", "doc 4"]);
		expect(await names({ where: { name: "doc 4" }, limit: 1 })).toEqual([
			"doc 4",
		]);
		expect(await names({ where: { year: null } })).toEqual([]);
		expect(
			(await names({ where: { tags: { contains: ["tech"] } } })).sort(),
		).toEqual(["doc 0", "doc 1"]);
		expect(await names({ where: {} })).toHaveLength(5);
	});

	test("sees the user's and shared rows, shared ones, or all", async () => {
		expect(await names()).toHaveLength(5);
		expect((await names({ userId: null })).sort()).toEqual([
			"doc 0",
			"doc 2",
			"doc 4",
		]);
		expect(await names({ userId: "me" })).toHaveLength(5);
		expect(await names({ userId: "nobody" })).toHaveLength(3);
	});

	test("of another model's vectors finds none of this one's", async () => {
		expect(
			await search({
				provider: "openai",
				model: "text-embedding-3-small",
				queryEmbedding: new Float32Array(1536).fill(1),
			}),
		).toEqual([]);
	});

	test("is one statement that the tenant bounds", () => {
		const { text } = compile(
			searchSql(
				{
					db: db.service.core.db,
					table: db.service.registry.get("people"),
					space: { provider: "p", model: "m", dimensions: 2 },
					tenantId: "t",
					userId: "u",
					fields: ["content"],
					where: { year: 1 },
					limit: 10,
					minSimilarity: 0.7,
					mode: "auto",
					efSearch: undefined,
					defaultEfSearch: 100,
					quantized: undefined,
					statistics: db.service.core.vectorStatistics,
					onAttempt: undefined,
					queryEmbedding: Float32Array.of(1, 2),
				},
				[{ fields: ["content"], how: "exact", take: 140 }],
			),
		);
		expect(text).toMatch(
			/e\.chunk_end,\s+e\.embedding <=> \$\d::vector AS distance/,
		);
		expect(text).toMatch(
			/WHERE e\.tenant_id = \$\d+ AND e\.field_name = \$\d+\s+AND e\.provider = \$\d+ AND e\.model = \$\d+ AND e\.dimensions = \$\d+ AND \("e"\."user_id" = \$\d+ OR "e"\."user_id" IS NULL\)/,
		);
		expect(text).toMatch(/b\.distance <= \$\d/);
		expect(text).toMatch(/r\.deleted_at IS NULL/);
		expect(text).not.toContain("'t'");
	});

	test.each<[string, object, string]>([
		[
			"a field that is not embedded",
			{ fieldName: "name" },
			"FIELD_NOT_EMBEDDED",
		],
		["a field of the system", { fieldName: "tags" }, "FIELD_NOT_EMBEDDED"],
		["an unknown field", { fieldName: "contnt" }, "UNKNOWN_FIELD"],
		["an unknown table", { tableName: "peple" }, "UNKNOWN_ENTITY"],
		["no text", { queryText: undefined }, "VALIDATION"],
		["a blank text", { queryText: " \n" }, "VALIDATION"],
		[
			"a vector of another length",
			{ queryEmbedding: Float32Array.of(1) },
			"DIMENSION_MISMATCH",
		],
		[
			"a vector of zeros",
			{ queryEmbedding: new Float32Array(64) },
			"DIMENSION_MISMATCH",
		],
		[
			"a vector with NaN",
			{ queryEmbedding: new Float32Array(64).fill(Number.NaN) },
			"DIMENSION_MISMATCH",
		],
		["minSimilarity 1.1", { minSimilarity: 1.1 }, "VALIDATION"],
		["minSimilarity NaN", { minSimilarity: Number.NaN }, "VALIDATION"],
		["the limit 0", { limit: 0 }, "INPUT_LIMIT"],
		["an unknown provider", { provider: "opnai" }, "PROVIDER_NOT_CONFIGURED"],
		["an unknown model", { model: "no-such" }, "PROVIDER_NOT_CONFIGURED"],
		["an unknown field in its filter", { where: { yaer: 1 } }, "UNKNOWN_FIELD"],
	])("refuses %s", async (_, options, code) => {
		expect(await codeOf(search(options as SearchOptions))).toBe(code);
	});
});

describe("a soft-deleted row", () => {
	test("is gone at once from LOOKUP, FUZZY and SEARCH, and restored is there again", async () => {
		const tenantId = "deleted";
		await people(tenantId, [{ name: "Here Today", content: "here" }]);
		const found = async () => {
			const [byKey, nearly, near] = await Promise.all([
				db.service.lookupEntities({ entityKeys: ["here-today"], tenantId }),
				db.service.fuzzySearch({ query: "here today", tenantId }),
				db.service.vectorSearch({
					tableName: "people",
					queryText: "here",
					tenantId,
				}),
			]);
			return [byKey.length, nearly.length, near.length];
		};
		expect(await found()).toEqual([1, 1, 1]);
		await db.service.execute(
			"UPDATE people SET deleted_at = now() WHERE tenant_id = $1",
			[tenantId],
		);
		expect(await found()).toEqual([0, 0, 0]);
		await db.service.execute(
			"UPDATE people SET deleted_at = NULL WHERE tenant_id = $1",
			[tenantId],
		);
		// Its vector comes with the next upsert, or the embedding worker.
		expect(await found()).toEqual([1, 1, 0]);
		await people(tenantId, [{ name: "Here Today", content: "here" }]);
		expect(await found()).toEqual([1, 1, 1]);
		await db.service.execute("DELETE FROM people WHERE tenant_id = $1", [
			tenantId,
		]);
		expect(await found()).toEqual([0, 0, 0]);
	});
});

function cosine(a: Float32Array, b: readonly number[]): number {
	const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
		Array.from(x).reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
	return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
