import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { cohereProvider } from "../../../src/embeddings/cohere.ts";
import { generateBatch } from "../../../src/embeddings/generate-batch.ts";
import {
	type EmbeddingServer,
	startEmbeddingServer,
	vectorOf,
} from "../../support/embedding-server.ts";
import { cohere } from "./documented-shapes.ts";

let server: EmbeddingServer;
beforeAll(async () => {
	server = await startEmbeddingServer({ apiKey: "co-test" });
});
beforeEach(() => server.reset());
afterAll(() => server.close());

function provider(model = "embed-english-v3.0", dimensions = 1024) {
	const { url: baseUrl } = server;
	return cohereProvider({ model, dimensions, baseUrl, apiKey: "co-test" });
}

test("sends documents in the documented form", async () => {
	await provider().embed(cohere.request.texts, { purpose: "document" });
	expect(server.lastBody).toEqual(cohere.request);
});

test("sends a question as search_query", async () => {
	await provider().embed(["hello"], { purpose: "query" });
	expect(server.lastBody?.input_type).toBe("search_query");
});

test("reads the documented answer", async () => {
	server.answerOnce(200, cohere.answer);
	expect(
		await provider().embed(cohere.request.texts, { purpose: "document" }),
	).toEqual(
		cohere.answer.embeddings.float.map((vector) => Float32Array.from(vector)),
	);
});

test("sends at most 96 texts in a call", async () => {
	const texts = Array.from({ length: 200 }, (_, at) => `text ${at}`);
	const vectors = await generateBatch(provider(), texts, {
		purpose: "document",
		batchSize: 2048,
	});
	expect(vectors[199]).toEqual(vectorOf("text 199", 1024));
	expect(server.stats).toMatchObject({ requests: 3, largestBatch: 96 });
});

test("asks embed-v4.0 for a shorter vector, and v3 for nothing", async () => {
	await provider("embed-v4.0", 512).embed(["a"], { purpose: "document" });
	expect(server.lastBody?.output_dimension).toBe(512);
	await provider().embed(["a"], { purpose: "document" });
	expect(server.lastBody).not.toHaveProperty("output_dimension");
});

test.each([
	[401, cohere.errors[401], "setup"],
	[429, cohere.errors[429], "busy"],
] as const)(
	"understands the documented error %i",
	async (status, body, kind) => {
		server.answerOnce(status, body);
		await expect(
			provider().embed(["a"], { purpose: "document" }),
		).rejects.toMatchObject({ kind });
	},
);
