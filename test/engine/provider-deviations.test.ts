import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";
import {
	afterAll,
	beforeAll,
	beforeEach,
	describe,
	expect,
	test,
} from "vitest";
import * as z from "zod";
import { openaiProvider } from "../../src/embeddings/openai.ts";
import {
	defineEntity,
	type EmbeddingProvider,
	fromAiSdk,
	PostgresService,
} from "../../src/index.ts";
import { vectorOf } from "../support/embedding-server.ts";
import { codeOf, createDatabase, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import {
	type Asked,
	type GoodItem,
	verdicts,
	worksAnyway,
} from "../unit/embeddings/deviations.ts";

// What odd servers and providers come to where they are used: in batchUpsert, in
// sync and in a search. Each row states the expected outcome in all three.

const dimensions = 16;
const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Note],
	embedding: {
		provider: new FakeProvider("openai", "odd", dimensions),
		retry: { baseMs: 1, maxMs: 2, attempts: 3, timeoutMs: 2000 },
	},
});

interface Call {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly asked: Asked;
	readonly good: GoodItem[];
	/** How many requests there were before. */
	readonly earlier: number;
}

/** Answers, or returns false: then the answer is the documented one. */
type Behaviour = (call: Call) => unknown;

let behave: Behaviour = () => false;
let requests = 0;
const server = createServer(async (request, response) => {
	let text = "";
	for await (const chunk of request) text += chunk;
	const asked: Asked = JSON.parse(text);
	const good = asked.input.map((input, index): GoodItem => {
		const vector = vectorOf(input, dimensions);
		const bytes = Buffer.from(vector.buffer);
		const isBase64 = asked.encoding_format === "base64";
		return {
			index,
			embedding: isBase64 ? bytes.toString("base64") : [...vector],
		};
	});
	const isAnswered = behave({
		request,
		response,
		asked,
		good,
		earlier: requests++,
	});
	if (isAnswered === false) send(response, { data: good });
});

function send(response: ServerResponse, body: unknown, status = 200): void {
	response.writeHead(status, { "content-type": "application/json" });
	response.end(typeof body === "string" ? body : JSON.stringify(body));
}

beforeAll(async () => {
	await new Promise<void>((resolve) => {
		server.listen(0, "127.0.0.1", resolve);
	});
});
afterAll(() => {
	server.closeAllConnections();
	server.close();
});
beforeEach(() => db.service.execute("TRUNCATE notes CASCADE"));

/** A provider that has inferred nothing yet. */
function renew(): void {
	requests = 0;
	const { port } = server.address() as AddressInfo;
	const baseUrl = `http://127.0.0.1:${port}/v1`;
	db.service.embeddings.registerProvider(
		openaiProvider({ model: "odd", dimensions, baseUrl }),
	);
}

const names = ["a", "b", "c"];
const upsert = () =>
	db.service.batchUpsert({
		tableName: "notes",
		entities: names.map((name) => ({ name, content: `the text ${name}` })),
	});
const search = async () => {
	const [found] = await db.service.vectorSearch({
		tableName: "notes",
		queryText: "the text b",
	});
	return found?.name;
};
const insert = () =>
	db.service.execute(
		"INSERT INTO notes (tenant_id, name, content) SELECT 'default', n, 'the text ' || n FROM unnest(ARRAY['a', 'b', 'c']) AS n",
	);

async function queued(): Promise<number> {
	const { rows } = await db.service.execute(
		"SELECT FROM rem_embedding_queue WHERE state = 'pending'",
	);
	return rows.length;
}

async function works(prepare: () => void): Promise<void> {
	prepare();
	expect(await upsert()).toMatchObject({ embeddingsGenerated: 3 });
	prepare();
	expect(await search()).toBe("b");
	await db.service.execute("TRUNCATE notes CASCADE");
	await insert();
	prepare();
	expect(await db.service.embeddings.sync()).toMatchObject({
		embedded: 3,
		dead: 0,
	});
	expect(await search()).toBe("b");
}

/** In all three, with nothing written, nothing dead-lettered, and an end. */
async function fails(prepare: () => void, code: string): Promise<void> {
	prepare();
	expect(await codeOf(upsert())).toBe(code);
	expect(await db.service.repository(Note).count()).toBe(0);
	prepare();
	expect(await codeOf(search())).toBe(code);
	await insert();
	prepare();
	expect(await codeOf(db.service.embeddings.sync())).toBe(code);
	expect(await queued()).toBe(3);
}

