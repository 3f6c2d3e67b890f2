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
				timeoutMs: name === "no answer in time" ? 150 : 5000,
			},
		} as const;
		const outcomes = await embedEach(provider(), texts(20), quick);
		expect(
			outcomes.map((outcome) => ("vector" in outcome ? "ok" : outcome.kind)),
		).toEqual(texts(20).map((text) => (text === poison ? kind : "ok")));
		expect(requests.length).toBeLessThan(60);
		for (const attempts of [1, 2, 3, 6]) {
			// Whether a server is slow, one try does not tell.
			if (attempts === 1 && name === "no answer in time") continue;
			const calls = { ...quick, retry: { ...quick.retry, attempts } };
			const alone = await embedEach(provider(), [poison], calls);
			expect(alone).toMatchObject([{ kind }]);
		}
		await expect(
			generateBatch(provider(), texts(20), quick),
		).rejects.toMatchObject({
			code: "PROVIDER_FAILED",
			issues: [{ field: "texts[13]" }],
		});
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
