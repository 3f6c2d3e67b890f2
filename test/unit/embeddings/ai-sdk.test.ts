import { createOpenAI } from "@ai-sdk/openai";
import { embedMany } from "ai";
import { createOpenAI as createOpenAIv2 } from "ai-sdk-openai-v2";
import { createOpenAI as createPreviewOfV4 } from "ai-sdk-openai-v4";
import {
	afterAll,
	beforeAll,
	beforeEach,
	describe,
	expect,
	test,
} from "vitest";
import {
	type AiSdkEmbeddingModel,
	fromAiSdk,
	isAiSdkModel,
} from "../../../src/embeddings/ai-sdk.ts";
import { embedEach } from "../../../src/embeddings/embed-each.ts";
import { generateBatch } from "../../../src/embeddings/generate-batch.ts";
import {
	type EmbeddingServer,
	startEmbeddingServer,
	vectorOf,
} from "../../support/embedding-server.ts";

let server: EmbeddingServer;
beforeAll(async () => {
	server = await startEmbeddingServer({ apiKey: "sk-canary" });
});
beforeEach(() => server.reset());
afterAll(() => server.close());

const retry = { baseMs: 1, maxMs: 2, attempts: 3 };
const options = { purpose: "document", retry } as const;

type Create = (options: { apiKey: string; baseURL: string }) => {
	embedding(model: string): AiSdkEmbeddingModel;
};

/**
 * The release of specification 4 needs Node.js 22. Its preview, which runs on 20,
 * takes the length of vectors as the option of a provider instead of a call.
 */
const createOpenAIv4: Create = (options) => ({
	embedding(name) {
		const model = createPreviewOfV4(options).embedding(name);
		return Object.assign(Object.create(model), {
			doEmbed: ({
				dimensions,
				...call
			}: {
				dimensions?: number;
				values: string[];
			}) =>
				model.doEmbed({
					...call,
					...(dimensions === undefined
						? {}
						: { providerOptions: { openai: { dimensions } } }),
				}),
		});
	},
});

// The packages' own models fit our type: a compile-time test of V2, V3 and V4.
const versions: readonly (readonly [string, Create])[] = [
	["v2", createOpenAIv2],
	["v3", createOpenAI],
	["v4", createOpenAIv4],
];

describe.each(versions)(
	"@ai-sdk/openai, specification %s",
	(version, create) => {
		const model = (apiKey = "sk-canary") =>
			create({ apiKey, baseURL: server.openaiUrl }).embedding(
				"text-embedding-3-small",
			);

		test("is recognised, and needs no dimensions for a model we know", () => {
			expect(model().specificationVersion).toBe(version);
			expect(isAiSdkModel(model())).toBe(true);
			expect(fromAiSdk(model())).toMatchObject({
				name: "openai",
				model: "text-embedding-3-small",
				dimensions: 1536,
				limits: { maxTexts: 2048, maxTokensPerRequest: 300_000 },
			});
		});

		test("makes the vectors of the texts", async () => {
			const texts = ["one", "two"];
			expect(await generateBatch(fromAiSdk(model()), texts, options)).toEqual(
				texts.map((text) => vectorOf(text, 1536)),
			);
		});

		test("makes shorter vectors through providerOptions", async () => {
			const short = fromAiSdk(model(), {
				dimensions: 8,
				providerOptions: { openai: { dimensions: 8 } },
			});
			expect(await generateBatch(short, ["one"], options)).toEqual([
				vectorOf("one", 8),
			]);
		});

		test("of version 4 is asked for shorter vectors by itself", async () => {
			const short = fromAiSdk(model(), { dimensions: 8 });
			const outcomes = await embedEach(short, ["one"], options);
			if (version === "v4")
				expect(outcomes).toEqual([{ vector: vectorOf("one", 8) }]);
			else expect(outcomes).toMatchObject([{ kind: "broken" }]);
		});

		test("is retried by us alone", async () => {
			server.misbehave("server-error", 2);
			await generateBatch(fromAiSdk(model()), ["one"], options);
			expect(server.stats.requests).toBe(3);
			server.reset();
			server.misbehave("rate-limited", 10);
			await expect(
				generateBatch(fromAiSdk(model()), ["one"], options),
			).rejects.toMatchObject({ code: "PROVIDER_RATE_LIMITED" });
			expect(server.stats.requests).toBe(3);
		});

		test("reports that its key is refused, without quoting it", async () => {
			const error = await generateBatch(
				fromAiSdk(model("sk-canary-wrong")),
				["canary"],
				options,
			).catch((error: unknown) => error);
			expect(error).toMatchObject({ code: "PROVIDER_NOT_CONFIGURED" });
			expect(JSON.stringify(error)).not.toContain("canary");
		});

		test("loses only the bad text of a batch", async () => {
			server.refuse((text) => text === "bad");
			const texts = ["a", "b", "bad", "c"];
			const outcomes = await embedEach(fromAiSdk(model()), texts, options);
			expect(outcomes.map((outcome) => "vector" in outcome)).toEqual([
				true,
				true,
				false,
				true,
			]);
		});

		test("passes the signal on", async () => {
			server.misbehave("hang");
			const controller = new AbortController();
			setTimeout(() => controller.abort(), 30);
			await expect(
				generateBatch(fromAiSdk(model()), ["one"], {
					...options,
					signal: controller.signal,
				}),
			).rejects.toMatchObject({ code: "CANCELLED" });
		});
	},
);

