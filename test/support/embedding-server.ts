import { createHash } from "node:crypto";
import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/**
 * Ways to misbehave, each for one request. Every error's text quotes the key
 * and the first text, as real providers do, so that a test can prove that
 * neither gets any further.
 */
export const faults = {
	/** 429 with `retry-after: 0.05`. */
	"rate-limited": reply(429, "rate_limit_exceeded", { "retry-after": "0.05" }),
	/** 429 with `retry-after-ms: 50`. */
	"rate-limited-ms": reply(429, null, { "retry-after-ms": "50" }),
	/** 429 without a time. */
	"rate-limited-bare": reply(429, "rate_limit_exceeded"),
	/** 429 with an hour to wait. */
	"rate-limited-long": reply(429, null, { "retry-after": "3600" }),
	/** 429 because the account is empty. */
	"no-credit": reply(429, "insufficient_quota"),
	"server-error": reply(500, null),
	unavailable: reply(503, null, { "retry-after": "0" }),
	"bad-request": reply(400, "invalid_request_error"),
	"key-refused": reply(401, "invalid_api_key"),
	forbidden: reply(403, null),
	"no-such-model": reply(404, "model_not_found"),
	"too-large": reply(413, null),
	redirect: reply(307, null, { location: "http://127.0.0.1:9/elsewhere" }),
	/** Never answers. */
	hang: () => undefined,
	/** Closes the connection without a word. */
	reset: ({ request }: Call) => request.socket.destroy(),
	/** Promises more than it sends, and closes. */
	truncated: ({ request, response }: Call) => {
		response.writeHead(200, { "content-length": "99999" });
		response.write('{"data":[', () => request.socket.destroy());
	},
	/** A gateway's page, with status 200. */
	html: ({ response }: Call) => {
		response.writeHead(200, { "content-type": "text/html" });
		response.end("<html><body>Bad gateway</body></html>");
	},
	/** JSON that is nothing we know. */
	"other-json": ({ response }: Call) => response.end('{"ok":true}'),
	/** One vector too few. */
	short: answer((vectors) => vectors.slice(0, -1)),
	/** The last vector has the index of the first. */
	"duplicate-index": answer((vectors) =>
		vectors.map((item, at) =>
			at === vectors.length - 1 && at > 0 ? { ...item, index: 0 } : item,
		),
	),
	/** Right vectors in another order, marked by their index: no fault at all. */
	permuted: answer((vectors) => vectors.toReversed()),
	/** No index at all, which some servers think is fine. */
	"no-index": answer((vectors) =>
		vectors.map(({ vector }) => ({ vector, index: undefined })),
	),
	/** The first vector is half as long as the others. */
	"wrong-dimensions": firstVector((vector) =>
		vector.slice(0, vector.length / 2),
	),
	/** Every vector is that of another model. */
	"other-model": answer((vectors) =>
		vectors.map(({ index, vector }) => ({
			index,
			vector: vector.slice(0, vector.length / 2),
		})),
	),
	"null-vector": firstVector(() => null),
	/** `null` among the numbers. */
	"null-number": firstVector((vector) => [null, ...vector.slice(1)]),
	zeros: firstVector((vector) => new Float32Array(vector.length)),
	/** NaN in base64; JSON has none. */
	nan: firstVector((vector) => vector.with(1, Number.NaN)),
	/** Numbers, whatever was asked for. */
	floats: answer((vectors) =>
		vectors.map(({ index, vector }) => ({ index, vector: [...vector] })),
	),
} satisfies Record<string, Misbehave>;

export type Fault = keyof typeof faults;

interface Call {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly body: RequestBody;
	readonly texts: readonly string[];
	readonly dimensions: number;
	readonly isCohere: boolean;
}

/** The parts of both protocols' requests. */
interface RequestBody {
	readonly model: string;
	readonly input?: string | readonly string[];
	readonly texts?: readonly string[];
	readonly encoding_format?: "base64" | "float";
	readonly dimensions?: number;
	readonly output_dimension?: number;
	readonly input_type?: string;
	readonly embedding_types?: readonly string[];
	readonly truncate?: string;
}

interface Item {
	readonly index: number | undefined;
	readonly vector: Float32Array;
}

type Misbehave = (call: Call) => void;

