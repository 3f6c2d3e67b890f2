import { setImmediate as aTurn } from "node:timers/promises";
import type { RemError } from "../errors.ts";
import { valueAt } from "../util/present.ts";
import {
	EmbeddingRun,
	type EmbedOptions,
	type Result,
} from "./embedding-run.ts";
import { CallFailure, type FailureKind, providerError } from "./failure.ts";
import { inferredLimit } from "./inferred-limit.ts";
import { pack } from "./pack.ts";
import type { EmbeddingProvider } from "./provider.ts";

/** What became of one text. */
export type EmbeddingOutcome =
	| { readonly vector: Float32Array }
	| EmbeddingFailure;

/** Why a text has no vector. */
export interface EmbeddingFailure {
	readonly error: RemError;
	/** `text`: it will fail again. Any other: it may succeed later. */
	readonly kind: FailureKind;
	/** How long the provider asks to wait; Infinity: waiting does not help. */
	readonly retryAfterMs: number | undefined;
}

/**
 * A vector or the reason why there is none, for each text in its place. One bad
 * text fails alone; when the provider is down, busy or wrongly set up, what has
 * not been sent yet fails with that reason. Throws only `CANCELLED`.
 */
export async function embedEach(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: EmbedOptions,
): Promise<EmbeddingOutcome[]> {
	const results = await resultsOf(provider, texts, options);
	return texts.map((text) => {
		const result = valueAt(results, text);
		return result instanceof CallFailure
			? failureOutcome(provider, result)
			: { vector: result };
	});
}

export function failureOutcome(
	provider: EmbeddingProvider,
	failure: CallFailure,
): EmbeddingFailure {
	const { kind, retryAfterMs } = failure;
	return { error: providerError(provider, failure), kind, retryAfterMs };
}

/** The same, by text. */
export async function resultsOf(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: EmbedOptions,
): Promise<ReadonlyMap<string, Result>> {
	const run = new EmbeddingRun(provider, options);
	const { limits } = provider;
	const inferred = inferredLimit(provider);
	const batches = pack(new Set(texts), {
		...limits,
		get maxTexts() {
			return Math.min(
				limits.maxTexts,
				options.batchSize ?? limits.maxTexts,
				inferred.maxTexts,
			);
		},
		maxTokensPerRequest: Math.min(
			limits.maxTokensPerRequest ?? Number.POSITIVE_INFINITY,
			run.pace.maxTokens,
		),
	});
	const parallel = Math.min(
		Math.max(1, options.parallelCalls ?? 4),
		limits.maxParallelCalls ?? Number.POSITIVE_INFINITY,
	);
	// A generator gives each of its users the next batch.
	const work = async () => {
		for (const batch of batches) {
			// A provider that answers without waiting would prevent the signal from firing.
			if (options.signal !== undefined) await aTurn();
			await run.settle(batch);
		}
	};
	const first = inferred.isFirst ? batches.next() : undefined;
	if (first?.done === false) await run.settle(first.value);
	await Promise.all(Array.from({ length: parallel }, work));
	return run.results;
}