test("the vectors are those of the SDK's embedMany", async () => {
	const model = createOpenAI({
		apiKey: "sk-canary",
		baseURL: server.openaiUrl,
	}).embedding("text-embedding-3-small");
	const values = ["one", "two", "three"];
	const { embeddings } = await embedMany({ model, values });
	expect(await generateBatch(fromAiSdk(model), values, options)).toEqual(
		embeddings.map((vector) => Float32Array.from(vector)),
	);
});

describe("any model of that shape", () => {
	const calls: Parameters<AiSdkEmbeddingModel["doEmbed"]>[0][] = [];
	beforeEach(() => {
		calls.length = 0;
	});
	const model = (parts: Partial<AiSdkEmbeddingModel> = {}) => ({
		specificationVersion: "v3",
		provider: "acme.text-embedding",
		modelId: "e1",
		maxEmbeddingsPerCall: 2,
		supportsParallelCalls: true,
		doEmbed: async (call: (typeof calls)[number]) => {
			calls.push(call);
			return { embeddings: call.values.map((value) => [value.length, 1]) };
		},
		...parts,
	});
	const two = { dimensions: 2 };

	test("of unknown length must be given it", () => {
		expect(() => fromAiSdk(model())).toThrowError(
			expect.objectContaining({
				code: "PROVIDER_NOT_CONFIGURED",
				hint: expect.stringContaining("the option dimensions"),
			}),
		);
	});

	test("respects its limit, also one that is a promise", async () => {
		for (const maxEmbeddingsPerCall of [2, Promise.resolve(2)]) {
			calls.length = 0;
			const limited = fromAiSdk(model({ maxEmbeddingsPerCall }), two);
			const vectors = await generateBatch(limited, ["a", "bb", "ccc"], options);
			expect(vectors).toEqual(
				[1, 2, 3].map((length) => Float32Array.of(length, 1)),
			);
			expect(calls.map(({ values }) => values.length)).toEqual([2, 1]);
		}
	});

	test("without a limit gets at most 2048 texts in a call", async () => {
		for (const maxEmbeddingsPerCall of [undefined, Number.POSITIVE_INFINITY]) {
			const free = fromAiSdk(model({ maxEmbeddingsPerCall }), two);
			expect(free.limits.maxTexts).toBe(2048);
			calls.length = 0;
			await generateBatch(free, ["a", "bb", "ccc"], options);
			expect(calls).toHaveLength(1);
		}
	});

	test("that takes one call at a time gets one at a time", () => {
		const { limits } = fromAiSdk(model({ supportsParallelCalls: false }), two);
		expect(limits.maxParallelCalls).toBe(1);
	});

	test("receives the purpose of a text", async () => {
		const tasked = fromAiSdk(model(), {
			...two,
			providerOptions: (purpose) => ({ acme: { task: purpose } }),
		});
		await generateBatch(tasked, ["a"], { ...options, purpose: "query" });
		expect(calls[0]?.providerOptions).toEqual({ acme: { task: "query" } });
	});

	test("gets a signal that is aborted when no caller waits any more", async () => {
		const slow = model({
			doEmbed: (call: (typeof calls)[number]) => {
				calls.push(call);
				return new Promise<never>(() => {});
			},
		});
		await embedEach(fromAiSdk(slow, two), ["a"], {
			...options,
			retry: { attempts: 1, timeoutMs: 10 },
		});
		expect(calls[0]?.abortSignal?.aborted).toBe(true);
	});

	test("whose error is marked as retryable is called again", async () => {
		const failing = model({
			doEmbed: async (call: (typeof calls)[number]) => {
				calls.push(call);
				throw Object.assign(new Error("Cannot connect"), { isRetryable: true });
			},
		});
		const outcomes = await embedEach(fromAiSdk(failing, two), ["a"], options);
		expect(outcomes).toMatchObject([{ kind: "down" }]);
		expect(calls).toHaveLength(3);
	});

	test("can be stored under another name", () => {
		expect(fromAiSdk(model(), { ...two, name: "mine" }).name).toBe("mine");
	});

	test("without a key is not configured", async () => {
		const keyless = model({
			doEmbed: async () => {
				throw Object.assign(new Error("canary"), {
					name: "AI_LoadAPIKeyError",
				});
			},
		});
		await expect(
			generateBatch(fromAiSdk(keyless, two), ["a"], options),
		).rejects.toMatchObject({
			code: "PROVIDER_NOT_CONFIGURED",
			message: 'embedding provider "acme" failed with AI_LoadAPIKeyError',
		});
	});

	test.each([
		undefined,
		null,
		"openai/text-embedding-3-small",
		{},
		{ doEmbed() {} },
	])("%j is none", (value) => {
		expect(isAiSdkModel(value)).toBe(false);
	});
});
