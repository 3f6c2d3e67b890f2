import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { codeOf, createDatabase, engine } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

// A change of model: vectors of two models stand side by side, and searches see
// one of them at a time.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
const models = [Page] as const;

const old = new FakeProvider("fake", "old", 8);
const next = new FakeProvider("fake", "new", 12);
const warnings: string[] = [];
const logger = {
	...silentLogger,
	warn: (_: unknown, message: string) => warnings.push(message),
};
let database: Awaited<ReturnType<typeof createDatabase>>;
let service: PostgresService<typeof models>;

beforeAll(async () => {
	database = await createDatabase();
	service = await connect(old);
	await service.migrate();
});
afterAll(async () => {
	await service.close();
	await database.drop();
});
beforeEach(() => {
	old.reset();
	next.reset();
	warnings.length = 0;
});

async function connect(embedding: FakeProvider) {
	const connected = await PostgresService.connect({
		connectionString: database.url,
		models,
		embedding,
		logger,
	});
	connected.embeddings.registerProvider(embedding === old ? next : old);
	return connected;
}

const upsert = (name: string, content: string) =>
	service.batchUpsert({ tableName: "pages", entities: [{ name, content }] });

const search = async (queryText: string) =>
	(await service.vectorSearch({ tableName: "pages", queryText })).map(
		({ name }) => name,
	);

const states = async () =>
	(await service.embeddings.status()).fields.map(
		({ model, state, texts, embedded }) =>
			`${model} ${state} ${embedded} of ${texts}`,
	);

const vectors = async () => {
	const { rows } = await service.execute<{ model: string; n: number }>(
		"SELECT model, count(*) AS n FROM embeddings_pages GROUP BY model ORDER BY model",
	);
	return rows.map(({ model, n }) => `${n} ${model}`);
};

test("the configured model is the active one from the first migration on", async () => {
	await upsert("a", "one");
	await upsert("b", "two");
	expect(await states()).toEqual(["old active 2 of 2"]);
	expect(old.asked).toEqual(["one", "two"]);
	expect(next.asked).toEqual([]);
});

test("nothing is switched to that was not filled, nor pruned while it is searched", async () => {
	expect(await codeOf(service.embeddings.switch("new"))).toBe("VALIDATION");
	expect(await codeOf(service.embeddings.prune("old"))).toBe("VALIDATION");
	expect(await codeOf(service.embeddings.sync({ model: "newer" }))).toBe(
		"PROVIDER_NOT_CONFIGURED",
	);
});

test("another one is filled beside it, interrupted and resumed, while searches use the old one", async () => {
	expect(await service.embeddings.estimate({ model: "new" })).toMatchObject({
		texts: 2,
	});
	next.fail(401);
	expect(await codeOf(service.embeddings.sync({ model: "new" }))).toBe(
		"PROVIDER_NOT_CONFIGURED",
	);
	expect(await states()).toEqual(["old active 2 of 2", "new filling 0 of 2"]);
	const notYet = service.embeddings.switch("new");
	await expect(notYet).rejects.toMatchObject({
		code: "VALIDATION",
		message: expect.stringMatching(
			/^(bucket public_b\d\d: )?2 texts of "pages" have no vector of fake new \(12\) yet$/,
		),
	});
	next.reset();
	await service.embeddings.sync({ model: "new" });
	expect(await states()).toEqual(["old active 2 of 2", "new filling 2 of 2"]);
	expect(await vectors()).toEqual(["2 new", "2 old"]);
	await search("one");
	expect(old.asked).toEqual(["one"]);
	expect(next.asked.toSorted()).toEqual(["one", "two"]);
});

test("during the fill every text that changes is queued for it", async () => {
	expect(await upsert("b", "two more")).toMatchObject({
		embeddingsGenerated: 1,
		embeddingsQueued: 0,
	});
	await service.execute(
		"UPDATE pages SET content = 'one more' WHERE name = 'a'",
	);
	expect(await states()).toEqual(["old active 1 of 2", "new filling 0 of 2"]);
	await service.embeddings.sync();
	expect(await states()).toEqual(["old active 2 of 2", "new filling 2 of 2"]);
});

