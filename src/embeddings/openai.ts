import { decodeVector } from "./decode-vector.ts";
import { CallFailure, mismatch, unreadable } from "./failure.ts";
import { mostNumbers, postJson, withoutSlashes } from "./http.ts";
import { type KnownModels, knownModel } from "./known-model.ts";
import type { EmbeddingLimits, EmbeddingProvider } from "./provider.ts";

/** https://platform.openai.com/docs/guides/embeddings */
export const openaiModels: KnownModels = {
	"text-embedding-3-small": { dimensions: 1536, others: "shorter" },
	"text-embedding-3-large": { dimensions: 3072, others: "shorter" },
	"text-embedding-ada-002": { dimensions: 1536 },
};

/** https://platform.openai.com/docs/api-reference/embeddings/create */
export const openaiLimits: EmbeddingLimits = {
	maxTexts: 2048,
	maxTokensPerText: 8192,
	maxTokensPerRequest: 300_000,
};

// Of a server of one's own we know nothing; 32 is what text-embeddings-inference
// takes unless told otherwise, and keeps a call on a CPU within its time.
const unknownLimits: EmbeddingLimits = { maxTexts: 32 };

const officialUrl = "https://api.openai.com/v1";

export interface RemoteOptions {
	readonly model: string;
	readonly dimensions: number;
	readonly apiKey?: string | undefined;
	/** @default the provider's public address */
	readonly baseUrl?: string | undefined;
}

/** OpenAI's embeddings, or those of any server that speaks its protocol at `baseUrl`. */
export function openaiProvider(options: RemoteOptions): EmbeddingProvider {
	const { model, dimensions } = options;
	const known = knownModel(openaiModels, model);
	const server = new OpenAiServer(options);
	return {
		name: "openai",
		model,
		dimensions,
		limits: known === undefined ? unknownLimits : openaiLimits,
		embed: (texts, { signal }) => server.embed(texts, signal),
	};
}

interface Form {
	/** base64 is a third of the size of numbers and needs no parsing. */
	readonly encoding: "base64" | "float";
	readonly sendsDimensions: boolean;
}

/** A server, and the form of request that it turned out to want. */
class OpenAiServer {
	readonly #options: RemoteOptions;
	readonly #url: string;
	#form: Form;
	/** Whether that form has ever given vectors: then it is not what a refusal is about. */
	#hasWorked: boolean;

	constructor(options: RemoteOptions) {
		const { model, dimensions, baseUrl = officialUrl } = options;
		const known = knownModel(openaiModels, model);
		this.#options = options;
		this.#url = `${withoutSlashes(baseUrl)}/embeddings`;
		this.#hasWorked = baseUrl === officialUrl;
		this.#form = {
			encoding: "base64",
			sendsDimensions: known !== undefined && known.dimensions !== dimensions,
		};
	}

	async embed(
		texts: readonly string[],
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		const form = this.#form;
		const vectors = await this.#inItsEncoding(texts, form, signal);
		return this.#isTooLong(vectors, form)
			? this.#shortened(texts, vectors, signal)
			: vectors;
	}

	/** Some versions of vLLM and of gateways refuse base64 with status 400. */
	async #inItsEncoding(
		texts: readonly string[],
		form: Form,
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		try {
			const vectors = await this.#ask(texts, form, signal);
			this.#hasWorked = true;
			return vectors;
		} catch (error) {
			if (!isRefusal(error) || this.#isSettled(form)) throw error;
		}
		return this.#askAndKeep(texts, { ...form, encoding: "float" }, signal);
	}

	/** Calls that began together learn together: what one of them found out, another need not. */
	#isSettled(form: Form): boolean {
		return (
			form.encoding === "float" || (this.#hasWorked && form === this.#form)
		);
	}

	/** Servers differ in whether they know `dimensions`, so a model we do not know is asked only when it must be. */
	#isTooLong(
		vectors: readonly Float32Array[],
		{ sendsDimensions }: Form,
	): boolean {
		const { dimensions } = this.#options;
		return (
			!sendsDimensions &&
			vectors.length > 0 &&
			vectors.every((vector) => vector.length > dimensions)
		);
	}

	async #shortened(
		texts: readonly string[],
		tooLong: Float32Array[],
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		const form = { ...this.#form, sendsDimensions: true };
		try {
			return await this.#askAndKeep(texts, form, signal);
		} catch (error) {
			// It cannot shorten: the wrong length then says what is wrong.
			if (isRefusal(error)) return tooLong;
			throw error;
		}
	}

	/** Another form; when it works, it is the form from now on. */
	async #askAndKeep(
		texts: readonly string[],
		form: Form,
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		const vectors = await this.#ask(texts, form, signal);
		this.#form = form;
		this.#hasWorked = true;
		return vectors;
	}

	async #ask(
		texts: readonly string[],
		{ encoding, sendsDimensions }: Form,
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		const { model, dimensions, apiKey } = this.#options;
		const body = {
			model,
			input: texts,
			encoding_format: encoding,
			...(sendsDimensions ? { dimensions } : {}),
		};
		const known = knownModel(openaiModels, model);
		const answer = await postJson({
			url: this.#url,
			apiKey,
			body,
			// Asked for shorter ones, a server may send the model's own all the same.
			vectors: {
				count: texts.length,
				numbers: Math.max(dimensions, known?.dimensions ?? mostNumbers),
			},
			signal,
		});
		return inOrder(texts, itemsOf(answer)).map(({ embedding }) =>
			decodeVector(embedding),
		);
	}
}

/** Whether the server said that it does not like the request itself. */
function isRefusal(error: unknown): boolean {
	const { status } = error instanceof CallFailure ? error : {};
	return status === 400 || status === 422;
}

interface Item {
	readonly index?: unknown;
	readonly embedding?: unknown;
}

function itemsOf(answer: object): readonly Item[] {
	const { data } = answer as { data?: unknown };
	if (Array.isArray(data)) return data.map((item) => item ?? {});
	throw unreadable("JSON without vectors");
}

/** The items in the order of their texts, which `index` tells; a few servers leave it out. */
function inOrder(
	texts: readonly string[],
	items: readonly Item[],
): readonly Item[] {
	if (items.length !== texts.length)
		throw mismatch(
			texts,
			`answered with ${items.length} vectors for ${texts.length} texts`,
		);
	if (items.every(({ index }) => index === undefined)) return items;
	const placed = new Map(items.map((item) => [item.index, item]));
	return texts.map((_, index) => {
		const item = placed.get(index);
		if (item !== undefined) return item;
		throw mismatch(texts, "answered with a wrong order of vectors");
	});
}
