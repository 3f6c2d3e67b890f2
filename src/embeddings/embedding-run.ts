import { count } from "../telemetry/metrics.ts";
import { noteEvent, span } from "../telemetry/span.ts";
import { bounded, checkCancelled, sleep } from "./abort.ts";
import { decodeVector } from "./decode-vector.ts";
import { estimateTokens } from "./estimate-tokens.ts";
import {
	CallFailure,
	type FailureKind,
	mismatch,
	unreadable,
} from "./failure.ts";
import { Pace } from "./pace.ts";
import type { Batch } from "./pack.ts";
import type {
	EmbeddingLimits,
	EmbeddingProvider,
	EmbeddingPurpose,
} from "./provider.ts";
import {
	type RetryOptions,
	type RetryPolicy,
	retryDelayMs,
	retryPolicy,
} from "./retry.ts";
import { failureOf } from "./thrown-failure.ts";
import { vectorProblem } from "./vector-problem.ts";

export interface EmbedOptions {
	readonly purpose: EmbeddingPurpose;
	/** Upper bound of texts in a call; the provider's own limit still holds. */
	readonly batchSize?: number | undefined;
	/** A text estimated longer is split, where it can be; the provider's own limit still holds. */
	readonly maxTokensPerText?: number | undefined;
	/** Calls under way at the same time; the provider's own limit still holds. @default 4 */
	readonly parallelCalls?: number | undefined;
	readonly retry?: RetryOptions | undefined;
	/** The account's budget; share one among all calls that use the account. */
	readonly pace?: Pace | undefined;
	readonly signal?: AbortSignal | undefined;
	/** Told of each call that is made again. */
	readonly onRetry?: ((kind: FailureKind, delayMs: number) => void) | undefined;
}

/** How calls are made, whatever they are for. */
export type CallOptions = Omit<EmbedOptions, "purpose" | "signal">;

export type Result = Float32Array | CallFailure;

/** A short word that every model embeds, to tell a bad text from a bad request. */
const probe = "hello";

/** One pass over many texts: what is known of each, and of the provider. */
export class EmbeddingRun {
	readonly results = new Map<string, Result>();
	readonly pace: Pace;
	readonly #provider: EmbeddingProvider;
	readonly #options: EmbedOptions;
	readonly #policy: RetryPolicy;
	/** Why no further call is made. */
	#stop: CallFailure | undefined;
	/** Whether any text was embedded: then a refusal is about the texts. */
	#hasWorked = false;

	constructor(provider: EmbeddingProvider, options: EmbedOptions) {
		this.#provider = provider;
		this.#options = options;
		this.#policy = retryPolicy(options.purpose, options.retry);
		this.pace = options.pace ?? new Pace();
	}

	/** Gives every text of the batch its result. */
	async settle(batch: Batch): Promise<void> {
		if (this.#stop !== undefined) return this.#fail(batch.texts, this.#stop);
		const missing = await this.#attempt(batch);
		if (missing === undefined) return;
		const { texts } = missing;
		const failure = await this.#blame(missing);
		const isOneText = texts.length === 1;
		if (!isOneText && (await this.#isAboutTexts(failure))) {
			const half = texts.length >> 1;
			await this.settle(sized(texts.slice(0, half)));
			return this.settle(sized(texts.slice(half)));
		}
		const isItsFault = failure.kind === "text" || failure.kind === "answer";
		if (!isOneText || !isItsFault) this.#stop = failure;
		this.#fail(texts, failure);
	}

	/** Calls until every text has a result or another call makes no sense: then what is missing, and why. */
	async #attempt(batch: Batch): Promise<Missing | undefined> {
		const started = performance.now();
		let left = batch;
		for (let attempt = 1; ; attempt++) {
			const missing = await this.#tryOnce(left);
			if (missing === undefined) return undefined;
			const { texts, failure, isSettled } = missing;
			const elapsed = performance.now() - started;
			const delay = retryDelayMs(failure, attempt, elapsed, this.#policy);
			if (delay === undefined) return isSettled ? undefined : missing;
			this.#tellRetry(failure, delay);
			if (failure.retryAfterMs !== undefined) this.pace.pause(delay);
			await sleep(delay, this.#options.signal);
			left = sized(texts);
		}
	}

	/** One call; the texts it left without a good vector. */
	async #tryOnce(batch: Batch): Promise<Missing | undefined> {
		try {
			const vectors = await this.#call(batch);
			const bad = this.#keep(batch.texts, vectors);
			const failure = this.results.get(bad[0] as string) as CallFailure;
			if (bad.length > 0) return { texts: bad, failure, isSettled: true };
		} catch (error) {
			checkCancelled(this.#options.signal);
			const failure = failureOf(error);
			return { texts: batch.texts, failure, isSettled: false };
		}
		return undefined;
	}

	async #call({ texts, tokens }: Batch): Promise<Float32Array[]> {
		const { purpose, signal } = this.#options;
		await this.pace.take(tokens, signal);
		const answer: unknown = await span(
			`embeddings ${this.#provider.model}`,
			this.#span(texts),
			() =>
				bounded(
					async (signal) => this.#provider.embed(texts, { purpose, signal }),
					this.#policy.timeoutMs,
					signal,
				),
		);
		if (!Array.isArray(answer)) throw unreadable("no list of vectors");
		// Written in JavaScript, a provider may well return plain arrays.
		const vectors = answer.map((vector: unknown) =>
			vector instanceof Float32Array ? vector : decodeVector(vector),
		);
		if (vectors.length !== texts.length)
			throw mismatch(
				texts,
				`answered with ${vectors.length} vectors for ${texts.length} texts`,
			);
		this.#checkLengths(vectors);
		return vectors;
	}

	/** In OpenTelemetry's words for a call to a model. */
	#span(texts: readonly string[]) {
		const { name, model, dimensions } = this.#provider;
		return {
			attributes: {
				"gen_ai.operation.name": "embeddings",
				"gen_ai.provider.name": name,
				"gen_ai.request.model": model,
				"gen_ai.embeddings.dimension.count": dimensions,
				"remdb.texts": texts.length,
			},
		};
	}

	#tellRetry({ kind }: CallFailure, delayMs: number): void {
		const attributes = { "remdb.unit": "provider", "error.type": kind };
		count("remdb.retries", attributes);
		noteEvent("remdb.retry", attributes);
		this.#options.onRetry?.(kind, delayMs);
	}

