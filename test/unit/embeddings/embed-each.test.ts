import {
	afterAll,
	afterEach,
	beforeAll,
	beforeEach,
	describe,
	expect,
	test,
	vi,
} from "vitest";
import {
	type EmbeddingOutcome,
	embedEach,
} from "../../../src/embeddings/embed-each.ts";
import { openaiProvider } from "../../../src/embeddings/openai.ts";
import { Pace } from "../../../src/embeddings/pace.ts";
import type { EmbeddingProvider } from "../../../src/embeddings/provider.ts";
import type { RemError } from "../../../src/errors.ts";
import {
	type EmbeddingServer,
	type Fault,
	startEmbeddingServer,
	vectorOf,
} from "../../support/embedding-server.ts";

let server: EmbeddingServer;
let provider: EmbeddingProvider;
beforeAll(async () => {
	server = await startEmbeddingServer();
	provider = newProvider();
});
beforeEach(() => server.reset());
afterEach(() => vi.useRealTimers());
afterAll(() => server.close());

const retry = { baseMs: 1, maxMs: 2, deadlineMs: 10_000, timeoutMs: 5000 };
const options = { purpose: "document", retry } as const;

/** A provider that has inferred nothing of the server yet. */
function newProvider(): EmbeddingProvider {
	return openaiProvider({
		model: "text-embedding-3-small",
		dimensions: 8,
		baseUrl: server.openaiUrl,
	});
}

function texts(count: number): string[] {
	return Array.from({ length: count }, (_, at) => `text number ${at}`);
}

async function firstRequest(): Promise<void> {
	while (server.stats.requests === 0)
		await new Promise((resolve) => setTimeout(resolve, 5));
}

/** For each text "ok", or the kind of its failure. */
function summary(outcomes: readonly EmbeddingOutcome[]): string[] {
	return outcomes.map((outcome) => ("vector" in outcome ? "ok" : outcome.kind));
}

describe("faults that pass", () => {
	test.each<Fault>([
		"rate-limited",
		"rate-limited-ms",
		"rate-limited-bare",
		"server-error",
		"unavailable",
		"hang",
		"reset",
		"truncated",
		"html",
		"other-json",
		"short",
		"duplicate-index",
		"permuted",
		"no-index",
		"wrong-dimensions",
		"null-vector",
		"null-number",
		"zeros",
		"nan",
		"floats",
		"bad-request",
		"too-large",
	])("%s once costs no text its vector", async (fault) => {
		server.misbehave(fault);
		const outcomes = await embedEach(provider, texts(5), {
			...options,
			retry: { ...retry, timeoutMs: fault === "hang" ? 300 : 5000 },
		});
		expect(outcomes).toEqual(
			texts(5).map((text) => ({ vector: vectorOf(text, 8) })),
		);
		expect(server.stats.faults).toEqual({ [fault]: 1 });
	});

	test("an outage is waited for", async () => {
		server.outage(true);
		void firstRequest().then(() => server.outage(false));
		const outcomes = await embedEach(provider, ["a"], {
			...options,
			retry: { ...retry, attempts: 50, baseMs: 10, maxMs: 10 },
		});
		expect(summary(outcomes)).toEqual(["ok"]);
		expect(server.stats.faults.outage).toBeGreaterThan(0);
	});

	test("many faults at random: every text gets its own vector", async () => {
		server.misbehaveAtRandom(
			{
				"rate-limited-bare": 0.1,
				"server-error": 0.08,
				reset: 0.04,
				truncated: 0.04,
				short: 0.05,
				html: 0.03,
				"duplicate-index": 0.04,
				permuted: 0.1,
				"null-vector": 0.05,
				zeros: 0.05,
				floats: 0.1,
			},
			7,
		);
		const input = texts(2000);
		// Which calls meet the faults depends on the machine, and so does the limit that is inferred from them.
		const outcomes = await embedEach(newProvider(), input, {
			...options,
			batchSize: 50,
			retry: { ...retry, attempts: 20 },
		});
		const kinds = summary(outcomes);
		// Three bad answers for one text are possible; whoever asks again gets it.
		expect(["ok", "answer"]).toEqual(
			expect.arrayContaining([...new Set(kinds)]),
		);
		expect(kinds.filter((kind) => kind === "answer").length).toBeLessThan(20);
		const expected = input.map((text) => ({ vector: vectorOf(text, 8) }));
		const isGood = (_: unknown, at: number) => kinds[at] === "ok";
		expect(outcomes.filter(isGood)).toEqual(expected.filter(isGood));
	});
});

