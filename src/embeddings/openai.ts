import { CallFailure, mismatch } from "./failure.ts";
import { maxNumbers, postJson, withoutSlashes } from "./http.ts";
import { inferredLimit } from "./inferred-limit.ts";
import { type KnownModels, knownModel } from "./known-model.ts";
import type { EmbeddingLimits, EmbeddingProvider } from "./provider.ts";
import { type Item, itemsOf, vectorIn } from "./read-items.ts";
import { vectorProblem } from "./vector-problem.ts";

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
// takes by default, and a call on a CPU ends in time.
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
	const provider: EmbeddingProvider = {
		name: "openai",
		model,
		dimensions,
		limits: known === undefined ? unknownLimits : openaiLimits,
		embed: (texts, { signal }) => server.embed(texts, signal),
	};
	inferredLimit(provider).beginsAlone = known === undefined;
	return provider;
}

interface Form {
	/** base64 is a third of the size of numbers and needs no parsing; some servers refuse the field itself. */
	readonly encoding: "base64" | "float" | undefined;
	readonly sendsDimensions: boolean;
}

/** What a server turned out to want. */
interface Inferred {
	form: Form;
	/** Whether that form has ever given vectors: then it is not what a refusal is about. */
	hasWorked: boolean;
	/** Whether the server has refused `dimensions` and gone on without. */
	refusesDimensions: boolean;
	/** Errors of the server that another form did not avoid either. */
	otherForms: number;
	/** Calls in a row whose vectors had no order that can be known: then texts go alone. */
	withoutOrder: number;
}

/** A server, asked in the form that it turned out to want. */
class OpenAiServer {
	readonly #options: RemoteOptions;
	readonly #url: string;
	readonly #inferred: Inferred;

