import {
	createServer,
	type IncomingMessage,
	type Server,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cohereProvider } from "../../../src/embeddings/cohere.ts";
import { embedEach } from "../../../src/embeddings/embed-each.ts";
import { CallFailure } from "../../../src/embeddings/failure.ts";
import { generateBatch } from "../../../src/embeddings/generate-batch.ts";
import { openaiProvider } from "../../../src/embeddings/openai.ts";
import type { EmbeddingProvider } from "../../../src/embeddings/provider.ts";
import { failureOf } from "../../../src/embeddings/thrown-failure.ts";
import { vectorOf } from "../../support/embedding-server.ts";
import {
	type Asked,
	type Deviates,
	type GoodItem,
	poisons,
	type Reply,
	verdicts,
	worksAnyway,
} from "./deviations.ts";

const length = 48;
const retry = { baseMs: 1, maxMs: 2, deadlineMs: 10_000, timeoutMs: 5000 };
const options = { purpose: "document", retry } as const;

let server: Server;
let deviates: (...args: Parameters<Deviates>) => ReturnType<Deviates> | "hang";
let requests: Asked[];
let paths: string[];

beforeEach(async () => {
	deviates = () => undefined;
	requests = [];
	paths = [];
	server = createServer((request, response) => respond(request, response));
	await new Promise<void>((resolve) => {
		server.listen(0, "127.0.0.1", resolve);
	});
});
afterEach(() => {
	server.closeAllConnections();
	server.close();
});