describe("faults that stay", () => {
	test.each<[Fault, string, string, number]>([
		["rate-limited-bare", "busy", "PROVIDER_RATE_LIMITED", 4],
		["rate-limited-long", "busy", "PROVIDER_RATE_LIMITED", 1],
		["no-credit", "busy", "PROVIDER_RATE_LIMITED", 1],
		["server-error", "down", "PROVIDER_FAILED", 4],
		["reset", "down", "PROVIDER_FAILED", 4],
		["hang", "down", "PROVIDER_FAILED", 4],
		["key-refused", "setup", "PROVIDER_NOT_CONFIGURED", 1],
		["forbidden", "setup", "PROVIDER_NOT_CONFIGURED", 1],
		["no-such-model", "setup", "PROVIDER_NOT_CONFIGURED", 1],
		["html", "broken", "PROVIDER_FAILED", 3],
		["other-model", "broken", "PROVIDER_FAILED", 2],
	])("%s: kind %s, code %s, %i calls", async (fault, kind, code, calls) => {
		server.misbehave(fault, 100);
		// On a busy machine a call can be over before its request arrives.
		const embed = vi.fn(provider.embed);
		const outcomes = await embedEach({ ...provider, embed }, texts(3), {
			...options,
			retry: {
				...retry,
				attempts: 4,
				timeoutMs: fault === "hang" ? 30 : 5000,
			},
		});
		expect(outcomes).toHaveLength(3);
		for (const outcome of outcomes)
			expect(outcome).toMatchObject({ kind, error: { code } });
		expect(embed).toHaveBeenCalledTimes(calls);
	});

	test("what has not been sent yet fails with the same reason", async () => {
		server.misbehave("none");
		server.misbehave("key-refused", 100);
		const outcomes = await embedEach(provider, texts(40), {
			...options,
			batchSize: 10,
			parallelCalls: 1,
		});
		expect(summary(outcomes)).toEqual([
			...Array(10).fill("ok"),
			...Array(30).fill("setup"),
		]);
		expect(server.stats.requests).toBe(2);
	});

	test("says how long the provider asks to wait", async () => {
		server.misbehave("rate-limited-long");
		expect(await embedEach(provider, ["a"], options)).toMatchObject([
			{ kind: "busy", retryAfterMs: 3_600_000 },
		]);
	});
});

describe("bad texts", () => {
	test("fail alone, found by halving", async () => {
		server.refuse((text) => text.includes("number 7"));
		const outcomes = await embedEach(provider, texts(64), options);
		expect(summary(outcomes)).toEqual(
			texts(64).map((_, at) => (at === 7 ? "text" : "ok")),
		);
		// 1 in all, a plain word, then two halves six times.
		expect(server.stats.requests).toBe(14);
	});

	test("at the start of a batch, or all of them, are still only bad texts", async () => {
		server.refuse((text) => text.startsWith("text"));
		const outcomes = await embedEach(
			provider,
			[...texts(20), "something else"],
			options,
		);
		expect(summary(outcomes)).toEqual([...Array(20).fill("text"), "ok"]);
		const alone = await embedEach(provider, texts(3), options);
		expect(summary(alone)).toEqual(["text", "text", "text"]);
	});

	test("a request that fails for a plain word too is not halved", async () => {
		server.refuse(() => true);
		const outcomes = await embedEach(provider, texts(500), options);
		expect(new Set(summary(outcomes))).toEqual(new Set(["broken"]));
		// The first tries numbers instead of base64, in case that is why.
		expect(server.stats.requests).toBeLessThanOrEqual(4);
	});

	test("that are too long are told their length", async () => {
		const long = "word ".repeat(8000);
		const [outcome] = await embedEach(provider, [long], options);
		expect(outcome).toMatchObject({
			kind: "text",
			error: {
				code: "PROVIDER_FAILED",
				hint: "the text has about 13334 tokens, the model takes 8192: shorten it",
			},
		});
	});

	test("an empty text is refused, its neighbours are not", async () => {
		const outcomes = await embedEach(provider, ["a", "", "b"], options);
		expect(summary(outcomes)).toEqual(["ok", "text", "ok"]);
	});

	test("a text that always gets zeros fails, the others keep their vectors", async () => {
		const odd: EmbeddingProvider = {
			...provider,
			embed: async (texts, call) => {
				const vectors = await provider.embed(texts, call);
				return vectors.map((vector, at) =>
					texts[at] === "text number 3"
						? new Float32Array(vector.length)
						: vector,
				);
			},
		};
		const outcomes = await embedEach(odd, texts(10), options);
		expect(summary(outcomes)).toEqual(
			texts(10).map((_, at) => (at === 3 ? "answer" : "ok")),
		);
		expect(outcomes[3]).toMatchObject({
			error: {
				message:
					'embedding provider "openai" answered with a vector of nothing but zeros',
			},
		});
		// All of them, then twice the one.
		expect(server.stats).toMatchObject({ requests: 3, texts: 12 });
	});
});

