import { Document as LangChainDocument } from "@langchain/core/documents";
import { FakeEmbeddings } from "@langchain/core/utils/testing";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import {
	fromLangChain,
	RemRetriever,
	RemVectorStore,
} from "../../src/langchain/index.ts";
import { codeOf, createDatabase, useService } from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string(),
		category: z.string().optional(),
		year: z.number().int().optional(),
		labels: z.array(z.string()).optional(),
	},
	{ entityKeyField: "name" },
);
const Loose = defineEntity("loose_notes", { content: z.string() });
const Composite = defineEntity(
	"pages",
	{ uri: z.string(), ordinal: z.number().int(), content: z.string() },
	{ entityKeyField: ["uri", "ordinal"] },
);
const TwoTexts = defineEntity("two_texts", {
	content: z.string(),
	summary: z.string().optional(),
});

const db = useService({ models: [Note, Loose, Composite, TwoTexts] });

function store(tenantId: string, userId?: string): RemVectorStore {
	return new RemVectorStore({
		service: db.service,
		entity: Note,
		tenantId,
		...(userId === undefined ? {} : { userId }),
	});
}

const films = [
	{
		id: "alien",
		pageContent: "a spaceship crew meets a monster in space",
		metadata: { category: "horror", year: 1979, source: "wiki", stars: 5 },
	},
	{
		id: "aliens",
		pageContent: "a spaceship crew meets many monsters in space",
		metadata: { category: "horror", year: 1986, source: "imdb", stars: 4 },
	},
	{
		id: "amelie",
		pageContent: "a waitress in Paris makes other people happy",
		metadata: { category: "comedy", year: 2001, source: "wiki", stars: 4 },
	},
	{
		id: "ratatouille",
		pageContent: "a rat cooks in a kitchen in Paris",
		metadata: { category: "comedy", year: 2007, labels: ["food", "animals"] },
	},
];

describe("documents", () => {
	test("are stored, found and read back as they were added", async () => {
		const films1 = store("added");
		expect(await films1.addDocuments(films)).toEqual(films.map(({ id }) => id));
		const [found, score] = (
			await films1.similaritySearchWithScore("monster spaceship crew", 1)
		)[0] as [LangChainDocument, number];
		expect(found).toBeInstanceOf(LangChainDocument);
		expect(found).toMatchObject(films[0] as object);
		expect(score).toBeGreaterThan(0.3);
		expect(score).toBeLessThanOrEqual(1);
		// Fields of the model are in their columns.
		expect(
			await db.service
				.repository(Note)
				.find(
					{ tenantId: "added", year: { gte: 2000 } },
					{ orderBy: "name asc" },
				),
		).toMatchObject([
			{
				name: "amelie",
				category: "comedy",
				metadata: { source: "wiki", stars: 4 },
			},
			{ name: "ratatouille", labels: ["food", "animals"], metadata: {} },
		]);
	});

	test("of a known id are updated", async () => {
		const films1 = store("updated");
		await films1.addDocuments(films);
		await films1.addDocuments([
			{ id: "alien", pageContent: "a cat survives", metadata: { year: 1979 } },
		]);
		const [found] = await films1.similaritySearch("cat survives", 1);
		expect(found).toMatchObject({ id: "alien", pageContent: "a cat survives" });
		expect(
			await db.service.repository(Note).count({ tenantId: "updated" }),
		).toBe(4);
	});

	test("get ids, or take those of the call", async () => {
		const films1 = store("ids");
		const [id] = await films1.addDocuments([
			{ pageContent: "x", metadata: {} },
		]);
		expect(id).toMatch(/^[0-9a-f-]{36}$/);
		expect(
			await films1.addDocuments([{ pageContent: "y", metadata: {} }], {
				ids: ["mine"],
			}),
		).toEqual(["mine"]);
		expect(
			await films1.addDocuments([
				{ pageContent: "z", metadata: { name: "named" } },
			]),
		).toEqual(["named"]);
		expect(await films1.addDocuments([])).toEqual([]);
	});

	test("without a natural key have the row's id", async () => {
		const loose = new RemVectorStore({
			service: db.service,
			entity: Loose,
			tenantId: "loose",
		});
		const [id] = await loose.addDocuments([
			{ pageContent: "hello", metadata: { a: 1 } },
		]);
		expect(await loose.similaritySearch("hello", 1)).toEqual([
			new LangChainDocument({
				pageContent: "hello",
				metadata: { a: 1 },
				id: id as string,
			}),
		]);
		expect(
			await codeOf(
				loose.addDocuments([{ id: "no-uuid", pageContent: "x", metadata: {} }]),
			),
		).toBe("VALIDATION");
	});

	test("with ready vectors ask no provider", async () => {
		const films1 = store("ready");
		const near = await films1.embeddings.embedQuery("about trains");
		await films1.addVectors(
			[near],
			[{ id: "trains", pageContent: "locomotives", metadata: {} }],
		);
		const [[found, score] = []] = await films1.similaritySearchVectorWithScore(
			near,
			1,
		);
		expect(found?.id).toBe("trains");
		expect(score).toBeCloseTo(1, 5);
		expect(await codeOf((async () => films1.addVectors([], films))())).toBe(
			"VALIDATION",
		);
	});

	test("are deleted by ids and by filter, and nothing without either", async () => {
		const films1 = store("deleted");
		await films1.addDocuments(films);
		await films1.delete({ ids: ["alien", "unknown"] });
		await films1.delete({ filter: { source: "wiki" } });
		await films1.delete({ ids: ["aliens"], filter: { category: "comedy" } });
		const left = await films1.similaritySearch("anything", 10);
		expect(left.map(({ id }) => id).sort()).toEqual(["aliens", "ratatouille"]);
		expect(await codeOf(films1.delete())).toBe("VALIDATION");
	});

	test("belong to the tenant and the user", async () => {
		await store("one", "anna").addDocuments(films);
		expect(await store("two").similaritySearch("monster", 4)).toEqual([]);
		expect(await store("one", "bert").similaritySearch("monster", 4)).toEqual(
			[],
		);
		await store("two").delete({ ids: ["alien"] });
		await store("one", "bert").delete({ ids: ["alien"] });
		expect(
			await store("one", "anna").similaritySearch("monster", 9),
		).toHaveLength(4);
		expect(
			await codeOf(
				store("one").addDocuments([
					{ id: "x", pageContent: "x", metadata: { tenantId: "two" } },
				]),
			),
		).toBe("no error");
		expect(await db.service.repository(Note).count({ tenantId: "two" })).toBe(
			0,
		);
	});
});