	constructor(options: RemoteOptions) {
		const { model, dimensions, baseUrl = officialUrl } = options;
		const known = knownModel(openaiModels, model);
		this.#options = options;
		this.#url = endpoint(baseUrl, "/embeddings");
		this.#inferred = {
			form: {
				encoding: "base64",
				sendsDimensions: known !== undefined && known.dimensions !== dimensions,
			},
			hasWorked: baseUrl === officialUrl,
			refusesDimensions: false,
			otherForms: 0,
			withoutOrder: 0,
		};
	}

	async embed(
		texts: readonly string[],
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		const { form } = this.#inferred;
		const vectors = await this.#inItsForm(texts, form, signal);
		return this.#isTooLong(vectors, form)
			? this.#shortened(texts, vectors, signal)
			: vectors;
	}

	/**
	 * Servers without base64 refuse it with whatever status, or answer with nothing
	 * or nonsense in the place of vectors; some refuse the field, or `dimensions`. Until a form has
	 * worked, the others are tried, and the one that works stays.
	 */
	async #inItsForm(
		texts: readonly string[],
		form: Form,
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		let first: unknown;
		let doubtful: Float32Array[] | undefined;
		try {
			const vectors = await this.#ask(texts, form, signal);
			if (this.#isSettled(form) || !this.#mayBeForms(vectors, form)) {
				this.#inferred.hasWorked ||= vectors.some(isPlausible);
				return vectors;
			}
			doubtful = vectors;
		} catch (error) {
			if (!this.#mayBeTheForm(error, form)) throw error;
			first = error;
		}
		for (const other of otherForms(form, isAboutEncoding(first))) {
			const found = await this.#tryForm(texts, other, signal, doubtful);
			if (found === undefined) continue;
			if (form.sendsDimensions && !other.sendsDimensions)
				this.#inferred.refusesDimensions = true;
			return found;
		}
		// Vectors that no other form makes better: the check of the answer reports what is wrong.
		if (doubtful !== undefined) {
			this.#inferred.hasWorked ||= doubtful.some(isPlausible);
			return doubtful;
		}
		throw first;
	}

	/**
	 * Whether vectors are such as a server makes that reads the form wrongly: none,
	 * zeros, no numbers, or of a length that doubles, halves or hex digits have in
	 * base64. A model's own length is left alone.
	 */
	#mayBeForms(vectors: readonly Float32Array[], form: Form): boolean {
		if (vectors.length === 0) return false;
		if (!vectors.some(isPlausible)) {
			const isEmpty = vectors.every(({ length }) => length === 0);
			return isEmpty || this.#mayTryOthers(form);
		}
		const { dimensions } = this.#options;
		const isMisread = vectors.every(({ length }) =>
			misreadings.includes(length / dimensions),
		);
		return isMisread && form.encoding === "base64" && this.#mayTryOthers(form);
	}

	/** Of a server that is only out of order, few calls are made twice. */
	#mayTryOthers({ encoding, sendsDimensions }: Form): boolean {
		if (encoding !== "base64" && !sendsDimensions) return false;
		return this.#inferred.otherForms++ < maxOtherForms;
	}

	#mayBeTheForm(error: unknown, form: Form): boolean {
		if (this.#isSettled(form)) return false;
		if (isRefusal(error)) return true;
		if (!(error instanceof CallFailure)) return false;
		const { status, kind, isDoubtful } = error;
		if (status === undefined) return kind === "answer" || kind === "text";
		const mayBe =
			isDoubtful || status === 403 || (kind === "down" && status !== 504);
		return mayBe && status !== 429 && this.#mayTryOthers(form);
	}

	/** `undefined`: this form gives no vectors either. */
	async #tryForm(
		texts: readonly string[],
		form: Form,
		signal: AbortSignal | undefined,
		doubtful: readonly Float32Array[] | undefined,
	): Promise<Float32Array[] | undefined> {
		try {
			const vectors = await this.#ask(texts, form, signal);
			if (!vectors.some(isPlausible)) return undefined;
			// The same length in another form: it is the model's.
			const isSame =
				doubtful?.some(isPlausible) &&
				doubtful.every(({ length }, at) => length === vectors[at]?.length);
			if (isSame) return undefined;
			this.#useForm(form);
			return vectors;
		} catch (error) {
			if (error instanceof CallFailure && !signal?.aborted) return undefined;
			throw error;
		}
	}

	/** Concurrent calls share what is found out: what one of them did, another need not. */
	#isSettled(form: Form): boolean {
		return this.#inferred.hasWorked && form === this.#inferred.form;
	}

	/** Servers differ in whether they know `dimensions`, so a model we do not know is asked only when it must be. */
	#isTooLong(
		vectors: readonly Float32Array[],
		{ sendsDimensions }: Form,
	): boolean {
		const { dimensions } = this.#options;
		return (
			!sendsDimensions &&
			!this.#inferred.refusesDimensions &&
			vectors.length > 0 &&
			vectors.every((vector) => vector.length > dimensions)
		);
	}

	async #shortened(
		texts: readonly string[],
		tooLong: Float32Array[],
		signal: AbortSignal | undefined,
	): Promise<Float32Array[]> {
		const form = { ...this.#inferred.form, sendsDimensions: true };
		try {
			const vectors = await this.#ask(texts, form, signal);
			this.#useForm(form);
			return vectors;
		} catch (error) {
			if (!isRefusal(error)) throw error;
			// It cannot shorten: the wrong length is then reported.
			this.#inferred.refusesDimensions = true;
			return tooLong;
		}
	}

	/** A form that worked is the form from now on. */
	#useForm(form: Form): void {
		this.#inferred.form = form;
		this.#inferred.hasWorked = true;
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
			...(encoding === undefined ? {} : { encoding_format: encoding }),
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
				numbers: Math.max(dimensions, known?.dimensions ?? maxNumbers),
			},
			signal,
		});
		const items = itemsOf(answer, texts.length);
		return this.#inOrder(texts, items).map((item) =>
			vectorIn(item, dimensions),
		);
	}

	/**
	 * The items in the order of their texts, which `index` states, counted from 0 or
	 * from 1. Where it is missing, the position counts, unless another item's index
	 * contradicts it. An order that is ambiguous is not used: a vector at the
	 * wrong text would never be found out.
	 */
	#inOrder(texts: readonly string[], items: readonly Item[]): readonly Item[] {
		if (items.length !== texts.length)
			throw mismatch(
				texts,
				`answered with ${items.length} vectors for ${texts.length} texts`,
			);
		if (texts.length < 2) return items;
		const ordered = inOrder(items);
		const inferred = this.#inferred;
		inferred.withoutOrder =
			ordered === undefined ? inferred.withoutOrder + 1 : 0;
		if (ordered !== undefined) return ordered;
		// All alike is how a server numbers; anything else may be an accident.
		const isSure = isAlike(items)
			? texts.length > 2 || inferred.withoutOrder > 1
			: inferred.withoutOrder > 2;
		throw new CallFailure(
			"text",
			"answered with a wrong order of vectors",
			isSure ? { maxTexts: 1 } : {},
		);
	}
}

