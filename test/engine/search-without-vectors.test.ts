import { beforeAll, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { coreOf, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

// Rows are found by words and names in tables where the tenant has no vector.

const fields = { name: z.string(), content: z.string().optional() };
const Film = defineEntity("films", fields, { entityKeyField: "name" });
const Memo = defineEntity("memos", fields, { entityKeyField: "name" });
const Log = defineEntity(
	"logs",
	{ content: z.string() },
	{ entityKeyField: null },
);
const models = [Film, Memo, Log] as const;
const provider = new FakeProvider();
const db = useService({ models, embedding: { provider } });

const film = {
	name: "Metropolis",
	content: "A zeppelin flies over the tower.",
};

beforeAll(async () => {
	const { service } = db;
	const withoutVectors = { generateEmbeddings: false } as const;
	for (const tenantId of ["none", "some"]) {
		await service.batchUpsert({
			tableName: "films",
			tenantId,
			entities: [film],
			...withoutVectors,
		});
		await service.batchUpsert({
			tableName: "logs",
			tenantId,
			entities: [{ content: "The zeppelin was moored." }],
			...withoutVectors,
		});
	}
	await service.batchUpsert({
		tableName: "films",
		tenantId: "users",
		userId: "eve",
		entities: [film],
		...withoutVectors,
	});
	await service.batchUpsert({
		tableName: "memos",
		tenantId: "some",
		entities: Array.from({ length: 20 }, (_, at) => ({
			name: `memo ${at}`,
			content: `Text ${at} of something else.`,
		})),
	});
});
beforeEach(() => provider.reset());

const query = "where does the zeppelin fly";
const found = (hits: readonly { readonly entityType: string }[]) =>
	hits.map(({ entityType }) => entityType).sort();

test.each(["none", "some"])(
	"recall and hybridSearch without a table find rows without vectors by their words: %s of the tables have vectors",
	async (tenantId) => {
		const { service } = db;
		const { items } = await service.recall({ query, tenantId });
		expect(found(items)).toEqual(expect.arrayContaining(["films", "logs"]));
		const hits = await service.hybridSearch({ query, tenantId });
		expect(found(hits)).toEqual(expect.arrayContaining(["films", "logs"]));
		const [hit] = hits.filter(({ entityType }) => entityType === "films");
		expect(hit).toMatchObject({ name: film.name, ranks: { text: 1 } });
		const one = { query, tenantId, tableName: "films" as const };
		expect((await service.hybridSearch(one)).map(({ name }) => name)).toEqual([
			film.name,
		]);
	},
);

test("a similar name is found where no vector is", async () => {
	const call = { query: "metropolys", tenantId: "none" };
	const [hit] = await db.service.hybridSearch(call);
	expect(hit).toMatchObject({ name: film.name, ranks: { trigram: 1 } });
});

test("no provider is asked where no table has vectors, and vectorSearch finds nothing", async () => {
	const { service } = db;
	await service.recall({ query: "a zeppelin", tenantId: "none" });
	await service.hybridSearch({ query: "a zeppelin", tenantId: "none" });
	const nearest = await service.vectorSearch({
		queryText: "a zeppelin",
		tenantId: "none",
	});
	expect(nearest).toEqual([]);
	expect(provider.asked).toEqual([]);
});

test("the words of other users and tenants are not searched", async () => {
	const { service } = db;
	const tenantId = "users";
	const ofUser = async (userId: string | null) =>
		found(await service.hybridSearch({ query, tenantId, userId }));
	expect(await ofUser("eve")).toEqual(["films"]);
	expect(await ofUser("bob")).toEqual([]);
	expect(await ofUser(null)).toEqual([]);
	expect(await service.hybridSearch({ query, tenantId: "empty" })).toEqual([]);
});

test("the explanation has a part for each table that was searched", async () => {
	const hits = await db.service.hybridSearch({
		query,
		tenantId: "some",
		explain: true,
	});
	expect(Object.keys(hits.explain).sort()).toEqual(["films", "logs", "memos"]);
	expect(hits.explain.films?.lists?.text?.candidates).toHaveLength(1);
	for (const { weights, fields } of Object.values(hits.explain)) {
		const vector = fields.length > 0 ? expect.any(Number) : 0;
		expect(weights).toEqual({ vector, text: 1, name: 0.5 });
	}
});

test("rows whose words are not stored yet are found as well", async () => {
	const { service } = db;
	const core = coreOf(service, "none");
	const { schema } = core.settings;
	await core.handle("none").script(
		`DELETE FROM "${schema}".rem_words_films WHERE tenant_id = 'none';
UPDATE "${schema}".rem_word_sources SET is_filled = false WHERE entity_type = 'films';`,
	);
	core.vectorStatistics.forget();
	const hits = await service.hybridSearch({ query, tenantId: "none" });
	expect(found(hits)).toEqual(["films", "logs"]);
});

test("a table with vectors of another model is searched by its words", async () => {
	const tenantId = "two models";
	const { service } = db;
	const core = coreOf(service, tenantId);
	const other = new FakeProvider("fake", "m2", 8);
	service.embeddings.registerProvider(other);
	await core
		.handle(tenantId)
		.script(
			`UPDATE "${core.settings.schema}".rem_embedding_models SET model = 'm2' WHERE entity_type = 'logs';`,
		);
	core.embeddings.models.forget();
	await service.batchUpsert({
		tableName: "films",
		tenantId,
		entities: [film],
	});
	await service.batchUpsert({
		tableName: "logs",
		tenantId,
		entities: [{ content: film.content }],
	});
	expect(other.asked).toEqual([film.content]);
	const hits = await service.hybridSearch({ query, tenantId });
	expect(found(hits)).toEqual(["films", "logs"]);
	const near = await service.vectorSearch({ queryText: query, tenantId });
	expect(found(near)).toEqual(["films"]);
});