export interface ServerOptions {
	/** Length of the vectors of models that are not OpenAI's or Cohere's; 4 at least. @default 768 */
	readonly dimensions?: number;
	/** The only key that is accepted. @default any, or none */
	readonly apiKey?: string;
	/** Wait before every answer, in milliseconds. @default 0 */
	readonly delayMs?: number;
	/** Answers base64 with status 400, as old versions of vLLM do. */
	readonly refusesBase64?: boolean;
	/** Refuses the option `dimensions` for models that are not OpenAI's. */
	readonly refusesDimensions?: boolean;
}

export interface ServerStats {
	requests: number;
	texts: number;
	/** Texts of the largest request. */
	largestBatch: number;
	/** Highest number of requests at the same time. */
	mostAtOnce: number;
	readonly faults: Partial<Record<Fault | "outage", number>>;
}

/**
 * A server on 127.0.0.1 that speaks OpenAI's and Cohere's embedding protocols
 * with deterministic vectors, and misbehaves on request.
 *
 * @example
 * const server = await startEmbeddingServer()
 * server.misbehave("rate-limited", 2)
 * openaiProvider({ baseUrl: server.openaiUrl, … })
 */
export async function startEmbeddingServer(
	options: ServerOptions = {},
): Promise<EmbeddingServer> {
	const server = new EmbeddingServer(options);
	await server.listen();
	return server;
}

export class EmbeddingServer {
	stats = freshStats();
	/** The last request's body and headers, for tests of the protocol. */
	lastBody: RequestBody | undefined;
	lastHeaders: IncomingMessage["headers"] = {};
	readonly #options: ServerOptions;
	readonly #server = createServer((request, response) =>
		this.#receive(request, response),
	);
	readonly #planned: (Fault | undefined)[] = [];
	readonly #canned: Misbehave[] = [];
	#chaos: () => Fault | undefined = () => undefined;
	#isRefused: (text: string) => boolean = () => false;
	#isDown = false;
	#atOnce = 0;

	constructor(options: ServerOptions) {
		this.#options = options;
	}

	get url(): string {
		const { port } = this.#server.address() as AddressInfo;
		return `http://127.0.0.1:${port}`;
	}

	get openaiUrl(): string {
		return `${this.url}/v1`;
	}

	async listen(): Promise<void> {
		await new Promise<void>((resolve) => {
			this.#server.listen(0, "127.0.0.1", resolve);
		});
	}

	/** The next `times` requests meet this fault, after those already planned; "none": they succeed. */
	misbehave(fault: Fault | "none", times = 1): void {
		const planned = fault === "none" ? undefined : fault;
		for (let time = 0; time < times; time++) this.#planned.push(planned);
	}

	/** The next request gets exactly this answer. */
	answerOnce(status: number, body: object): void {
		this.#canned.push(({ response }) => {
			response.writeHead(status, { "content-type": "application/json" });
			response.end(JSON.stringify(body));
		});
	}

	/** Faults by their probability, drawn from a seeded generator. */
	misbehaveAtRandom(rates: Partial<Record<Fault, number>>, seed: number): void {
		const random = seededRandom(seed);
		this.#chaos = () => {
			let drawn = random();
			for (const [fault, rate] of Object.entries(rates)) {
				drawn -= rate;
				if (drawn < 0) return fault as Fault;
			}
			return undefined;
		};
	}

	/** Requests with such a text are answered with status 400. */
	refuse(isRefused: (text: string) => boolean): void {
		this.#isRefused = isRefused;
	}

	/** While it is down, every connection is closed at once. */
	outage(isDown: boolean): void {
		this.#isDown = isDown;
	}

	/** Forgets faults and counts. */
	reset(): void {
		this.stats = freshStats();
		this.#planned.length = 0;
		this.#canned.length = 0;
		this.#chaos = () => undefined;
		this.#isRefused = () => false;
		this.#isDown = false;
	}

	async close(): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => {
			this.#server.close(resolve);
		});
	}

	#receive(request: IncomingMessage, response: ServerResponse): void {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => chunks.push(chunk));
		request.on("end", () => {
			this.#atOnce++;
			this.stats.mostAtOnce = Math.max(this.stats.mostAtOnce, this.#atOnce);
			response.on("close", () => this.#atOnce--);
			const body: RequestBody = JSON.parse(Buffer.concat(chunks).toString());
			const { delayMs = 0 } = this.#options;
			if (delayMs === 0) this.#respond(request, response, body);
			else setTimeout(() => this.#respond(request, response, body), delayMs);
		});
	}

	#respond(
		request: IncomingMessage,
		response: ServerResponse,
		body: RequestBody,
	): void {
		const isCohere = request.url === "/v2/embed";
		const texts = isCohere ? (body.texts ?? []) : [body.input ?? []].flat();
		const dimensions = lengthOf(body, this.#options.dimensions ?? 768);
		const call = { request, response, body, texts, dimensions, isCohere };
		this.#count(call);
		const misbehave =
			this.#canned.shift() ?? this.#faultOf(call) ?? this.#refusalOf(call);
		(misbehave ?? answer())(call);
	}

	#misbehaviour(): Misbehave | undefined {
		const fault = this.#isDown ? "outage" : this.#nextFault();
		if (fault === undefined) return undefined;
		this.stats.faults[fault] = (this.stats.faults[fault] ?? 0) + 1;
		return fault === "outage" ? faults.reset : faults[fault];
	}

	/** No fault makes a vector of a text that is refused. */
	#faultOf({ texts }: Call): Misbehave | undefined {
		const fault = this.#misbehaviour();
		const isRefused = fault !== undefined && texts.some(this.#isRefused);
		return isRefused ? reply(400, "invalid_request_error") : fault;
	}

	#nextFault(): Fault | undefined {
		return this.#planned.length > 0 ? this.#planned.shift() : this.#chaos();
	}

	#count({ request, body, texts }: Call): void {
		this.lastBody = body;
		this.lastHeaders = request.headers;
		this.stats.requests++;
		this.stats.texts += texts.length;
		this.stats.largestBatch = Math.max(this.stats.largestBatch, texts.length);
	}

	/** What the documentation lists as refused. */
	#refusalOf({ request, body, texts, isCohere }: Call): Misbehave | undefined {
		const { apiKey, refusesBase64, refusesDimensions } = this.#options;
		const isKnown = body.model in ownLengths;
		const badRequest = reply(400, "invalid_request_error");
		if (!isCohere && request.url !== "/v1/embeddings") return reply(404, null);
		if (
			apiKey !== undefined &&
			request.headers.authorization !== `Bearer ${apiKey}`
		)
			return reply(401, "invalid_api_key");
		if (refusesBase64 && body.encoding_format === "base64") return badRequest;
		if (refusesDimensions && !isKnown && body.dimensions !== undefined)
			return badRequest;
		if (isCohere && body.input_type === undefined) return badRequest;
		if (texts.length > (isCohere ? 96 : 2048) || texts.length === 0)
			return badRequest;
		const tokens = texts.map(tokensOf);
		if (tokens.some((count) => count > 8192 || count === 0)) return badRequest;
		if (tokens.reduce((sum, count) => sum + count, 0) > 300_000)
			return reply(400, "max_tokens_per_request");
		return texts.some(this.#isRefused) ? badRequest : undefined;
	}
}

