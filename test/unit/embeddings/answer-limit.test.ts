import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { createGzip } from "node:zlib";
import {
	afterAll,
	beforeAll,
	beforeEach,
	describe,
	expect,
	test,
} from "vitest";
import { cohereProvider } from "../../../src/embeddings/cohere.ts";
import { generateBatch } from "../../../src/embeddings/generate-batch.ts";
import { answerLimit } from "../../../src/embeddings/http.ts";
import { openaiProvider } from "../../../src/embeddings/openai.ts";
import { RemError } from "../../../src/errors.ts";

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

let answer: Answer;
/** Bytes that the client has taken before it closed the connection. */
let sent = 0;

const server = createServer((request, response) => {
	request.resume();
	request.on("end", () => answer(response, request));
});
beforeAll(
	() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)),
);
afterAll(() => {
	server.closeAllConnections();
	server.close();
});
beforeEach(() => {
	sent = 0;
});

const url = () =>
	`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
const gigabyte = 1 << 30;

/** The piece again and again, as fast as it is read, up to a gigabyte. */
function flood(
	stream: NodeJS.WritableStream,
	piece: string,
	onEnd: () => void,
) {
	const more = () => {
		while (sent < gigabyte) {
			sent += piece.length;
			if (!stream.write(piece)) {
				stream.once("drain", more);
				return;
			}
		}
		onEnd();
	};
	more();
}

const numbers = "0.1,".repeat(1 << 14);
const bodies: Record<string, Answer> = {
	"a body without an end": (response) => {
		response.writeHead(200);
		response.write('{"data":[{"index":0,"embedding":[');
		flood(response, numbers, () => response.end("1]}]}"));
	},
	"a body that announces a gigabyte": (response) => {
		response.writeHead(200, { "content-length": String(gigabyte) });
		flood(response, " ".repeat(1 << 16), () => response.end());
	},
	"a gzip bomb": (response) => {
		response.writeHead(200, { "content-encoding": "gzip" });
		const gzip = createGzip();
		gzip.pipe(response);
		flood(gzip, " ".repeat(1 << 20), () => gzip.end());
	},
	"one vector of base64": (response) => {
		response.writeHead(200);
		response.write('{"data":[{"index":0,"embedding":"');
		flood(response, "AACAPwAA".repeat(1 << 13), () => response.end('"}]}'));
	},
};
const providers = {
	openai: () =>
		openaiProvider({ model: "own-model", dimensions: 512, baseUrl: url() }),
	"text-embedding-3-small": () =>
		openaiProvider({
			model: "text-embedding-3-small",
			dimensions: 1536,
			baseUrl: url(),
		}),
	cohere: () =>
		cohereProvider({ model: "embed-v4.0", dimensions: 1536, baseUrl: url() }),
};
const failure = async (name: keyof typeof providers) => {
	try {
		await generateBatch(providers[name](), ["a", "b"], {
			purpose: "document",
			retry: { attempts: 1 },
		});
	} catch (error) {
		return error as RemError;
	}
	throw new Error("no error");
};

describe.each(Object.keys(providers) as (keyof typeof providers)[])(
	"%s",
	(name) => {
		test.each(Object.keys(bodies))(
			"%s is PROVIDER_FAILED, with its size and the limit",
			async (body) => {
				answer = bodies[body] as Answer;
				const error = await failure(name);
				expect(error).toBeInstanceOf(RemError);
				expect(error.code).toBe("PROVIDER_FAILED");
				expect(error.message).toMatch(
					/answered with \d+ bytes or more, at most \d+ are read for 2 vectors of up to \d+ numbers/,
				);
				// Twice: of the call, and of the one that tries a plain word. Some of
				// it waits in buffers of the system and of the compression.
				expect(sent).toBeLessThan(192 << 20);
			},
		);
	},
);

test("of an error's body no more is read than its code needs", async () => {
	answer = (response) => {
		response.writeHead(401);
		response.write('{"error":{"code":"invalid_api_key","message":"');
		flood(response, "x".repeat(1 << 16), () => response.end('"}}'));
	};
	expect((await failure("openai")).code).toBe("PROVIDER_NOT_CONFIGURED");
	expect(sent).toBeLessThan(16 << 20);
});

test("the longest answer that fits the request is read: indented doubles of a longer model", async () => {
	const length = 4096;
	answer = (response) => {
		const embedding = Array.from(
			{ length },
			(_, at) => -Math.SQRT2 / (at + 1) / 1e5,
		);
		response.end(
			JSON.stringify(
				{
					data: [0, 1].map((index) => ({
						object: "embedding",
						index,
						embedding,
					})),
					texts: ["é".repeat(100)],
				},
				undefined,
				4,
			),
		);
	};
	// It is read, and then has another length than the model's.
	expect((await failure("openai")).message).toContain(
		"4096 dimensions, expected 512",
	);
});

test("the limit follows the texts, their length and the numbers asked for", () => {
	const limit = answerLimit({ count: 1, numbers: 1536 }, 100);
	expect(limit).toBeLessThan(200_000);
	expect(answerLimit({ count: 2, numbers: 1536 }, 100)).toBeGreaterThan(limit);
	expect(answerLimit({ count: 1, numbers: 3072 }, 100)).toBeGreaterThan(limit);
	expect(answerLimit({ count: 1, numbers: 1536 }, 9000)).toBeGreaterThan(limit);
});
