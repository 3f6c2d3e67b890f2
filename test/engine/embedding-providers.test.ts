import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOpenAI } from "@ai-sdk/openai";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
	type ConnectOptions,
	PostgresService,
	Resource,
} from "../../src/index.ts";
import {
	type EmbeddingServer,
	startEmbeddingServer,
} from "../support/embedding-server.ts";
import { createDatabase } from "../support/engine.ts";

// Providers through the whole service: what they make is stored and found.

let server: EmbeddingServer;
const drops: (() => Promise<void>)[] = [];
beforeAll(async () => {
	server = await startEmbeddingServer();
});
beforeEach(() => server.reset());
afterAll(async () => {
	await server.close();
	for (const drop of drops) await drop();
});

let tenants = 0;

/** Stores two texts and searches for one of them, in a tenant of its own. */
async function storesAndFinds(
	embedding: NonNullable<ConnectOptions["embedding"]>,
): Promise<void> {
	const service = await connect(embedding);
	const tenantId = `tenant-${++tenants}`;
	const result = await service.batchUpsert({
		tableName: "resources",
		entities: [
			{ name: "a", content: "alpha" },
			{ name: "b", content: "beta!" },
		],
		tenantId,
	});
	expect(result).toMatchObject({ inserted: 2, embeddingsGenerated: 2 });
	const [nearest] = await service.vectorSearch({
		tableName: "resources",
		queryText: "beta!",
		tenantId,
	});
	expect(nearest?.name).toBe("b");
	expect(nearest?.similarity).toBeCloseTo(1, 4);
	await service.close();
}

async function connect(embedding: NonNullable<ConnectOptions["embedding"]>) {
	// Each has its own: a table stays with the model that its first vectors are of.
	const { url: connectionString, drop } = await createDatabase();
	drops.push(drop);
	const options = { connectionString, models: [Resource], embedding } as const;
	const service = await PostgresService.connect(options);
	await service.migrate();
	return service;
}

test("a server that speaks OpenAI's protocol, and stumbles", async () => {
	server.misbehave("rate-limited");
	server.misbehave("server-error");
	const { openaiUrl: baseUrl } = server;
	const retry = { baseMs: 1 };
	await storesAndFinds({ provider: "openai", baseUrl, retry });
});

test("Cohere", async () => {
	const { url: baseUrl } = server;
	await storesAndFinds({ provider: "cohere", baseUrl, apiKey: "k" });
	expect(server.lastBody?.input_type).toBe("search_query");
});

test("a model of the AI SDK", async () => {
	const openai = createOpenAI({ apiKey: "k", baseURL: server.openaiUrl });
	await storesAndFinds(openai.embedding("text-embedding-3-small"));
});

test("a provider named by its module", async () => {
	const folder = await mkdtemp(join(tmpdir(), "rem-provider-"));
	const path = join(folder, "lengths.mjs");
	await writeFile(
		path,
		`export default ({ dimensions }) => ({
			name: "lengths", model: "m", dimensions, limits: { maxTexts: 3 },
			embed: async (texts) => texts.map((text) =>
				Float32Array.from({ length: dimensions }, (_, at) => text.charCodeAt(at))),
		})`,
	);
	await storesAndFinds({ provider: `module:${path}`, dimensions: 4 });
	await rm(folder, { recursive: true });
});

test("a bad text is named by its row and field, and nothing is written", async () => {
	server.refuse((text) => text === "bad");
	const { openaiUrl: baseUrl } = server;
	const service = await connect({ provider: "openai", baseUrl });
	const upsert = service.batchUpsert({
		tableName: "resources",
		entities: [
			{ name: "c", content: "fine" },
			{ name: "d", description: "good", content: "bad" },
		],
		tenantId: "bad-text",
	});
	await expect(upsert).rejects.toMatchObject({
		code: "PROVIDER_FAILED",
		message:
			'embedding provider "openai" refused the text (status 400); 1 of 3 texts have no vector',
		issues: [
			{ index: 1, field: "content", message: "refused the text (status 400)" },
		],
	});
	const rows = service.repository(Resource).count({ tenantId: "bad-text" });
	expect(await rows).toBe(0);
	await service.close();
});

test("a provider that is registered is asked for by its name, and directly", async () => {
	const service = await connect({ provider: "local" });
	service.embeddings.registerProvider({
		name: "mine",
		model: "m",
		dimensions: 2,
		limits: { maxTexts: 10 },
		embed: async (texts) =>
			texts.map((text) => Float32Array.of(text.length, 1)),
	});
	expect(
		await service.embeddings.generateBatch(["a", "abc"], { provider: "mine" }),
	).toEqual([Float32Array.of(1, 1), Float32Array.of(3, 1)]);
	const tenantId = `tenant-${++tenants}`;
	const result = await service.batchUpsert({
		tableName: "resources",
		entities: [{ name: "a", content: "alpha" }],
		tenantId,
		embeddingProvider: "mine",
	});
	expect(result).toMatchObject({ embeddingsGenerated: 1 });
	await service.close();
});