function freshStats(): ServerStats {
	return { requests: 0, texts: 0, largestBatch: 0, mostAtOnce: 0, faults: {} };
}

/** https://platform.openai.com/docs/guides/embeddings, https://docs.cohere.com/docs/cohere-embed */
const ownLengths: Readonly<Record<string, number>> = {
	"text-embedding-3-small": 1536,
	"text-embedding-3-large": 3072,
	"text-embedding-ada-002": 1536,
	"embed-english-v3.0": 1024,
	"embed-multilingual-v3.0": 1024,
	"embed-english-light-v3.0": 384,
	"embed-multilingual-light-v3.0": 384,
	"embed-v4.0": 1536,
};

function lengthOf(
	{ model, dimensions, output_dimension }: RequestBody,
	otherwise: number,
): number {
	return dimensions ?? output_dimension ?? ownLengths[model] ?? otherwise;
}

/** About what a real tokenizer counts for English. */
function tokensOf(text: string): number {
	return Math.ceil(text.length / 4);
}

function reply(
	status: number,
	code: string | null,
	headers: Readonly<Record<string, string>> = {},
): Misbehave {
	return ({ request, response, texts, isCohere }) => {
		const message = `not accepted: ${request.headers.authorization} sent "${texts[0]}"`;
		const error = { message, type: code ?? "error", param: null, code };
		response.writeHead(status, {
			"content-type": "application/json",
			...headers,
		});
		response.end(JSON.stringify(isCohere ? { message } : { error }));
	};
}

interface Answered {
	readonly index: number | undefined;
	readonly vector: ArrayLike<number | null> | null;
}

