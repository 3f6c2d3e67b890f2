import { count } from "../telemetry/metrics.ts";
import { noteEvent, span } from "../telemetry/span.ts";
import { elementAt } from "../util/present.ts";
import { bounded, checkCancelled, sleep } from "./abort.ts";
import { NoVector } from "./decode-vector.ts";
import { CallFailure, type FailureKind, mismatch } from "./failure.ts";
import { type InferredLimit, inferredLimit } from "./inferred-limit.ts";
import {
	aboutTexts,
	failureIn,
	isUnread,
	lengthHint,
	type Missing,
	mayBeTexts,
	ofTexts,
	withLength,
} from "./missing-vectors.ts";
import { Pace } from "./pace.ts";
import { type Batch, estimateTokens } from "./pack.ts";
import type { EmbeddingProvider, EmbeddingPurpose } from "./provider.ts";
import { vectorsOf } from "./read-items.ts";
import {
	type RetryOptions,
	type RetryPolicy,
	retryDelayMs,
	retryPolicy,
} from "./retry.ts";
import { failureOf } from "./thrown-failure.ts";

export interface EmbedOptions {
	readonly purpose: EmbeddingPurpose;
	/** Upper bound of texts in a call; the provider's own limit applies as well. */
	readonly batchSize?: number | undefined;
	/** A text estimated longer is split, where it can be; the provider's own limit applies as well. */
	readonly maxTokensPerText?: number | undefined;
	/** Calls under way at the same time; the provider's own limit applies as well. @default 4 */
	readonly parallelCalls?: number | undefined;
	readonly retry?: RetryOptions | undefined;
	/** The account's budget; share one among all calls that use the account. */
	readonly pace?: Pace | undefined;
	readonly signal?: AbortSignal | undefined;
	/** Called before each call that is repeated. */
	readonly onRetry?: ((kind: FailureKind, delayMs: number) => void) | undefined;
}

/** How calls are made, whatever they are for. */
export type CallOptions = Omit<EmbedOptions, "purpose" | "signal">;

export type Result = Float32Array | CallFailure;