const maxOtherForms = 3;

/** The other forms, the likelier first. */
function otherForms(
	{ encoding, sendsDimensions }: Form,
	isAboutEncoding: boolean,
): Form[] {
	const encodings: Form["encoding"][] =
		encoding === "base64"
			? ["float", ...(isAboutEncoding ? [undefined] : [])]
			: encoding === "float" && isAboutEncoding
				? [undefined]
				: [];
	return [
		...encodings.map((other) => ({ encoding: other, sendsDimensions })),
		...(sendsDimensions
			? [encoding, ...encodings].map((other) => ({
					encoding: other,
					sendsDimensions: false,
				}))
			: []),
	];
}

function isPlausible(vector: Float32Array): boolean {
	return (
		vectorProblem(vector, vector.length) === undefined && vector.length > 0
	);
}

/** Of 32-bit floats' length: doubles, hex digits, half-precision floats and bytes. */
const misreadings: readonly number[] = [2, 1.5, 0.5, 0.25];

function isAboutEncoding(error: unknown): boolean {
	return error instanceof CallFailure && error.isAboutEncoding;
}

/** `https://host/v1?version=2` with its path, also where the address has it already. */
export function endpoint(baseUrl: string, path: string): string {
	const [, address = "", query = ""] =
		/^([^?#]*)(\?[^#]*)?/.exec(baseUrl) ?? [];
	const bare = withoutSlashes(address);
	return `${bare.endsWith(path) ? bare : bare + path}${query}`;
}

/** Whether the server refuses the form of the request. */
function isRefusal(error: unknown): boolean {
	const { status, kind } = error instanceof CallFailure ? error : {};
	// A key or an empty account is not about the form, whatever the status.
	return (
		kind !== "setup" &&
		kind !== "busy" &&
		(status === 400 || status === 415 || status === 422)
	);
}

/** `undefined`: the indexes of the items contradict each other or the positions. */
function inOrder(items: readonly Item[]): readonly Item[] | undefined {
	const numbers = items.map(({ index }) => numberOf(index));
	if (numbers.every((number, at) => number === undefined || number === at))
		return items;
	const placed = new Map(numbers.map((number, at) => [number, items[at]]));
	for (const first of [0, 1]) {
		const ordered = items.map((_, at) => placed.get(at + first));
		if (ordered.every((item) => item !== undefined)) return ordered;
	}
	return undefined;
}

function isAlike(items: readonly Item[]): boolean {
	const first = numberOf(items[0]?.index);
	return items.every(({ index }) => numberOf(index) === first);
}

/** Some servers make a text of the number. */
function numberOf(index: unknown): number | undefined {
	if (typeof index === "string" && /^\s*[+-]?\d{1,15}(?:\.0*)?\s*$/.test(index))
		return Number(index);
	return typeof index === "number" && Number.isInteger(index)
		? index
		: undefined;
}