/** The answer as documented, or with its vectors changed. */
function answer(
	change?: (vectors: readonly Item[]) => readonly Answered[],
): Misbehave {
	return ({ response, body, texts, dimensions, isCohere }) => {
		response.writeHead(200, { "content-type": "application/json" });
		const isBase64 = body.encoding_format === "base64";
		if (isBase64 && change === undefined)
			return void response.end(base64Answer(body.model, texts, dimensions));
		const items = texts.map((text, index) => ({
			index,
			vector: vectorOf(text, dimensions),
		}));
		const answered = change === undefined ? items : change(items);
		response.end(
			JSON.stringify(
				isCohere
					? cohereAnswer(answered, texts)
					: openaiAnswer(answered, isBase64, body.model),
			),
		);
	};
}

function firstVector(
	change: (vector: Float32Array) => ArrayLike<number | null> | null,
): Misbehave {
	return answer((vectors) =>
		vectors.map(({ index, vector }, at) => ({
			index,
			vector: at === 0 ? change(vector) : vector,
		})),
	);
}

/** https://platform.openai.com/docs/api-reference/embeddings/object */
function openaiAnswer(
	items: readonly Answered[],
	isBase64: boolean,
	model: string,
): object {
	const data = items.map(({ index, vector }) => ({
		object: "embedding",
		index,
		embedding:
			isBase64 && vector instanceof Float32Array
				? base64Of(vector)
				: vector && Array.from(vector),
	}));
	return { object: "list", data, model, usage: usageOf(items.length) };
}

/** https://docs.cohere.com/reference/embed */
function cohereAnswer(
	items: readonly Answered[],
	texts: readonly string[],
): object {
	return {
		id: "da6e531f-54c5-4a73-bf92-f60566d8d753",
		embeddings: {
			float: items.map(({ vector }) => vector && Array.from(vector)),
		},
		texts,
		response_type: "embeddings_by_type",
		meta: { api_version: { version: "2" }, billed_units: { input_tokens: 2 } },
	};
}

function usageOf(count: number): object {
	return { prompt_tokens: count, total_tokens: count };
}

// A vector is a head of three numbers, the text's own, and one of a few tails
// that are made once: 20,000 vectors cost the server less than a tenth of a
// second, so that a benchmark measures the client. Twelve bytes are sixteen
// characters of base64, so that head and tail can be joined as text.
const headLength = 3;
const tailCount = 64;

/** The vector that this server has for a text: the same on every machine. */
export function vectorOf(text: string, dimensions: number): Float32Array {
	const digest = digestOf(text);
	const vector = new Float32Array(dimensions);
	const tail = tailsOf(dimensions)[tailIndex(digest)] as Tail;
	vector.set(headOf(digest));
	vector.set(tail.numbers, headLength);
	return vector;
}

function base64Answer(
	model: string,
	texts: readonly string[],
	dimensions: number,
): string {
	const tails = tailsOf(dimensions);
	const items = texts.map((text, index) => {
		const digest = digestOf(text);
		const tail = tails[tailIndex(digest)] as Tail;
		return `{"object":"embedding","index":${index},"embedding":"${base64Of(headOf(digest))}${tail.base64}"}`;
	});
	return `{"object":"list","data":[${items.join(",")}],"model":${JSON.stringify(model)},"usage":${JSON.stringify(usageOf(texts.length))}}`;
}

function digestOf(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

function headOf(digest: Buffer): Float32Array {
	return Float32Array.from(
		{ length: headLength },
		(_, at) => digest.readUInt32LE(at * 4) / 2 ** 33 + 0.01,
	);
}

function tailIndex(digest: Buffer): number {
	return (digest[31] as number) % tailCount;
}

interface Tail {
	readonly numbers: Float32Array;
	readonly base64: string;
}

const tails = new Map<number, readonly Tail[]>();

function tailsOf(dimensions: number): readonly Tail[] {
	const known = tails.get(dimensions);
	if (known !== undefined) return known;
	const made = Array.from({ length: tailCount }, (_, seed) => {
		const random = seededRandom(seed + 1);
		const length = dimensions - headLength;
		const numbers = Float32Array.from({ length }, () => (random() - 0.5) / 8);
		return { numbers, base64: base64Of(numbers) };
	});
	tails.set(dimensions, made);
	return made;
}

function base64Of({ buffer, byteOffset, byteLength }: Float32Array): string {
	return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

/** mulberry32: small, fast, and the same everywhere. */
function seededRandom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}