describe("calls", () => {
	test("identical texts are sent once", async () => {
		const outcomes = await embedEach(provider, ["a", "b", "a", "a"], options);
		expect(outcomes[2]).toEqual(outcomes[0]);
		expect(server.stats).toMatchObject({ requests: 1, texts: 2 });
	});

	test("nothing is sent for nothing", async () => {
		expect(await embedEach(provider, [], options)).toEqual([]);
		expect(server.stats.requests).toBe(0);
	});

	test("several are under way at once, up to the limit", async () => {
		const slow = await startEmbeddingServer({ delayMs: 20 });
		const { openaiUrl: baseUrl } = slow;
		const at = (extra: object, limits = {}) => {
			slow.reset();
			const remote = openaiProvider({
				model: "text-embedding-3-small",
				dimensions: 8,
				baseUrl,
			});
			return embedEach(
				{ ...remote, limits: { ...remote.limits, ...limits } },
				texts(10),
				{ ...options, batchSize: 1, ...extra },
			);
		};
		await at({});
		expect(slow.stats.mostAtOnce).toBe(4);
		await at({ parallelCalls: 2 });
		expect(slow.stats.mostAtOnce).toBe(2);
		await at({}, { maxParallelCalls: 1 });
		expect(slow.stats.mostAtOnce).toBe(1);
		await slow.close();
	});

	test("never exceed the provider's texts or tokens, nor the batch size", async () => {
		const long = texts(100).map((text) => `${text} ${"x".repeat(20_000)}`);
		await embedEach(provider, [...texts(3000), ...long], options);
		expect(server.stats.largestBatch).toBeLessThanOrEqual(2048);
		expect(server.stats.requests).toBe(4);
		server.reset();
		await embedEach(provider, texts(100), { ...options, batchSize: 30 });
		expect(server.stats).toMatchObject({ requests: 4, largestBatch: 30 });
	});

	test("are cancelled by the signal, while waiting for an answer and while pausing", async () => {
		for (const fault of ["hang", "server-error"] as const) {
			server.reset();
			server.misbehave(fault, 10);
			const controller = new AbortController();
			void firstRequest().then(() => controller.abort(new Error("canary")));
			await expect(
				embedEach(provider, ["a"], {
					purpose: "document",
					retry: { baseMs: 60_000, maxMs: 60_000 },
					signal: controller.signal,
				}),
			).rejects.toSatisfy(
				(error: RemError) =>
					error.code === "CANCELLED" && error.cause === undefined,
			);
			expect(server.stats.requests).toBe(1);
		}
	});

	test("are not even made when the signal is aborted before", async () => {
		await expect(
			embedEach(provider, ["a"], { ...options, signal: AbortSignal.abort() }),
		).rejects.toMatchObject({ code: "CANCELLED" });
		expect(server.stats.requests).toBe(0);
	});

	test("leave no listener on a signal that lives longer", async () => {
		const { signal } = new AbortController();
		let listeners = 0;
		const add = signal.addEventListener.bind(signal);
		signal.addEventListener = (
			type: string,
			listener: () => void,
			options?: object,
		) => {
			listeners++;
			const { signal: end } = (options ?? {}) as { signal?: AbortSignal };
			end?.addEventListener("abort", () => listeners--);
			add(type, listener, options);
		};
		await embedEach(provider, texts(5), { ...options, batchSize: 1, signal });
		expect(listeners).toBe(0);
	});
});

