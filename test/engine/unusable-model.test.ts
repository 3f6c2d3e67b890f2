import { afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type EmbeddingOptions,
	type EmbeddingProvider,
	PostgresService,
} from "../../src/index.ts";
import { coresOf, createDatabase } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

// A table that is set to a model which this service cannot use: another one has
// migrated the database.

const Person = defineEntity(
	"people",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);

let database: Awaited<ReturnType<typeof createDatabase>>;
let service: Awaited<ReturnType<typeof connect>>;
let warned: string[];

beforeEach(async () => {
	warned = [];
	database = await createDatabase();
	service = await connect(new FakeProvider("theirs", "m1", 8));
	await service.migrate();
});

afterEach(async () => {
	await service.close();
	await database.drop();
});

function connect(embedding: EmbeddingProvider | EmbeddingOptions) {
	const quiet = () => {};
	return PostgresService.connect({
		connectionString: database.url,
		models: [Person],
		embedding,
		poolSize: 2,
		backgroundIndex: { enabled: false },
		logger: {
			debug: quiet,
			info: quiet,
			warn: (_: object, text: string) => warned.push(text),
			error: quiet,
		},
	});
}

/** In place of the service that migrated: of the embedded database in memory there is one. */
async function setTo(provider: string, model: string) {
	await service.execute(
		`UPDATE rem_embedding_models SET provider = '${provider}', model = '${model}'`,
	);
	for (const { embeddings } of coresOf(service)) embeddings.models.forget();
}

const write = () =>
	service.batchUpsert({
		tableName: "people",
		entities: [{ name: "a", content: "one" }],
	});

/** As a program in JavaScript may name it. */
const named = (provider: string) =>
	({ provider, dimensions: 8 }) as EmbeddingOptions;

const isSet =
	'table "people" is set to openai m2 (8) in the database, this service to theirs m1 (8)';

test("a write and a search name both models, and the remedy works while there are no vectors", async () => {
	await setTo("openai", "m2");
	const search = () =>
		service.vectorSearch({ tableName: "people", queryText: "one" });
	const searchAll = () => service.hybridSearch({ query: "one" });
	for (const call of [write, search, searchAll])
		await expect(call()).rejects.toMatchObject({
			code: "PROVIDER_NOT_CONFIGURED",
			message: expect.stringContaining(
				`${isSet}: provider "openai" has no key`,
			),
			hint: expect.stringMatching(
				/migrate\(\) of this service.*EMBEDDING__PROVIDER=theirs.*rem embeddings sync --model m1/,
			),
		});
	await service.migrate();
	await expect(write()).resolves.toMatchObject({ embeddingsGenerated: 1 });
});

test("a model that the call itself names is reported as such", async () => {
	await setTo("openai", "m2");
	const call = service.batchUpsert({
		tableName: "people",
		entities: [{ name: "a", content: "one" }],
		embeddingProvider: "openai",
		embeddingModel: "text-embedding-3-small",
	});
	await expect(call).rejects.toMatchObject({
		message: 'provider "openai" has no key',
	});
});

test("the doctor warns of it before there are vectors, and is content after the migration", async () => {
	const checks = async () =>
		(await service.doctor()).checks.filter(({ name }) => name === "embeddings");
	expect(await checks()).toMatchObject([{ state: "ok" }]);
	await setTo("openai", "m2");
	expect(await checks()).toMatchObject([
		{
			state: "warning",
			found: expect.stringMatching(
				/^(all 3 buckets: )?people is set to openai\/m2 \(8\); the configuration to theirs\/m1; provider "openai" has no key$/,
			),
			remedy: expect.stringContaining("EMBEDDING__PROVIDER=theirs"),
		},
	]);
	await service.migrate();
	expect(await checks()).toMatchObject([{ state: "ok" }]);
	// One that works here is the configured one at the next migration.
	await setTo("local", "lexical-v1");
	expect(await checks()).toMatchObject([{ state: "ok" }]);
});

test("a connection warns of it, not of one that can be used here", async () => {
	await setTo("openai", "m2");
	await service.embeddings.warnOfMismatch();
	expect(warned).toEqual([
		expect.stringContaining(`${isSet}: provider "openai" has no key; while`),
	]);
	warned = [];
	await setTo("local", "lexical-v1");
	await service.embeddings.warnOfMismatch();
	await setTo("registered later", "m3");
	await service.embeddings.warnOfMismatch();
	expect(warned).toEqual([]);
});

test("an unknown provider is a warning at the connection if it is near a known name, and at the migration in any case", async () => {
	await service.close();
	for (const [provider, count, hint] of [
		["opnai", 2, 'did you mean "openai"?'],
		["theirs", 1, "known: cohere, local, openai, transformers"],
	] as const) {
		warned = [];
		service = await connect(named(provider));
		await service.migrate();
		expect(warned).toEqual(
			Array(count).fill(
				`unknown embedding provider "${provider}": texts cannot be embedded (${hint}); a provider of your own is registered with embeddings.registerProvider()`,
			),
		);
		await service.close();
	}
	warned = [];
	service = await connect(named("theirs"));
	service.embeddings.registerProvider(new FakeProvider("theirs", "m1", 8));
	await service.migrate();
	expect(warned).toEqual([]);
	await expect(write()).resolves.toMatchObject({ embeddingsGenerated: 1 });
});