const firstOnly =
	(behaviour: Behaviour): Behaviour =>
	(call) =>
		call.earlier === 0 ? behaviour(call) : false;

const encoded =
	(encoding: string, encode: (text: string) => Buffer): Behaviour =>
	({ response, good }) => {
		response.writeHead(200, { "content-encoding": encoding });
		response.end(encode(JSON.stringify({ data: good })));
	};

describe("every text gets its vector", () => {
	const deviations = worksAnyway.filter(
		({ name, model }) => model === undefined && !/a call|go alone/.test(name),
	);
	test.each(deviations)("though $name", ({ deviates }) =>
		works(() => {
			renew();
			behave = ({ response, asked, good }) => {
				const reply = deviates(asked, good);
				if (reply === undefined) return false;
				return send(response, reply.body, reply.status);
			};
		}),
	);

	test.each<[string, Behaviour]>([
		["the answer is compressed with gzip", encoded("gzip", gzipSync)],
		["the answer is compressed with brotli", encoded("br", brotliCompressSync)],
		[
			"the answer comes in chunks",
			({ response, good }) => {
				for (const piece of JSON.stringify({ data: good }).match(/.{1,40}/g) ??
					[])
					response.write(piece);
				response.end();
			},
		],
		[
			"a connection is lost in mid-answer",
			firstOnly(({ response, request }) => {
				response.writeHead(200, { "content-length": "99999" });
				response.write('{"data":[', () => request.socket.destroy());
			}),
		],
		[
			"a body does not end",
			firstOnly(({ response }) => {
				response.writeHead(200);
				response.write('{"data":[');
			}),
		],
		[
			"a compressed body is cut off",
			firstOnly(({ response, good }) => {
				response.writeHead(200, { "content-encoding": "gzip" });
				response.end(gzipSync(JSON.stringify({ data: good })).subarray(0, 40));
			}),
		],
		[
			"the server closes each connection that it said to keep",
			({ response, request }) => {
				response.on("finish", () => request.socket.destroySoon());
				return false;
			},
		],
		...[408, 409, 425, 429, 499, 502, 520, 524, 529].map(
			(status): [string, Behaviour] => [
				`the first answer is a page with status ${status}`,
				firstOnly(({ response }) => send(response, "<html></html>", status)),
			],
		),
	])("though %s", (_, behaviour) =>
		works(() => {
			renew();
			behave = behaviour;
		}),
	);
});

describe("a failure of the provider is reported as what it is, and costs no text", () => {
	const codes = {
		setup: "PROVIDER_NOT_CONFIGURED",
		busy: "PROVIDER_RATE_LIMITED",
		down: "PROVIDER_FAILED",
		text: "PROVIDER_FAILED",
	};
	test.each(verdicts.filter(({ name }) => !/^4..? as a page/.test(name)))(
		"$name",
		({ status, body, kind }) =>
			fails(() => {
				renew();
				behave = ({ response }) => send(response, body, status);
			}, codes[kind]),
	);

	test.each<[string, Behaviour]>([
		["an empty body", ({ response }) => send(response, "")],
		["204", ({ response }) => send(response, "", 204)],
		["a page", ({ response }) => send(response, "<html></html>")],
		[
			"null vectors",
			({ response, good }) =>
				send(response, { data: good.map(() => ({ embedding: null })) }),
		],
		[
			"vectors of another model",
			({ response, good }) =>
				send(response, { data: good.map(() => ({ embedding: [1, 2, 3] })) }),
		],
		[
			"an error for each item",
			({ response, good }) =>
				send(response, { data: good.map(() => ({ error: "no" })) }),
		],
	])("%s", (_, behaviour) =>
		fails(() => {
			renew();
			behave = behaviour;
		}, "PROVIDER_FAILED"),
	);

	test("a redirect, which names the setting", () =>
		fails(() => {
			renew();
			behave = ({ response }) =>
				response.writeHead(308, { location: "http://127.0.0.1:9/" }).end();
		}, "PROVIDER_NOT_CONFIGURED"));

	test("an error within a stream of events", () =>
		fails(() => {
			renew();
			behave = ({ response }) =>
				send(response, 'data: {"error":{"code":"insufficient_quota"}}\n\n');
		}, "PROVIDER_RATE_LIMITED"));
});

