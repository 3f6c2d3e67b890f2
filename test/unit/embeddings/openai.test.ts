import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openaiProvider } from "../../../src/embeddings/openai.ts";
import {
	type EmbeddingServer,
	startEmbeddingServer,
	vectorOf,
} from "../../support/embedding-server.ts";
import { openai } from "./documented-shapes.ts";

let server: EmbeddingServer;
beforeAll(async () => {
	server = await startEmbeddingServer();
});
beforeEach(() => server.reset());
afterAll(() => server.close());

const document = { purpose: "document" } as const;

function provider(model = "text-embedding-3-small", dimensions = 1536) {
	return openaiProvider({ model, dimensions, baseUrl: server.openaiUrl });
}

test("asks for base64 in the documented form and sends the key as bearer", async () => {
	const keyed = openaiProvider({
		model: "text-embedding-3-small",
		dimensions: 1536,
		baseUrl: `${server.openaiUrl}/`,
		apiKey: "sk-test",
	});
	await keyed.embed(openai.request.input, document);
	expect(server.lastBody).toEqual({
		...openai.request,
		encoding_format: "base64",
	});
	expect(server.lastHeaders.authorization).toBe("Bearer sk-test");
});

test("sends no authorization without a key", async () => {
	await provider().embed(["a"], document);
	expect(server.lastHeaders.authorization).toBeUndefined();
});

test("has OpenAI's limits for OpenAI's models and careful ones for others", () => {
	expect(provider().limits).toEqual({
		maxTexts: 2048,
		maxTokensPerText: 8192,
		maxTokensPerRequest: 300_000,
	});
	expect(provider("nomic-embed-text", 768).limits).toEqual({ maxTexts: 32 });
});

test("decodes base64 to the numbers the server has", async () => {
	const texts = ["one", "two", "three"];
	expect(await provider().embed(texts, document)).toEqual(
		texts.map((text) => vectorOf(text, 1536)),
	);
});

test("reads the documented answer, in numbers and in base64", async () => {
	server.answerOnce(200, openai.answer);
	const numbers = await provider("any", 4).embed(["a", "b"], document);
	expect(numbers).toEqual(
		openai.answer.data.map(({ embedding }) => Float32Array.from(embedding)),
	);
	const item = { ...openai.answer.data[0], embedding: openai.base64 };
	server.answerOnce(200, { ...openai.answer, data: [item] });
	expect(await provider("any", 4).embed(["a"], document)).toEqual([numbers[0]]);
});

test("accepts numbers although it asked for base64", async () => {
	server.misbehave("floats");
	expect(await provider().embed(["one"], document)).toEqual([
		vectorOf("one", 1536),
	]);
});

test("puts vectors into the order of their index", async () => {
	server.misbehave("permuted");
	const texts = ["one", "two", "three"];
	expect(await provider().embed(texts, document)).toEqual(
		texts.map((text) => vectorOf(text, 1536)),
	);
});

test("takes the order as it is when there is no index", async () => {
	server.misbehave("no-index");
	expect(await provider().embed(["one", "two"], document)).toEqual(
		["one", "two"].map((text) => vectorOf(text, 1536)),
	);
});

test("asks for shorter vectors of a model that can make them", async () => {
	const [vector] = await provider("text-embedding-3-large", 256).embed(
		["one"],
		document,
	);
	expect(server.lastBody?.dimensions).toBe(256);
	expect(vector).toEqual(vectorOf("one", 256));
});

test("omits dimensions when they are the model's own", async () => {
	await provider("text-embedding-3-large", 3072).embed(["one"], document);
	expect(server.lastBody).not.toHaveProperty("dimensions");
});

test("asks an unknown model for a shorter length only when its vectors are too long", async () => {
	const shortened = provider("qwen3-embedding", 256);
	expect(await shortened.embed(["one"], document)).toEqual([
		vectorOf("one", 256),
	]);
	expect(server.stats.requests).toBe(2);
	await shortened.embed(["two"], document);
	expect(server.stats.requests).toBe(3);
});

test("leaves the wrong length to the check when the server cannot shorten", async () => {
	const stubborn = await startEmbeddingServer({ refusesDimensions: true });
	const [vector] = await openaiProvider({
		model: "bge-base",
		dimensions: 256,
		baseUrl: stubborn.openaiUrl,
	}).embed(["one"], document);
	expect(vector?.length).toBe(768);
	await stubborn.close();
});