	/** Vectors that all have another length are another model's: asking again would only cost. */
	#checkLengths(vectors: readonly Float32Array[]): void {
		const { dimensions } = this.#provider;
		const length = vectors[0]?.length;
		if (this.#hasWorked || length === 0 || length === dimensions) return;
		if (vectors.every((vector) => vector.length === length))
			throw new CallFailure(
				"broken",
				`answered with vectors of ${length} dimensions, expected ${dimensions}`,
				{ hint: "check that model and dimensions are right" },
			);
	}

	/** Keeps the good vectors; the texts of the others are returned. */
	#keep(texts: readonly string[], vectors: readonly Float32Array[]): string[] {
		const { dimensions } = this.#provider;
		return texts.filter((text, index) => {
			const vector = vectors[index] as Float32Array;
			const problem = vectorProblem(vector, dimensions);
			this.#hasWorked ||= problem === undefined;
			this.results.set(
				text,
				problem === undefined ? vector : bad(problem.message),
			);
			return problem !== undefined;
		});
	}

	/** Whether a refusal is about the texts. As long as nothing has worked, a plain word must tell. */
	async #blame({ failure }: Missing): Promise<CallFailure> {
		if (failure.kind !== "text" || this.#hasWorked) return failure;
		const missing = await this.#attempt(sized([probe]));
		if (this.#hasWorked) return failure;
		const { kind = "text" } = missing?.failure ?? {};
		if (missing !== undefined && kind !== "text" && kind !== "answer")
			return missing.failure;
		return new CallFailure(
			"broken",
			`${failure.message}, and fails for a plain word too`,
			{ hint: "check the model, its dimensions and the address" },
		);
	}

	/** Whether asking for parts of a batch may help: a bad answer is theirs, or bad luck, if a provider that has worked still gives a plain word its vector. */
	async #isAboutTexts({ kind }: CallFailure): Promise<boolean> {
		if (kind !== "answer") return kind === "text";
		if (!this.#hasWorked) return false;
		const known = this.results.get(probe);
		this.results.delete(probe);
		await this.#attempt(sized([probe]));
		const answer = this.results.get(probe);
		if (known !== undefined) this.results.set(probe, known);
		return answer instanceof Float32Array;
	}

	#fail(texts: readonly string[], failure: CallFailure): void {
		const { limits } = this.#provider;
		for (const text of texts)
			this.results.set(text, withLength(failure, text, limits));
	}
}

/** The texts a call left without a vector, and why. */
interface Missing {
	readonly texts: readonly string[];
	readonly failure: CallFailure;
	/** Whether each has a failure of its own, that of its vector. */
	readonly isSettled: boolean;
}

function sized(texts: readonly string[]): Batch {
	const tokens = texts.reduce((sum, text) => sum + estimateTokens(text), 0);
	return { texts, tokens };
}

function bad(problem: string): CallFailure {
	return new CallFailure("answer", `answered with a vector of ${problem}`, {
		hint: "check that model and dimensions are right",
	});
}

/** A refused text that is probably too long is told so; its words are not repeated. */
function withLength(
	failure: CallFailure,
	text: string,
	{ maxTokensPerText = Number.POSITIVE_INFINITY }: EmbeddingLimits,
): CallFailure {
	const tokens = estimateTokens(text);
	if (failure.kind !== "text" || tokens <= maxTokensPerText) return failure;
	return new CallFailure("text", failure.message, {
		hint: `the text has about ${tokens} tokens, the model takes ${maxTokensPerText}: shorten it`,
	});
}
