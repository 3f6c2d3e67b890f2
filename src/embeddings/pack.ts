import { estimateTokens } from "./estimate-tokens.ts";
import type { EmbeddingLimits } from "./provider.ts";

/** The texts of one call. */
export interface Batch {
	readonly texts: readonly string[];
	/** Estimated. */
	readonly tokens: number;
}

/**
 * The texts in calls that are as large as count and tokens allow, in their
 * order; `maxTexts` is read for each, so that it may change. A text that may be too long for the model goes alone: whether it is,
 * only the provider knows, and its refusal then costs no other.
 */
export function* pack(
	texts: Iterable<string>,
	limits: EmbeddingLimits,
): Generator<Batch> {
	const { maxTokensPerText, maxTokensPerRequest } = limits;
	const maxTokens = maxTokensPerRequest ?? Number.POSITIVE_INFINITY;
	const longest = maxTokensPerText ?? maxTokens;
	let batch: string[] = [];
	let sum = 0;
	for (const text of texts) {
		const tokens = estimateTokens(text);
		if (tokens > longest) {
			yield { texts: [text], tokens };
			continue;
		}
		if (batch.length >= limits.maxTexts || sum + tokens > maxTokens) {
			if (batch.length > 0) yield { texts: batch, tokens: sum };
			batch = [];
			sum = 0;
		}
		batch.push(text);
		sum += tokens;
	}
	if (batch.length > 0) yield { texts: batch, tokens: sum };
}