describe("filters", () => {
	test.each<[object, string[]]>([
		[{ category: "horror" }, ["alien", "aliens"]],
		[{ year: { gte: 1986, lt: 2007 } }, ["aliens", "amelie"]],
		[{ category: { in: ["comedy"] }, source: "wiki" }, ["amelie"]],
		[{ stars: 4 }, ["aliens", "amelie"]],
		[{ stars: { gt: 4 } }, ["alien"]],
		[{ source: { notIn: ["wiki"] } }, ["aliens", "ratatouille"]],
		[{ source: { ne: "wiki" }, stars: { gte: 1 } }, ["aliens"]],
		[{ source: null }, ["ratatouille"]],
		[{ labels: { arrayContains: ["food"] } }, ["ratatouille"]],
		[{ OR: [{ stars: 5 }, { year: 2007 }] }, ["alien", "ratatouille"]],
		[{ NOT: { source: "wiki" } }, ["aliens", "ratatouille"]],
		[{ AND: [{ source: "wiki" }, { category: "comedy" }] }, ["amelie"]],
		[{ "a'b\"c": "d" }, []],
	])("%j", async (filter, expected) => {
		const films1 = store("filters");
		await films1.addDocuments(films);
		const found = await films1.similaritySearch("film", 10, filter as never);
		expect(found.map(({ id }) => id).sort()).toEqual(expected);
		const retriever = films1.asRetriever({ k: 10, filter: filter as never });
		expect((await retriever.invoke("film")).map(({ id }) => id).sort()).toEqual(
			expected,
		);
	});

	test.each([
		[{ OR: { stars: 5 } }],
		["category = 'horror'"],
		[{ year: { near: 5 } }],
	])("%j is refused", async (filter) => {
		expect(
			await codeOf(store("filters").similaritySearch("x", 1, filter as never)),
		).toBe("FILTER_REFUSED");
	});
});