test("texts that all get vectors of another length are dead-lettered, the others are embedded", async () => {
	renew();
	behave = ({ response, asked, good }) =>
		asked.input.some((text) => text.startsWith("the text")) &&
		send(response, { data: good.map(() => ({ embedding: [1, 2, 3] })) });
	await insert();
	expect(await db.service.embeddings.sync()).toMatchObject({
		embedded: 0,
		dead: 3,
	});
	await db.service.execute(
		"UPDATE notes SET content = 'fine' WHERE name = 'a'",
	);
	expect(await db.service.embeddings.sync()).toMatchObject({ embedded: 1 });
});

test("a limit of texts a call is found once for the service", async () => {
	renew();
	let refused = 0;
	behave = ({ response, asked }) => {
		if (asked.input.length <= 10) return false;
		refused++;
		return send(response, { error: {} }, 400);
	};
	const load = (from: number) =>
		db.service.execute(
			`INSERT INTO notes (tenant_id, name, content) SELECT 'default', 'n' || n, 'note ' || n FROM generate_series(${from}, ${from + 199}) AS n`,
		);
	await load(1);
	expect(await db.service.embeddings.sync()).toMatchObject({ embedded: 200 });
	expect(refused).toBeGreaterThan(0);
	refused = 0;
	await load(201);
	expect(await db.service.embeddings.sync()).toMatchObject({ embedded: 200 });
	expect(refused).toBe(0);
});

const vectors = (texts: readonly string[]) =>
	texts.map((text) => vectorOf(text, dimensions));

describe("a provider may return", () => {
	test.each<[string, (texts: readonly string[]) => unknown]>([
		["number[]", (texts) => vectors(texts).map((vector) => [...vector])],
		[
			"Float64Array",
			(texts) => vectors(texts).map((one) => Float64Array.from(one)),
		],
		["ArrayBuffer", (texts) => vectors(texts).map(({ buffer }) => buffer)],
		["a Proxy", (texts) => new Proxy(vectors(texts), {})],
		["a Set", (texts) => new Set(vectors(texts))],
		["{ embeddings }", (texts) => ({ embeddings: vectors(texts) })],
		[
			"the answer of a client",
			(texts) => ({
				data: vectors(texts).map((one, index) => ({
					index,
					embedding: [...one],
				})),
			}),
		],
		[
			"an async iterable",
			async function* (texts) {
				yield* vectors(texts);
			},
		],
	])("%s", (_, embed) => {
		const odd = { ...new FakeProvider("openai", "odd", dimensions) };
		return works(() =>
			db.service.embeddings.registerProvider({
				...odd,
				embed: embed as EmbeddingProvider["embed"],
			}),
		);
	});

	test("vectors, and change its texts", () =>
		works(() =>
			db.service.embeddings.registerProvider({
				...new FakeProvider("openai", "odd", dimensions),
				embed: async (texts) => {
					const made = vectors(texts);
					(texts as string[]).fill("changed");
					return made;
				},
			}),
		));
});

describe("connect takes a model of the AI SDK", () => {
	test.each(["v2", "v3", "v4"])("of specification %s", async (version) => {
		const { url, drop } = await createDatabase();
		const model = {
			specificationVersion: version,
			provider: "acme.embedding",
			modelId: "m",
			maxEmbeddingsPerCall: 2,
			supportsParallelCalls: true,
			doEmbed: async ({ values }: { values: string[] }) => ({
				embeddings: vectors(values).map((vector) => [...vector]),
				warnings: [],
			}),
		};
		for (const embedding of [
			fromAiSdk(model, { dimensions }),
			{ provider: model, dimensions, batchSize: 8 },
		]) {
			const service = await PostgresService.connect({
				connectionString: url,
				models: [Note],
				embedding,
			});
			await service.migrate();
			const entities = names.map((name) => ({ name, content: `text ${name}` }));
			expect(
				await service.batchUpsert({ tableName: "notes", entities }),
			).toBeDefined();
			const [found] = await service.vectorSearch({
				tableName: "notes",
				queryText: "text c",
			});
			expect(found?.name).toBe("c");
			await service.close();
		}
		await drop();
	});
});