describe("a provider of one's own", () => {
	const own = (embed: EmbeddingProvider["embed"]): EmbeddingProvider => ({
		name: "mine",
		model: "m",
		dimensions: 2,
		limits: { maxTexts: 10 },
		embed,
	});
	const good = [Float32Array.of(1, 2)];

	test.each([
		["an HTTP status", Object.assign(new Error("x"), { status: 503 }), "down"],
		["statusCode", Object.assign(new Error("x"), { statusCode: 429 }), "busy"],
		[
			"a system error",
			Object.assign(new Error("x"), { code: "ECONNRESET" }),
			"down",
		],
		["any error", new RangeError("canary"), "broken"],
		["no error at all", "canary", "broken"],
		["nothing", undefined, "broken"],
	])("may throw %s", async (_, thrown, kind) => {
		const failing = own(() => Promise.reject(thrown));
		expect(
			summary(
				await embedEach(failing, ["a", "b"], {
					...options,
					retry: { ...retry, attempts: 2 },
				}),
			),
		).toEqual([kind, kind]);
	});

	test("may say when to come back", async () => {
		let calls = 0;
		const limited = own(async () => {
			if (++calls > 1) return good;
			throw { status: 429, headers: new Headers({ "retry-after-ms": "60" }) };
		});
		const started = performance.now();
		expect(summary(await embedEach(limited, ["a"], options))).toEqual(["ok"]);
		expect(performance.now() - started).toBeGreaterThanOrEqual(59);
	});

	test("pauses all its calls when one was told to come back later", async () => {
		const started = performance.now();
		const times: number[] = [];
		const limited = own(async (texts) => {
			times.push(performance.now() - started);
			if (texts[0] === "a" && times.length === 1)
				throw { status: 429, headers: { "retry-after-ms": "100" } };
			await new Promise((resolve) => setTimeout(resolve, 10));
			return good;
		});
		const outcomes = await embedEach(limited, ["a", "b", "c", "d"], {
			...options,
			batchSize: 1,
			parallelCalls: 2,
		});
		expect(summary(outcomes)).toEqual(["ok", "ok", "ok", "ok"]);
		// "a" and "b" began at once; nothing else before the time was over.
		expect(times.filter((time) => time < 99)).toHaveLength(2);
	});

	test("is kept within its budget", async () => {
		vi.useFakeTimers();
		let calls = 0;
		const counted = own(async () => {
			calls++;
			return good;
		});
		const all = embedEach(counted, texts(5), {
			...options,
			batchSize: 1,
			pace: new Pace({ requestsPerMinute: 2 }),
		});
		await vi.advanceTimersByTimeAsync(59_000);
		expect(calls).toBe(2);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(calls).toBe(4);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(summary(await all)).toEqual(Array(5).fill("ok"));
	});

	test("has calls no larger than its budget", async () => {
		const sizes: number[] = [];
		const counted = own(async (texts) => {
			sizes.push(texts.length);
			return texts.map(() => Float32Array.of(1, 2));
		});
		await embedEach(counted, ["x".repeat(300), "y".repeat(300)], {
			...options,
			parallelCalls: 1,
			pace: new Pace({ tokensPerMinute: 200 }),
		});
		expect(sizes).toEqual([2]);
		const pace = new Pace({ tokensPerMinute: 150 });
		vi.useFakeTimers();
		const all = embedEach(counted, ["x".repeat(300), "y".repeat(300)], {
			...options,
			pace,
		});
		await vi.advanceTimersByTimeAsync(60_000);
		await all;
		expect(sizes).toEqual([2, 1, 1]);
	});

	test("is told by its signal when it takes too long, and when all is cancelled", async () => {
		const signals: AbortSignal[] = [];
		const slow = own((_, { signal }) => {
			if (signal !== undefined) signals.push(signal);
			return new Promise(() => {});
		});
		await embedEach(slow, ["a"], {
			purpose: "query",
			retry: { ...retry, attempts: 1, timeoutMs: 10 },
		});
		const controller = new AbortController();
		setTimeout(() => controller.abort(), 10);
		await embedEach(slow, ["a"], {
			...options,
			signal: controller.signal,
		}).catch(() => undefined);
		expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
	});

	test("that ignores the signal is not waited for", async () => {
		const deaf = own(() => new Promise(() => {}));
		expect(
			await embedEach(deaf, ["a"], {
				purpose: "query",
				retry: { ...retry, attempts: 2, timeoutMs: 10 },
			}),
		).toMatchObject([
			{
				error: {
					message: 'embedding provider "mine" gave no answer within 10 ms',
				},
			},
		]);
	});

	test("may answer with plain arrays", async () => {
		const plain = own(async () => [[1, 2]] as unknown as Float32Array[]);
		expect(await embedEach(plain, ["a"], options)).toEqual([
			{ vector: Float32Array.of(1, 2) },
		]);
	});

	test.each([
		["nothing", undefined],
		["a text", "canary"],
		["no vectors", []],
		["an empty list for a text", [undefined]],
		["null among the numbers", [[1, null]]],
	])("may not answer with %s", async (_, answer) => {
		const odd = own(async () => answer as unknown as Float32Array[]);
		// Nothing but that, so that it is no text's fault.
		expect(summary(await embedEach(odd, ["a"], options))).toEqual(["broken"]);
		const query = { ...options, purpose: "query" } as const;
		expect(summary(await embedEach(odd, ["a"], query))).toEqual(["answer"]);
	});
});
