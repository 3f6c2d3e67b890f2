import { inspect } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { cohereProvider } from "../../../src/embeddings/cohere.ts";
import { embedEach } from "../../../src/embeddings/embed-each.ts";
import { generateBatch } from "../../../src/embeddings/generate-batch.ts";
import { openaiProvider } from "../../../src/embeddings/openai.ts";
import {
	type EmbeddingServer,
	type Fault,
	faults,
	startEmbeddingServer,
	vectorOf,
} from "../../support/embedding-server.ts";

const key = "sk-canary-key";
const text = "canary text";

let server: EmbeddingServer;
beforeAll(async () => {
	server = await startEmbeddingServer();
});
beforeEach(() => server.reset());
afterAll(() => server.close());

const retry = {
	attempts: 2,
	baseMs: 1,
	maxMs: 1,
	deadlineMs: 10_000,
	timeoutMs: 5000,
};
const options = { purpose: "document", retry } as const;

function openai() {
	return openaiProvider({
		model: "text-embedding-3-small",
		dimensions: 1536,
		baseUrl: server.openaiUrl,
		apiKey: key,
	});
}

function cohere() {
	return cohereProvider({
		model: "embed-english-v3.0",
		dimensions: 1024,
		baseUrl: server.url,
		apiKey: key,
	});
}

test("returns the vectors in the order of the texts, repeated ones included", async () => {
	const texts = ["b", "a", "b", "c"];
	expect(await generateBatch(openai(), texts, options)).toEqual(
		texts.map((text) => vectorOf(text, 1536)),
	);
});

test("throws when one text has no vector, and reports how many and which", async () => {
	server.refuse((text) => text === "bad");
	const texts = ["good", "bad", "fine", "bad"];
	await expect(generateBatch(openai(), texts, options)).rejects.toMatchObject({
		code: "PROVIDER_FAILED",
		message:
			'embedding provider "openai" refused the text (status 400); 2 of 4 texts have no vector',
		issues: [
			{ field: "texts[1]", message: "refused the text (status 400)" },
			{ field: "texts[3]", message: "refused the text (status 400)" },
		],
	});
});

test("names at most a hundred texts", async () => {
	server.misbehave("server-error", 10);
	const texts = Array.from({ length: 300 }, (_, at) => `text ${at}`);
	await expect(generateBatch(openai(), texts, options)).rejects.toMatchObject({
		message: expect.stringContaining("300 of 300 texts"),
		issues: { length: 100 },
	});
});

test("reports the best explanation first", async () => {
	server.refuse((text) => text === "bad");
	server.misbehave("none", 6);
	server.misbehave("key-refused", 50);
	await expect(
		generateBatch(openai(), ["a", "bad", "b", "c", "d"], {
			...options,
			batchSize: 2,
			parallelCalls: 1,
		}),
	).rejects.toMatchObject({ code: "PROVIDER_NOT_CONFIGURED" });
});

test("a query is one text: its error counts nothing", async () => {
	server.misbehave("key-refused");
	await expect(
		generateBatch(openai(), ["a"], { ...options, purpose: "query" }),
	).rejects.toMatchObject({
		code: "PROVIDER_NOT_CONFIGURED",
		message:
			'embedding provider "openai" refused the key (status 401, invalid_api_key)',
		hint: "check the provider's API key and what it may be used for",
	});
});

test.each(Object.keys(faults) as Fault[])(
	"neither key nor text is in any error: %s",
	async (fault) => {
		const timeoutMs = fault === "hang" ? 30 : 5000;
		const options = {
			purpose: "document",
			retry: { ...retry, timeoutMs },
		} as const;
		for (const provider of [openai(), cohere()]) {
			server.misbehave(fault, 40);
			const thrown = await generateBatch(
				provider,
				[text, `${text} two`],
				options,
			).catch((error: unknown) => error);
			const outcomes = await embedEach(provider, [text], options);
			const shown = inspect([thrown, outcomes], {
				depth: 10,
				showHidden: true,
				maxArrayLength: 3,
			});
			expect(shown).not.toContain("canary");
			server.reset();
		}
	},
);