test("after the switch searches and writes use it; the old one is left behind, and pruned", async () => {
	expect(await service.embeddings.switch("new")).toEqual(["pages"]);
	expect(await service.embeddings.switch("new")).toEqual([]);
	expect(await search("two more")).toEqual(["b", "a"]);
	await upsert("c", "three");
	expect(next.asked).toEqual(["two more", "three"]);
	expect(old.asked).toEqual([]);
	expect(await states()).toEqual(["old retired 2 of 3", "new active 3 of 3"]);
	expect((await service.embeddings.status()).mismatched).toEqual(["pages"]);

	expect(await service.embeddings.prune("old")).toBe(2);
	expect(await vectors()).toEqual(["3 new"]);
	expect(await states()).toEqual(["new active 3 of 3"]);
});

test("ready vectors without provider and model are refused while the configuration differs", async () => {
	const row = {
		name: "d",
		content: "four",
		vectors: { content: new Float32Array(12).fill(1) },
	};
	const upsertReady = (named: object) =>
		service.batchUpsert({ tableName: "pages", entities: [row], ...named });
	expect(await codeOf(upsertReady({}))).toBe("PROVIDER_NOT_CONFIGURED");
	expect(await upsertReady({ embeddingModel: "new" })).toMatchObject({
		embeddingsGenerated: 1,
	});
});

test.runIf(engine === "server")(
	"a service that is configured for another model logs that when it connects, and uses the stored one",
	async () => {
		const other = await connect(old);
		expect(warnings).toEqual([
			'the configured model is fake old (8), but vectors are stored of "pages" in fake new (12): these are searched and written until `rem embeddings sync --model old` and `rem embeddings switch old`',
		]);
		await other.migrate();
		await other.vectorSearch({ tableName: "pages", queryText: "x" });
		expect(next.asked).toEqual(["x"]);
		await other.close();

		warnings.length = 0;
		await (await connect(next)).close();
		expect(warnings).toEqual([]);
	},
);

test.runIf(engine === "server")(
	"a table without vectors takes the model of the configuration at the next migration",
	async () => {
		const { url: connectionString, drop } = await createDatabase();
		const at = { connectionString, models, logger };
		const first = await PostgresService.connect({ ...at, embedding: old });
		await first.migrate();
		await first.execute(
			"INSERT INTO pages (tenant_id, name, content) VALUES ('default', 'a', 'one')",
		);
		await first.close();
		const second = await PostgresService.connect({ ...at, embedding: next });
		expect(warnings).toEqual([]);
		await second.migrate();
		expect(await second.embeddings.sync()).toMatchObject({ embedded: 1 });
		expect(next.asked).toEqual(["one"]);
		await second.close();
		await drop();
	},
);

test("a migration warns of a provider without a key, and one with another provider sets the tables to it", async () => {
	const empty = await createDatabase();
	const keyless = await PostgresService.connect({
		connectionString: empty.url,
		models,
		embedding: { provider: "openai" },
		logger,
	});
	try {
		await keyless.migrate();
		expect(warnings).toEqual([
			expect.stringMatching(
				/^texts cannot be embedded yet: provider "openai" has no key \(.*OPENAI_API_KEY.*\); with another provider \(EMBEDDING__PROVIDER=local needs no key\), migrate again/,
			),
		]);
		if (engine === "embedded") return;
		warnings.length = 0;
		const local = await PostgresService.connect({
			connectionString: empty.url,
			models,
			embedding: { provider: "local" },
			logger,
		});
		await local.migrate();
		expect(warnings.join("\n")).not.toContain("texts cannot be embedded yet");
		const { embeddingsGenerated } = await local.batchUpsert({
			tableName: "pages",
			entities: [{ name: "a", content: "some words" }],
		});
		expect(embeddingsGenerated).toBe(1);
		await local.close();
	} finally {
		await keyless.close();
		await empty.drop();
	}
});