describe("maximal marginal relevance", () => {
	test("leaves out what repeats a nearer document", async () => {
		const films1 = store("mmr");
		await films1.addDocuments(films);
		const query = "spaceship crew monster in space or Paris";
		const ids = async (lambda: number) =>
			(await films1.maxMarginalRelevanceSearch(query, { k: 2, lambda })).map(
				({ id }) => id,
			);
		const near = (await films1.similaritySearch(query, 2)).map(({ id }) => id);
		expect(await ids(1)).toEqual(near);
		expect(new Set(near)).toEqual(new Set(["alien", "aliens"]));
		const [first, second] = await ids(0.3);
		expect(first).toBe(near[0]);
		expect(["amelie", "ratatouille"]).toContain(second);
		expect(
			await codeOf(
				films1.maxMarginalRelevanceSearch(query, { k: 2, lambda: 2 }),
			),
		).toBe("VALIDATION");
		const retriever = films1.asRetriever({ k: 2, searchType: "mmr" });
		expect(await retriever.invoke(query)).toHaveLength(2);
	});
});

describe("a retriever over recall", () => {
	test("gives what recall gives, of its tenant and user", async () => {
		await store("recalled", "anna").addDocuments(films);
		const retriever = (userId: string, more = {}) =>
			new RemRetriever({
				service: db.service,
				tenantId: "recalled",
				userId,
				...more,
			});
		const found = await retriever("anna", { k: 2 }).invoke("ratatouille");
		const { items } = await db.service.recall({
			query: "ratatouille",
			tenantId: "recalled",
			userId: "anna",
			limit: 2,
		});
		expect(found).toHaveLength(2);
		expect(found[0]).toMatchObject({
			pageContent: items[0]?.text,
			id: items[0]?.entityId,
			metadata: {
				entityType: "notes",
				entityKey: "ratatouille",
				reasons: expect.arrayContaining([
					expect.objectContaining({ step: "lookup" }),
				]),
			},
		});
		expect(await retriever("bert").invoke("ratatouille")).toEqual([]);
		const few = await retriever("anna", { maxTokens: 20 }).invoke(
			"ratatouille",
		);
		expect(few.length).toBeLessThan(4);
		const elsewhere = { entityTypes: ["loose_notes"] };
		expect(await retriever("anna", elsewhere).invoke("ratatouille")).toEqual(
			[],
		);
		expect(
			await codeOf(retriever("anna", { entityTypes: ["nope"] }).invoke("x")),
		).toBe("UNKNOWN_ENTITY");
	});
});

test("a store and a retriever refuse a user that is given as undefined", () => {
	const config = {
		service: db.service,
		entity: Note,
		tenantId: "x",
		userId: undefined,
	} as never;
	for (const open of [
		() => new RemVectorStore(config),
		() => new RemRetriever(config),
	])
		expect(open).toThrow(expect.objectContaining({ code: "VALIDATION" }));
});

describe("a store", () => {
	test("says what it cannot be made of", () => {
		const make =
			(entity: never, more = {}) =>
			() =>
				new RemVectorStore({
					service: db.service,
					entity,
					tenantId: "x",
					...more,
				});
		expect(make(Composite as never)).toThrow(
			/key of "pages" has several fields/,
		);
		expect(make(TwoTexts as never)).toThrow(/2 embedded fields/);
		expect(make(TwoTexts as never, { textField: "title" })).toThrow(
			/"title" is not an embedded field/,
		);
		make(TwoTexts as never, { textField: "summary" })();
	});

	test("is made of texts with the embeddings of the service", async () => {
		const { url, drop } = await createDatabase();
		const embeddings = new FakeEmbeddings();
		const service = await PostgresService.connect({
			connectionString: url,
			models: [Note],
			embedding: {
				provider: fromLangChain(embeddings, { model: "fake", dimensions: 4 }),
			},
		});
		await service.migrate();
		const config = { service, entity: Note, tenantId: "made" };
		const made = await RemVectorStore.fromTexts(
			["one", "two"],
			[{ year: 1 }, { year: 2 }],
			embeddings,
			config,
		);
		expect(await made.similaritySearch("one", 5)).toHaveLength(2);
		expect(
			await codeOf(
				RemVectorStore.fromTexts(["x"], {}, new FakeEmbeddings(), config),
			),
		).toBe("VALIDATION");
		await RemVectorStore.fromTexts(["three"], {}, made.embeddings, config);
		expect(await made.similaritySearch("one", 5)).toHaveLength(3);
		await service.close();
		await drop();
	});
});
