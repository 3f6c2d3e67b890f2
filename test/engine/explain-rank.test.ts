import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { rankByVector } from "../../src/query/row-ranks.ts";
import type { VectorStatistics } from "../../src/query/vector-statistics.ts";
import { queryVector, resolveSearch } from "../../src/verbs/search.ts";
import { codeOf, coreOf, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

const Film = defineEntity(
	"ranked_films",
	{
		title: z.string(),
		year: z.number().int().optional(),
		description: z.string().optional(),
	},
	{ entityKeyField: "title" },
);
const provider = new FakeProvider();
const db = useService({
	models: [Film],
	embedding: { provider, retry: { attempts: 1 } },
});
const films = () => db.service.repository(Film);
const tableName = "ranked_films";

async function write(tenantId: string) {
	return films().upsert(
		[
			{
				title: "Jurassic Park",
				year: 1993,
				description: "dinosaurs in a park",
			},
			{
				title: "Park Keeper",
				year: 1950,
				description: "a keeper and his park",
			},
			{ title: "Space", year: 1979, description: "a ship in space" },
			{ title: "Untold", year: 2001 },
		],
		{ tenantId },
	);
}

test("the ranks are those of a hybrid search that returns every row", async () => {
	const tenantId = "ranks";
	const rows = await write(tenantId);
	for (const query of ["dinosaurs in a park", "Jurasic Park", "space"]) {
		const options = { tableName, query, tenantId, limit: 20 } as const;
		const hits = await db.service.hybridSearch(options);
		for (const { id } of rows) {
			const why = await db.service.explainRank({ ...options, id });
			const hit = hits.find((hit) => hit.id === id);
			expect({
				vector: why?.lists.vector.rank,
				text: why?.lists.text.rank,
				trigram: why?.lists.name.rank,
			}).toEqual({
				vector: undefined,
				text: undefined,
				trigram: undefined,
				...hit?.ranks,
			});
			if (hit?.similarity !== undefined)
				expect(why?.lists.vector.value).toBeCloseTo(hit.similarity, 6);
		}
	}
});

test("the lists of an explained search have every candidate with its rank and value", async () => {
	const tenantId = "candidates";
	const rows = await write(tenantId);
	await write("candidates of another tenant");
	const deleted = rows.find(({ title }) => title === "Space");
	await films().delete(deleted?.id ?? "", tenantId);
	for (const query of ["dinosaurs in a park", "Jurasic Park"]) {
		const options = { tableName, query, tenantId, limit: 1 } as const;
		const hits = await db.service.hybridSearch({ ...options, explain: true });
		const { lists = {}, hits: explained } = hits.explain;
		expect(hits).toHaveLength(1);
		for (const list of ["vector", "text", "name"] as const) {
			const candidates = [];
			for (const { id, title: entityKey } of rows) {
				const why = await db.service.explainRank({ ...options, id });
				const { rank, value = Number.NaN } = why?.lists[list] ?? {};
				if (rank !== undefined)
					candidates.push({ id, entityKey, rank, value: close(value) });
			}
			candidates.sort((a, b) => a.rank - b.rank);
			expect([query, list, lists[list]?.candidates]).toEqual([
				query,
				list,
				candidates,
			]);
		}
		// More than the one that is the answer.
		expect(lists.text?.candidates.length).toBe(2);
		expect(lists.vector?.candidates.length).toBe(2);
		const best = lists.text?.candidates[0];
		expect(explained?.[0]).toMatchObject({
			id: best?.id,
			lists: { text: { rank: 1, value: best?.value } },
		});
	}
	const all = await db.service.hybridSearch({
		query: "park",
		tenantId,
		explain: true,
	});
	expect(Object.keys(all.explain[tableName]?.lists ?? {}).sort()).toEqual([
		"name",
		"text",
		"vector",
	]);
});

const close = (value: number) => expect.closeTo(value, 6);

test("a list without a weight is not among those of an explained search, one without a candidate is", async () => {
	const tenantId = "weighed";
	await write(tenantId);
	const { explain } = await db.service.hybridSearch({
		tableName,
		tenantId,
		query: "xylophone",
		weights: { vector: 0, text: 2 },
		explain: true,
	});
	expect(explain.lists).toEqual({
		text: { weight: 2, candidates: [] },
		name: { weight: 0.5, candidates: [] },
	});
	expect(explain.weights).toEqual({ vector: 0, text: 2, name: 0.5 });
});

test("an explained search leaves the settings of its transaction as they were", async () => {
	const tenantId = "settings";
	await write(tenantId);
	await db.service.transaction(async (transaction) => {
		await transaction.query({
			text: "SET LOCAL pg_trgm.similarity_threshold = 0.9",
			values: [],
		});
		for (const query of ["Jurasic Park", "xylophone"])
			await db.service.hybridSearch({
				tableName,
				tenantId,
				query,
				weights: { vector: 0, text: 0 },
				explain: true,
				transaction,
			});
		const { rows } = await transaction.query({
			text: "SHOW pg_trgm.similarity_threshold",
			values: [],
		});
		expect(rows).toEqual([{ "pg_trgm.similarity_threshold": "0.9" }]);
	});
});

test("where the search asks an index, a row that is not among the nearest 500 is beyond them", async () => {
	const tenantId = "many";
	await films().upsert(
		Array.from({ length: 620 }, (_, n) => ({
			title: `Film ${n}`,
			description: `description ${n}`,
		})),
		{ tenantId },
	);
	const call = { tableName, tenantId, query: "description 7" } as const;
	const resolved = await resolveSearch(
		coreOf(db.service, tenantId),
		call,
		call,
	);
	const { vector } = await queryVector(resolved);
	const hits = await db.service.vectorSearch({
		tableName,
		tenantId,
		queryEmbedding: vector,
		limit: 620,
	});
	const statistics = {
		read: async () => [
			{
				field: "description",
				vectors: 1_000_000,
				index: { kind: "hnsw", vectors: 1_000_000 },
				perEntity: 1,
			},
		],
		record: () => {},
	} as unknown as VectorStatistics;
	const search = { ...resolved.search, queryEmbedding: vector, statistics };
	for (const at of [0, 40, 499])
		expect(await rankByVector(search, hits[at]?.id ?? "")).toEqual({
			rank: at + 1,
			value: expect.closeTo(hits[at]?.similarity as number, 6),
		});
	const last = hits.at(-1);
	expect(await rankByVector(search, last?.id ?? "")).toEqual({
		rank: undefined,
		value: expect.closeTo(last?.similarity as number, 6),
		beyond: 500,
	});
	const why = await db.service.explainRank({ ...call, id: last?.id ?? "" });
	expect(why?.lists.vector).toMatchObject({ rank: 620 });
});

test("it shows the words that the row has, and the weights", async () => {
	const tenantId = "words";
	const [jurassic] = await write(tenantId);
	const why = await db.service.explainRank({
		tableName,
		tenantId,
		id: jurassic?.id ?? "",
		query: "the dinosaur keepers",
		weights: { vector: 0, text: 2 },
	});
	expect(why).toMatchObject({
		entityKey: "Jurassic Park",
		deletedAt: null,
		fulfilsFilter: true,
		depth: 30,
		words: expect.arrayContaining([
			{ word: "dinosaur", isFound: true },
			{ word: "keeper", isFound: false },
		]),
		lists: {
			vector: { weight: 0 },
			text: { weight: 2, rank: expect.any(Number) },
		},
	});
});

test("a row that the filter excludes, or that is deleted, has no rank but its values", async () => {
	const tenantId = "excluded";
	const [jurassic] = await write(tenantId);
	const id = jurassic?.id ?? "";
	const options = {
		tableName,
		tenantId,
		id,
		query: "Jurassic Park",
	} as const;
	const filtered = await db.service.explainRank({
		...options,
		condition: "year < 1990",
	});
	expect(filtered).toMatchObject({ fulfilsFilter: false, deletedAt: null });
	expect(filtered?.lists.name).toEqual({
		rank: undefined,
		value: 1,
		weight: 0.5,
	});
	expect(filtered?.lists.vector.rank).toBeUndefined();
	expect(filtered?.lists.vector.value).toBeTypeOf("number");
	await films().delete(id, tenantId);
	const deleted = await db.service.explainRank(options);
	expect(deleted?.deletedAt).toBeInstanceOf(Date);
	expect(deleted?.fulfilsFilter).toBe(true);
	expect(deleted?.lists).toMatchObject({
		vector: { rank: undefined },
		text: { rank: undefined },
		name: { rank: undefined },
	});
});

test("other tenants' and other users' rows are unknown", async () => {
	const [row] = await films().upsert(
		[{ title: "Secret", description: "of one user" }],
		{ tenantId: "mine", userId: "one" },
	);
	const id = row?.id ?? "";
	const query = "secret";
	const ask = (scope: object) =>
		db.service.explainRank({ tableName, id, query, ...scope });
	expect(await ask({ tenantId: "mine" })).toMatchObject({ userId: "one" });
	expect(await ask({ tenantId: "mine", userId: "one" })).toBeDefined();
	expect(await ask({ tenantId: "mine", userId: "two" })).toBeUndefined();
	expect(await ask({ tenantId: "other" })).toBeUndefined();
	expect(await ask({ tenantId: "mine", id: "no uuid" })).toBeUndefined();
	const scope = db.service.scope({ tenantId: "mine", userId: "two" });
	expect(await scope.explainRank({ tableName, id, query })).toBeUndefined();
	expect(await codeOf(ask({ tenantId: "mine", query: " " }))).toBe(
		"VALIDATION",
	);
});

test("vectorStates shows each field's vector: present, empty, queued and dead-lettered", async () => {
	const tenantId = "states";
	const [jurassic, , , untold] = await write(tenantId);
	const states = async (id: string | undefined) =>
		(await films().vectorStates(id ?? "", tenantId)).map(
			({ fieldName, state, passages }) => [
				fieldName,
				state,
				passages.map(({ text }) => text),
			],
		);
	expect(await states(jurassic?.id)).toEqual([
		["description", "present", ["dinosaurs in a park"]],
	]);
	expect(await states(untold?.id)).toEqual([["description", "empty", []]]);
	expect(await states("no uuid")).toEqual([]);
	provider.refuse((text) => text.includes("poison"));
	await films().upsert(
		{ title: "Jurassic Park", description: "a poison" },
		{ tenantId, onEmbeddingError: "queue" },
	);
	expect((await states(jurassic?.id))[0]?.[1]).toMatch(/^(queued|dead)$/);
	await db.service.embeddings.sync();
	const [dead] = await films().vectorStates(jurassic?.id ?? "", tenantId);
	expect(dead).toMatchObject({
		state: "dead",
		provider: "fake",
		model: "m1",
		reason: expect.stringContaining("400"),
	});
	expect(dead?.attempts).toBeGreaterThan(0);
	provider.reset();
	expect(await films().vectorStates(jurassic?.id ?? "", "other")).toEqual([]);
});

test("a long text has a passage for each of its vectors", async () => {
	const tenantId = "passages";
	const description = Array.from(
		{ length: 3000 },
		(_, at) => `Sentence ${at} of many.`,
	).join(" ");
	const [row] = await films().upsert([{ title: "Long", description }], {
		tenantId,
	});
	const [state] = await films().vectorStates(row?.id ?? "", tenantId);
	expect(state?.state).toBe("present");
	for (const { start, end, text } of state?.passages ?? [])
		expect(text).toBe(
			start === null || end === null
				? description
				: description.slice(start, end),
		);
});

test("the service shows its connections and its slowest statements, without values", async () => {
	await db.service.execute("SELECT pg_sleep(0.05), 'a secret'", undefined);
	await db.service.execute("SELECT pg_sleep($1), $2::text", [1, "a secret"]);
	const { connections, slowest } = db.service.activity;
	expect(connections.max).toBe(db.service.capabilities.maxConnections);
	expect(connections.open).toBeGreaterThan(0);
	expect(connections.idle).toBeLessThanOrEqual(connections.open);
	const sleep = slowest.find(({ text }) => text.includes("pg_sleep($1)"));
	expect(sleep).toMatchObject({ rowCount: 1, error: undefined });
	expect(sleep?.durationMs).toBeGreaterThan(0);
	expect(JSON.stringify(slowest)).not.toContain("a secret");
	const times = slowest.map(({ durationMs }) => durationMs);
	expect(times).toEqual([...times].sort((a, b) => b - a));
});