test("asks for numbers from a server that refuses base64, and goes on so", async () => {
	const old = await startEmbeddingServer({ refusesBase64: true });
	const numbers = openaiProvider({
		model: "bge-base",
		dimensions: 768,
		baseUrl: old.openaiUrl,
	});
	expect(await numbers.embed(["one"], document)).toEqual([
		vectorOf("one", 768),
	]);
	await numbers.embed(["two"], document);
	expect(old.stats.requests).toBe(3);
	await old.close();
});

test("finds the form a server wants although many calls begin at once and some are bad", async () => {
	const old = await startEmbeddingServer({ refusesBase64: true });
	old.refuse((text) => text.startsWith("bad"));
	const numbers = openaiProvider({
		model: "bge-base",
		dimensions: 256,
		baseUrl: old.openaiUrl,
	});
	const texts = ["bad 1", "a", "bad 2", "b", "c", "bad 3"];
	const calls = texts.map((text) => numbers.embed([text], document));
	const kinds = (await Promise.allSettled(calls)).map(({ status }) => status);
	expect(kinds).toEqual(
		texts.map((text) => (text.startsWith("bad") ? "rejected" : "fulfilled")),
	);
	expect(await numbers.embed(["d"], document)).toEqual([vectorOf("d", 256)]);
	expect(old.lastBody).toMatchObject({
		encoding_format: "float",
		dimensions: 256,
	});
	await old.close();
});

test("goes on with base64 when it was the text that was refused", async () => {
	server.refuse((text) => text === "bad");
	const base64 = provider("bge-base", 768);
	await expect(base64.embed(["bad"], document)).rejects.toMatchObject({
		kind: "text",
	});
	await base64.embed(["good"], document);
	expect(server.lastBody?.encoding_format).toBe("base64");
});

test.each([
	["key-refused", "setup", "refused the key (status 401, invalid_api_key)"],
	["forbidden", "setup", "does not permit this to the key (status 403)"],
	[
		"no-such-model",
		"setup",
		"does not offer this model at this address (status 404, model_not_found)",
	],
	[
		"redirect",
		"setup",
		"redirects to another address, which is not followed (status 307)",
	],
	[
		"rate-limited",
		"busy",
		"limits the rate of our calls (status 429, rate_limit_exceeded)",
	],
	[
		"no-credit",
		"busy",
		"has no credit left for this account (status 429, insufficient_quota)",
	],
	["server-error", "down", "answered with an error (status 500)"],
	["bad-request", "text", "refused the text (status 400)"],
	["too-large", "text", "refused the text (status 413)"],
	["html", "answer", "answered with a page that is not JSON"],
	["other-json", "answer", "answered with JSON without vectors"],
	["reset", "down", "could not be reached (UND_ERR_SOCKET)"],
	["truncated", "down", "broke off its answer (UND_ERR_SOCKET)"],
	["short", "text", "answered with 1 vectors for 2 texts"],
	["duplicate-index", "text", "answered with a wrong order of vectors"],
] as const)("%s is a failure of kind %s", async (fault, kind, message) => {
	server.misbehave(fault, 2);
	await expect(provider().embed(["a", "b"], document)).rejects.toMatchObject({
		name: "CallFailure",
		kind,
		message,
	});
});

test.each([
	[401, openai.errors[401], "setup"],
	[429, openai.errors[429], "busy"],
	[429, openai.errors.quota, "busy"],
] as const)(
	"understands the documented error %i",
	async (status, body, kind) => {
		server.answerOnce(status, body);
		await expect(provider().embed(["a"], document)).rejects.toMatchObject({
			kind,
			retryAfterMs: body === openai.errors.quota ? Infinity : undefined,
		});
	},
);

test("a server that is not there cannot be reached", async () => {
	const gone = await startEmbeddingServer();
	const baseUrl = gone.openaiUrl;
	await gone.close();
	await expect(
		openaiProvider({ model: "m", dimensions: 4, baseUrl }).embed(
			["a"],
			document,
		),
	).rejects.toMatchObject({
		kind: "down",
		message: "could not be reached (ECONNREFUSED)",
	});
});

test.each([
	["a key with a line break", { apiKey: "sk\ncanary" }],
	["a key that is not ASCII", { apiKey: "sk-canary-ключ" }],
	["a password in the address", { baseUrl: "http://me:canary@127.0.0.1/v1" }],
	["no address", { baseUrl: "canary" }],
])("%s is an error of configuration", async (_, options) => {
	const wrong = openaiProvider({
		model: "m",
		dimensions: 4,
		baseUrl: server.openaiUrl,
		...options,
	});
	await expect(wrong.embed(["a"], document)).rejects.toMatchObject({
		kind: "setup",
		message: "cannot be asked with this address or key",
	});
});