const baseUrl = () =>
	`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;

async function respond(
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	paths.push(request.url ?? "");
	let text = "";
	for await (const chunk of request) text += chunk;
	const asked: Asked = JSON.parse(text);
	requests.push(asked);
	const answer = reply(asked);
	if (answer === "hang") return;
	const { status = 200, body } = answer;
	response.writeHead(status, { "content-type": "application/json" });
	response.end(typeof body === "string" ? body : JSON.stringify(body));
}

function reply(asked: Asked): Reply | "hang" {
	const good = [asked.input ?? []].flat().map((input, index): GoodItem => {
		const vector = vectorOf(input, asked.dimensions ?? length);
		const bytes = Buffer.from(
			vector.buffer,
			vector.byteOffset,
			vector.byteLength,
		);
		const isBase64 = asked.encoding_format === "base64";
		return {
			index,
			embedding: isBase64 ? bytes.toString("base64") : [...vector],
		};
	});
	return deviates(asked, good) ?? { body: { object: "list", data: good } };
}

function provider(model = "bge-base", dimensions = length): EmbeddingProvider {
	return openaiProvider({ model, dimensions, baseUrl: baseUrl() });
}

const texts = (count: number, prefix = "text") =>
	Array.from({ length: count }, (_, at) => `${prefix} ${at}`);

describe("a server gives every text its vector, though", () => {
	test.each(worksAnyway)("$name", async (deviation) => {
		({ deviates } = deviation);
		const asked = provider(deviation.model, deviation.dimensions);
		const expected = (of: readonly string[]) =>
			of.map((text) => vectorOf(text, length));
		const first = texts(20, "first");
		expect(await generateBatch(asked, first, options)).toEqual(expected(first));
		for (const pass of ["second", "third"]) {
			const later = texts(20, pass);
			requests = [];
			expect(await generateBatch(asked, later, options)).toEqual(
				expected(later),
			);
		}
		expect(requests.length).toBeLessThanOrEqual(deviation.requestsLater ?? 1);
	});

	test.each(worksAnyway.filter(({ name }) => !name.includes("a call")))(
		"$name (asked for a single text)",
		async (deviation) => {
			({ deviates } = deviation);
			const asked = provider(deviation.model, deviation.dimensions);
			expect(await asked.embed(["one"], { purpose: "query" })).toEqual([
				vectorOf("one", length),
			]);
		},
	);
});

describe("what an error means", () => {
	test.each(verdicts)("$name", async ({ status, body, kind, isSpent }) => {
		deviates = () => ({ status, body });
		const failure = await provider()
			.embed(["one"], { purpose: "query" })
			.catch((error: unknown) => error);
		expect(failure).toBeInstanceOf(CallFailure);
		expect(failure).toMatchObject({
			kind,
			retryAfterMs: isSpent === true ? Number.POSITIVE_INFINITY : undefined,
		});
	});

	test.each(verdicts.filter(({ status }) => status >= 400))(
		"$name, thrown by a client",
		({ status, body, kind, isSpent }) => {
			const { error } = (Array.isArray(body) ? body[0] : body) as {
				error?: unknown;
			};
			const thrown = [
				Object.assign(new Error("no"), { status, error }),
				Object.assign(new Error("no"), {
					statusCode: status,
					responseBody: JSON.stringify(body),
				}),
			];
			// What stands beside `error` reaches a program in the body only.
			for (const one of error === undefined ? thrown.slice(1) : thrown)
				expect(failureOf(one)).toMatchObject({
					kind,
					retryAfterMs: isSpent === true ? Number.POSITIVE_INFINITY : undefined,
				});
		},
	);
});

describe("what the server says is repeated, where it quotes nothing", () => {
	test.each<[string, object | string, string | undefined]>([
		[
			"a sentence",
			{ error: { message: "Your project may not use this endpoint." } },
			"Your project may not use this endpoint.",
		],
		[
			"the title of a page",
			"<html><title>Attention Required | Cloudflare</title>secret</html>",
			"Attention Required | Cloudflare",
		],
		[
			"the key",
			{ error: { message: "No access for sk-12345 here" } },
			undefined,
		],
		[
			"part of the key",
			{ message: "The key c4n4ry-4-k is blocked" },
			undefined,
		],
		["a text", { message: "Not allowed: my dear diary" }, undefined],
		[
			"a quoted text",
			{ message: 'No "Dear Bob. My heart is. Bye"' },
			undefined,
		],
		["a word only", { message: "Forbidden" }, undefined],
		[
			"of much the beginning",
			{ message: "ab cd ".repeat(200) },
			"ab cd ".repeat(200).slice(0, 160),
		],
	])("%s", async (_, body, words) => {
		deviates = () => ({ status: 403, body });
		const failure = await openaiProvider({
			model: "m",
			dimensions: length,
			baseUrl: baseUrl(),
			apiKey: "c4n4ry-4-key",
		})
			.embed(["My dear diary, today"], { purpose: "query" })
			.catch((error: unknown) => error);
		expect((failure as Error).message).toBe(
			`does not permit this to the key (status 403)${words === undefined ? "" : `: ${words}`}`,
		);
	});
});

// fetch itself keeps the status from us.
test("407, thrown by a client, is about a proxy", () => {
	const failure = failureOf(Object.assign(new Error("no"), { status: 407 }));
	expect(failure.kind).toBe("setup");
	expect(failure.message).toContain("proxy");
});

describe("one text that makes the server fail", () => {
	const poison = "text 13";

	test.each([
		[500, "text"],
		[501, "text"],
		[502, "answer"],
		[504, "answer"],
	] as const)("with status %i fails alone", async (status, kind) => {
		deviates = ({ input }) =>
			input.includes(poison) ? { status, body: {} } : undefined;
		const outcomes = await embedEach(provider(), texts(64), options);
		expect(
			outcomes.map((outcome) => ("vector" in outcome ? "ok" : outcome.kind)),
		).toEqual(texts(64).map((text) => (text === poison ? kind : "ok")));
		expect(requests.length).toBeLessThan(50);
	});

	test.each(poisons)("by $name fails alone", async ({ name, reply, kind }) => {
		deviates = (asked, good) =>
			asked.input.includes(poison) ? reply(asked, good) : undefined;
		const quick = {
			purpose: "document",
			retry: {
				...retry,
				attempts: 3,
				timeoutMs: name === "no answer in time" ? 1000 : 5000,
			},
		} as const;
		const outcomes = await embedEach(provider(), texts(20), quick);
		expect(
			outcomes.map((outcome) => ("vector" in outcome ? "ok" : outcome.kind)),
		).toEqual(texts(20).map((text) => (text === poison ? kind : "ok")));
		expect(requests.length).toBeLessThan(60);
		// One beside the other: each of them waits, where no answer comes.
		const withAttempts = async (attempts: number) => {
			const calls = { ...quick, retry: { ...quick.retry, attempts } };
			const alone = await embedEach(provider(), [poison], calls);
			expect(alone).toMatchObject([{ kind }]);
		};
		await Promise.all([
			...[1, 2, 3, 6].map(withAttempts),
			expect(generateBatch(provider(), texts(20), quick)).rejects.toMatchObject(
				{
					code: "PROVIDER_FAILED",
					issues: [{ field: "texts[13]" }],
				},
			),
		]);
	});

	test("by a vector of another length fails alone", async () => {
		deviates = ({ input }, good) =>
			input.includes(poison)
				? {
						body: {
							data: good.map((item, at) =>
								input[at] === poison ? { ...item, embedding: [1, 2] } : item,
							),
						},
					}
				: undefined;
		const outcomes = await embedEach(provider(), texts(20), options);
		expect(
			outcomes.flatMap((outcome, at) => ("vector" in outcome ? [] : [at])),
		).toEqual([13]);
		const alone = await embedEach(provider(), [poison], options);
		expect(alone).toMatchObject([{ kind: "text" }]);
	});

	test.each([
		[401, {}, "setup", 4],
		[402, { error: "x" }, "busy", 4],
		[403, "<html></html>", "setup", 4],
		[404, {}, "setup", 4],
		[429, { error: { message: "batch too large" } }, "busy", 12],
	] as const)(
		"is not looked for where a plain word meets status %i as well",
		async (status, body, kind, most) => {
			deviates = () => ({ status, body });
			const outcomes = await embedEach(provider(), texts(100), {
				...options,
				retry: { ...retry, attempts: 4 },
			});
			expect(new Set(outcomes.map((one) => "kind" in one && one.kind))).toEqual(
				new Set([kind]),
			);
			expect(requests.length).toBeLessThanOrEqual(most);
		},
	);

	test("fails as itself where it is the only one", async () => {
		deviates = ({ input }) =>
			input.includes(poison) ? { status: 500, body: {} } : undefined;
		const outcomes = await embedEach(provider(), [poison], options);
		expect(outcomes).toMatchObject([{ kind: "text" }]);
	});

	test("is named in the error of the whole call", async () => {
		deviates = ({ input }) =>
			input.includes(poison) ? { status: 500, body: {} } : undefined;
		await expect(
			generateBatch(provider(), texts(20), options),
		).rejects.toMatchObject({
			code: "PROVIDER_FAILED",
			issues: [{ field: "texts[13]" }],
		});
	});

	test("by closing the connection fails alone", async () => {
		const crashing: EmbeddingProvider = {
			name: "crashing",
			model: "m",
			dimensions: 8,
			limits: { maxTexts: 16 },
			embed: async (input) => {
				if (input.includes(poison))
					throw Object.assign(new Error("gone"), { code: "ECONNRESET" });
				return input.map((text) => vectorOf(text, 8));
			},
		};
		const outcomes = await embedEach(crashing, texts(40), options);
		expect(
			outcomes.flatMap((outcome, at) => ("vector" in outcome ? [] : [at])),
		).toEqual([13]);
	});
});

test("a limit of texts a call is found once, not for each batch", async () => {
	deviates = ({ input }) =>
		input.length > 10 ? { status: 400, body: { error: {} } } : undefined;
	const asked = provider();
	await generateBatch(asked, texts(320), options);
	expect(requests.length).toBeLessThan(50);
	requests = [];
	await generateBatch(asked, texts(320, "again"), options);
	expect(requests).toHaveLength(32);
});

test("a call that is refused once by accident limits no later one", async () => {
	let refusals = 1;
	deviates = () =>
		refusals-- > 0 ? { status: 400, body: { error: {} } } : undefined;
	const asked = provider("text-embedding-3-small", length);
	await generateBatch(asked, texts(100), options);
	requests = [];
	await generateBatch(asked, texts(100, "again"), options);
	expect(requests).toHaveLength(1);
});

test("a provider that changes its input changes only its copy", async () => {
	let calls = 0;
	const greedy: EmbeddingProvider = {
		name: "greedy",
		model: "m",
		dimensions: 8,
		limits: { maxTexts: 4 },
		embed: async (input) => {
			calls++;
			const list = input as string[];
			const vectors = list.map((text) => vectorOf(text, 8));
			list.length = 0;
			list.push("other");
			return vectors;
		},
	};
	expect(await generateBatch(greedy, texts(10), options)).toEqual(
		texts(10).map((text) => vectorOf(text, 8)),
	);
	expect(calls).toBe(3);
	const failing: EmbeddingProvider = {
		...greedy,
		embed: async (input) => {
			(input as string[]).splice(0);
			throw Object.assign(new Error("no"), { status: 400 });
		},
	};
	const outcomes = await embedEach(failing, texts(5), options);
	expect(outcomes).toHaveLength(5);
});

describe("what came in the place of vectors is named", () => {
	test.each<[string, Reply, string]>([
		["an empty body", { body: "" }, "an empty body (status 200)"],
		["204", { status: 204, body: "" }, "an empty body (status 204)"],
		["a page", { body: "<!doctype html><p>hi" }, "a page that is not JSON"],
		["words", { body: "ok" }, "something that is not JSON"],
		["null", { body: { data: [null] } }, "null in the place of a vector"],
		[
			"an object",
			{ body: { data: [{ embedding: { code: 1 } }] } },
			"an object (code) in the place of a vector",
		],
		[
			"an error",
			{ body: { data: [{ error: { message: "oops" } }] } },
			"an error in the place of a vector",
		],
		[
			"a vector of each token",
			{
				body: {
					data: [
						{
							embedding: [
								[1, 2],
								[3, 4],
							],
						},
					],
				},
			},
			"a list of 2 vectors in the place of one",
		],
	])("%s", async (_, answer, what) => {
		deviates = ({ input }) => {
			const { data } = answer.body as { data?: unknown[] };
			// The same for each text.
			return data === undefined
				? answer
				: { body: { data: input.flatMap(() => data) } };
		};
		const [outcome] = await embedEach(provider(), ["one"], {
			...options,
			purpose: "query",
		});
		expect(outcome).toMatchObject({
			kind: "answer",
			error: { message: `embedding provider "openai" answered with ${what}` },
		});
		const many = await embedEach(provider(), texts(20), options);
		expect(many).toMatchObject(
			texts(20).map(() => ({
				kind: "broken",
				error: { message: expect.stringContaining(what) },
			})),
		);
	});
});

test("an item's own error fails its text alone, as what it is", async () => {
	const errors = new Map<string, unknown>([
		["text 3", { code: "rate_limit_exceeded" }],
		["text 5", { status: 400, message: "no" }],
		["text 7", "no"],
	]);
	deviates = ({ input }, good) => ({
		body: {
			data: good.map((item, at) => {
				const error = errors.get(input[at] as string);
				return error === undefined ? item : { index: item.index, error };
			}),
		},
	});
	const outcomes = await embedEach(provider(), texts(20), {
		...options,
		retry: { ...retry, attempts: 2 },
	});
	expect(
		outcomes.map((outcome) => ("vector" in outcome ? "ok" : outcome.kind)),
	).toEqual(
		texts(20).map(
			(_, at) =>
				new Map([
					[3, "busy"],
					[5, "text"],
					[7, "answer"],
				]).get(at) ?? "ok",
		),
	);
});

test("texts that all get vectors of another length fail alone, if a plain word gets its own", async () => {
	const isBad = (text: string) => text.startsWith("bad");
	deviates = ({ input }, good) =>
		input.some(isBad)
			? { body: { data: good.map((item) => ({ ...item, embedding: [1, 2] })) } }
			: undefined;
	const bad = texts(5, "bad");
	const outcomes = await embedEach(provider(), bad, options);
	expect(outcomes).toMatchObject(
		bad.map(() => ({
			kind: "text",
			error: {
				message: `embedding provider "openai" answered with a vector of 2 dimensions, expected ${length}, and gives other texts their vectors`,
			},
		})),
	);
	const mixed = await embedEach(provider(), [...bad, "good"], options);
	expect(mixed.map((one) => "vector" in one)).toEqual([
		...bad.map(() => false),
		true,
	]);
});

describe("the address", () => {
	test.each([
		["", "/v1/embeddings"],
		["/", "/v1/embeddings"],
		["/embeddings", "/v1/embeddings"],
		["/embeddings/", "/v1/embeddings"],
		["?api-version=2024-10-21", "/v1/embeddings?api-version=2024-10-21"],
		["/?api-version=1&x=%20/y/", "/v1/embeddings?api-version=1&x=%20/y/"],
		["/embeddings?api-version=1", "/v1/embeddings?api-version=1"],
		["/embeddings/?api-version=1", "/v1/embeddings?api-version=1"],
		["#part", "/v1/embeddings"],
	])("of OpenAI's protocol may end with %j", async (end, path) => {
		const asked = openaiProvider({
			model: "m",
			dimensions: length,
			baseUrl: baseUrl() + end,
		});
		await asked.embed(["one"], { purpose: "query" });
		expect(paths).toEqual([path]);
	});

	test.each([
		["", "/v2/embed"],
		["/v2", "/v2/embed"],
		["/v2/", "/v2/embed"],
		["/v2/embed", "/v2/embed"],
		["?x=1", "/v2/embed?x=1"],
		["/v2/embed?x=1", "/v2/embed?x=1"],
	])("of Cohere's may end with %j", async (end, path) => {
		deviates = () => ({ body: { embeddings: { float: [[1, 2]] } } });
		const asked = cohereProvider({
			model: "embed-v4.0",
			dimensions: 2,
			apiKey: "key",
			baseUrl: baseUrl().replace("/v1", "") + end,
		});
		await asked.embed(["one"], { purpose: "query" });
		expect(paths).toEqual([path]);
	});
});