/** A short word that every model embeds, to distinguish a bad text from a bad request. */
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
	readonly #limit: InferredLimit;
	/** The first call that is split. */
	#splitting: Promise<unknown> = Promise.resolve();
	#hasSplit = false;
	/** A plain word that is being asked for. */
	#probing: Promise<boolean> | undefined;
	/** The one asked for because of a limit of the rate. */
	#onBusy: Promise<boolean> | undefined;

	constructor(provider: EmbeddingProvider, options: EmbedOptions) {
		this.#provider = provider;
		this.#options = options;
		this.#policy = retryPolicy(options.purpose, options.retry);
		this.pace = options.pace ?? new Pace();
		this.#limit = inferredLimit(provider);
	}

	/** Gives every text of the batch its result. */
	settle(batch: Batch): Promise<void> {
		return this.#settle(batch, 0);
	}

	/** @param depth how many refused calls the texts were part of */
	async #settle(batch: Batch, depth: number): Promise<void> {
		if (this.#stop !== undefined) return this.#fail(batch.texts, this.#stop);
		if (batch.texts.length > this.#limit.maxTexts)
			return this.#settleParts(batch.texts, this.#limit.maxTexts, depth);
		const missing = await this.#attempt(batch, depth);
		if (missing === undefined) return this.#limit.worked(batch.texts.length);
		const { texts } = missing;
		const failure = await this.#blame(missing);
		if (missing.isSettled && this.#hasWorked) {
			this.#limit.worked(batch.texts.length);
			return this.#conclude(texts);
		}
		const isOneText = texts.length === 1;
		const isAboutTexts =
			missing.isAboutTexts ?? (await this.#isAboutTexts(failure));
		if (!isOneText && isAboutTexts) return this.#split(texts, failure, depth);
		const isItsFault = failure.kind === "text" || failure.kind === "answer";
		if (!isOneText || !isItsFault) this.#stop = failure;
		this.#fail(texts, failure);
	}

	/** Each has a failure of its own. Another length than the others' does not change any more. */
	#conclude(texts: readonly string[]): void {
		for (const text of texts) {
			const failure = this.results.get(text);
			if (failure instanceof CallFailure && failure.isOtherLength)
				this.results.set(text, ofTexts(failure));
		}
	}

	/**
	 * The texts of a refused call in smaller ones: one of them is bad, or they
	 * were too many. The first call to be split finds out, and calls that were
	 * refused at the same time wait for what it finds out.
	 */
	async #split(
		texts: readonly string[],
		failure: CallFailure,
		depth: number,
	): Promise<void> {
		if (depth > 0 || this.#hasSplit) return this.#halve(texts, failure, depth);
		const turn = this.#splitting.then(() => {
			const isLearned = this.#hasSplit && texts.length > this.#limit.maxTexts;
			return isLearned
				? this.#settleParts(texts, this.#limit.maxTexts, 0)
				: this.#halve(texts, failure, 0);
		});
		this.#splitting = turn.then(
			() => {
				this.#hasSplit = true;
			},
			() => {},
		);
		return turn;
	}

	async #halve(
		texts: readonly string[],
		{ kind, status, maxTexts, isLength }: CallFailure,
		depth: number,
	): Promise<void> {
		const isStated = maxTexts !== undefined && maxTexts < texts.length;
		const size = isStated ? maxTexts : this.#limit.sizeBelow(texts.length);
		await this.#settleParts(texts, size, depth + 1);
		const isCount =
			(kind === "text" || status === 429) &&
			!isLength &&
			(isStated || status !== undefined) &&
			texts.every((text) => this.results.get(text) instanceof Float32Array);
		if (!isCount) return;
		// Unless the number was another one, and less was found out.
		if (isStated && this.#limit.maxTexts > size) this.#limit.stated(size);
		else this.#limit.refused(texts.length, depth > 0);
	}

	/** One after the other, in parts of that size, or smaller where that is found out in between. */
	async #settleParts(
		texts: readonly string[],
		size: number,
		depth: number,
	): Promise<void> {
		for (let at = 0; at < texts.length; at += size)
			await this.#settle(sized(texts.slice(at, at + size)), depth);
	}

	/** Calls until every text has a result or another call makes no sense: then what is missing, and why. */
	async #attempt(batch: Batch, depth = 0): Promise<Missing | undefined> {
		const started = performance.now();
		let left = batch;
		let others: "unknown" | "fail" | "work" = "unknown";
		for (let attempt = 1; ; attempt++) {
			const missing = await this.#tryOnce(left);
			if (missing === undefined) return undefined;
			const { texts, failure } = missing;
			if (failure.isDoubtful && !isProbe(texts)) {
				if (await this.#isOnlyTheirs(failure)) return aboutTexts(missing);
				if (failure.kind !== "busy") return missing;
			}
			const delay = this.#delayAfter(failure, attempt, started);
			const isOver = delay === undefined;
			if (others === "work" && failure.kind === "down" && (isOver || depth > 0))
				return aboutTexts(missing);
			if (!isOver) await this.#pause(failure, delay);
			left = sized(texts);
			const isTurn =
				others === "unknown" &&
				mayBeTexts(missing) &&
				!isProbe(texts) &&
				this.#asksOthers(attempt, {
					texts: texts.length,
					depth,
					isOver,
					isSilent: failure.status === undefined && failure.kind === "down",
				});
			if (isTurn) {
				// In the place of one of the tries, so that an outage costs no more calls.
				if (!isOver) attempt++;
				others = (await this.#answersProbe()) ? "work" : "fail";
				const isLast =
					this.#delayAfter(failure, attempt, started) === undefined;
				if (others === "work" && (texts.length > 1 || isLast))
					return aboutTexts(missing);
				if (isLast) return { ...missing, failsAlike: others === "fail" };
			} else if (isOver) return { ...missing, failsAlike: others === "fail" };
		}
	}

	/** Whether a plain word gets its vector where these texts did not. Where the rate may be limited, it is asked for once. */
	async #isOnlyTheirs({ kind }: CallFailure): Promise<boolean> {
		if (kind !== "busy") return this.#sharedProbe();
		this.#onBusy ??= this.#sharedProbe();
		return this.#onBusy;
	}

	/** Calls that fail together ask together. */
	#sharedProbe(): Promise<boolean> {
		this.#probing ??= this.#answersProbe().finally(() => {
			this.#probing = undefined;
		});
		return this.#probing;
	}

	#delayAfter(
		failure: CallFailure,
		attempt: number,
		started: number,
	): number | undefined {
		const elapsed = performance.now() - started;
		return retryDelayMs(failure, attempt, elapsed, this.#policy);
	}

	async #pause(failure: CallFailure, delay: number): Promise<void> {
		this.#reportRetry(failure, delay);
		if (failure.retryAfterMs !== undefined) this.pace.pause(delay);
		await sleep(delay, this.#options.signal);
	}

	/**
	 * Whether it is time to ask whether other texts get their vectors: soon, where
	 * texts can be distinguished; at the end, where there is only one. Where
	 * time is up before, it costs a call more, but not while a caller waits.
	 */
	#asksOthers(
		attempt: number,
		{ texts, depth, isOver, isSilent }: Turn,
	): boolean {
		const { attempts } = this.#policy;
		const isAlone = texts === 1 && depth === 0;
		if (isOver)
			return attempt < attempts || this.#options.purpose === "document";
		if (isSilent && depth > 0 && texts > 1) return true;
		if (!isAlone) return attempt + 1 === Math.min(attempts, askOthersAt);
		return (
			attempt + 1 === attempts &&
			(attempts > askOthersAt || (isSilent && attempts === askOthersAt))
		);
	}

	/** Whether the provider gives a plain word its vector, at this moment. */
	async #answersProbe(): Promise<boolean> {
		const known = this.results.get(probe);
		this.results.delete(probe);
		const missing = await this.#tryOnce(sized([probe]));
		if (known === undefined) this.results.delete(probe);
		else this.results.set(probe, known);
		return missing === undefined;
	}

	/** One call; the texts it left without a good vector. */
	async #tryOnce(batch: Batch): Promise<Missing | undefined> {
		try {
			const vectors = await this.#call(batch);
			const bad = this.#store(batch.texts, vectors);
			if (bad.length > 0) return this.#settled(bad);
		} catch (error) {
			checkCancelled(this.#options.signal);
			const failure = failureOf(error);
			return { texts: batch.texts, failure, isSettled: false };
		}
		return undefined;
	}

	/** Of texts whose vectors are bad, those that may get better ones count first. */
	#settled(bad: readonly string[]): Missing {
		const failureOf = (text: string) => this.results.get(text) as CallFailure;
		const passing = bad.filter((text) => failureOf(text).kind !== "text");
		const texts = passing.length > 0 ? passing : bad;
		const failure = failureOf(elementAt(texts, 0));
		return { texts, failure, isSettled: true };
	}

	async #call({ texts, tokens }: Batch): Promise<Float32Array[]> {
		const { purpose, signal } = this.#options;
		await this.pace.take(tokens, signal);
		const vectors = await span(
			`embeddings ${this.#provider.model}`,
			this.#span(texts),
			() =>
				bounded(
					// A copy: a provider that changes it changes nothing here.
					async (signal) =>
						vectorsOf(
							await this.#provider.embed([...texts], { purpose, signal }),
							texts.length,
							this.#provider.dimensions,
						),
					this.#policy.timeoutMs,
					signal,
				),
		);
		if (vectors.length !== texts.length)
			throw mismatch(
				texts,
				`answered with ${vectors.length} vectors for ${texts.length} texts`,
			);
		this.#checkAll(texts, vectors);
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

	#reportRetry({ kind }: CallFailure, delayMs: number): void {
		const attributes = { "remdb.unit": "provider", "error.type": kind };
		count("remdb.retries", attributes);
		noteEvent("remdb.retry", attributes);
		this.#options.onRetry?.(kind, delayMs);
	}

	/**
	 * What is wrong with all vectors of a call alike. Another length is another
	 * model's, unless a plain word gets the right one; values that are no vectors
	 * are what some servers answer to a call with one bad text in it.
	 */
	#checkAll(texts: readonly string[], vectors: readonly Float32Array[]): void {
		const [first] = vectors;
		if (first instanceof NoVector) {
			const { kind, message, hint } = first.failure;
			if (kind === "answer" && vectors.every(isUnread))
				throw mismatch(texts, message, hint);
			return;
		}
		const { dimensions } = this.#provider;
		const length = first?.length;
		if (length === dimensions) return;
		if (vectors.some((vector) => vector.length !== length)) return;
		const message = `answered with vectors of ${length} dimensions, expected ${dimensions}`;
		if (!this.#hasWorked)
			throw new CallFailure("broken", message, {
				hint: lengthHint,
				isDoubtful: true,
			});
		// One of them may be the reason for all.
		if (texts.length > 1) throw mismatch(texts, message, lengthHint);
	}

	/** Stores the valid vectors; the texts of the others are returned. */
	#store(texts: readonly string[], vectors: readonly Float32Array[]): string[] {
		const { dimensions } = this.#provider;
		return texts.filter((text, index) => {
			const vector = elementAt(vectors, index);
			const failure = failureIn(vector, dimensions);
			this.#hasWorked ||= failure === undefined;
			this.results.set(text, failure ?? vector);
			return failure !== undefined;
		});
	}

	/** Whether a refusal is about the texts. As long as no call has succeeded, a plain word decides. */
	async #blame({ failure, failsAlike }: Missing): Promise<CallFailure> {
		const mayBeTheirs =
			failure.kind === "text" ||
			// A caller waits for a query: it is only repeated.
			(failure.kind === "answer" && this.#options.purpose === "document");
		if (!mayBeTheirs || this.#hasWorked) return failure;
		const missing = failsAlike
			? undefined
			: await this.#attempt(sized([probe]));
		if (this.#hasWorked) return failure;
		const { kind = "text" } = missing?.failure ?? {};
		if (missing !== undefined && kind !== "text" && kind !== "answer")
			return missing.failure;
		return new CallFailure(
			"broken",
			`${failure.message}, and fails for a plain word too`,
			{
				hint: failure.hint ?? "check the model, its dimensions and the address",
			},
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

/** With the third try, a plain word is asked for instead. */
const askOthersAt = 3;

/** What is known of a call that failed, when it is to be decided how to go on. */
interface Turn {
	readonly texts: number;
	readonly depth: number;
	/** Whether there is no other try. */
	readonly isOver: boolean;
	/** Whether no answer came, which takes long to find out. */
	readonly isSilent: boolean;
}

function isProbe(texts: readonly string[]): boolean {
	return texts.length === 1 && texts[0] === probe;
}

function sized(texts: readonly string[]): Batch {
	const tokens = texts.reduce((sum, text) => sum + estimateTokens(text), 0);
	return { texts, tokens };
}
