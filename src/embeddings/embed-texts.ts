import type { PassageVector } from "../models/vector.ts";
import { valueAt } from "../util/present.ts";
import {
	type EmbeddingFailure,
	failureOutcome,
	resultsOf,
} from "./embed-each.ts";
import type { EmbedOptions, Result } from "./embedding-run.ts";
import { CallFailure } from "./failure.ts";
import { allOf, type GenerateOptions } from "./generate-batch.ts";
import { estimateTokens } from "./pack.ts";
import type { EmbeddingProvider } from "./provider.ts";
import { type Passage, splitText } from "./split-text.ts";

/** The vectors of one text, in its order: one, or one for each passage; or why there are none. */
export type TextOutcome =
	| { readonly passages: readonly PassageVector[] }
	| EmbeddingFailure;

/**
 * What became of each text, in its place. A text longer than the model takes is
 * split into passages; if one of them has no vector, the text has none. Apart
 * from that like `embedEach`.
 */
export async function embedTexts(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: EmbedOptions,
): Promise<TextOutcome[]> {
	const results = await passagesOf(provider, texts, options);
	return texts.map((text) => {
		const result = valueAt(results, text);
		return result instanceof CallFailure
			? failureOutcome(provider, result)
			: { passages: result };
	});
}

/** The vectors of all texts or an error, like `generateBatch`; long texts are split, like in `embedTexts`. */
export async function generateForTexts(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: GenerateOptions,
): Promise<(readonly PassageVector[])[]> {
	const results = await passagesOf(provider, texts, options);
	return allOf(provider, { texts, results }, options);
}

type Passages = readonly PassageVector[] | CallFailure;

async function passagesOf(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: EmbedOptions,
): Promise<ReadonlyMap<string, Passages>> {
	const maxTokens = Math.min(
		provider.limits.maxTokensPerText ?? Number.POSITIVE_INFINITY,
		options.maxTokensPerText ?? Number.POSITIVE_INFINITY,
	);
	const results = await tryLength(provider, texts, { maxTokens, options });
	const refused = [...results.keys()].filter((text) =>
		mayBeTooLong(text, valueAt(results, text), maxTokens),
	);
	if (refused.length === 0) return results;
	// The estimate is at least a third of the tokens: a third of the length fits,
	// or length is not what is wrong.
	const shorter = Math.floor(maxTokens / 3);
	const again = await tryLength(provider, refused, {
		maxTokens: shorter,
		options,
	});
	return new Map([...results, ...again]);
}

/** Whether a text was refused although it was estimated short enough, and the estimate may be wrong. */
function mayBeTooLong(
	text: string,
	result: Passages,
	maxTokens: number,
): boolean {
	return (
		result instanceof CallFailure &&
		result.kind === "text" &&
		// No token is smaller than a byte.
		Buffer.byteLength(text) > maxTokens
	);
}

async function tryLength(
	provider: EmbeddingProvider,
	texts: readonly string[],
	{ maxTokens, options }: { maxTokens: number; options: EmbedOptions },
): Promise<ReadonlyMap<string, Passages>> {
	const parts = new Map(texts.map((text) => [text, partsOf(text, maxTokens)]));
	const sent = [...parts.values()].flatMap((passages) =>
		passages.map(({ text }) => text),
	);
	const results = await resultsOf(provider, sent, options);
	return new Map(
		[...parts].map(([text, passages]) => [text, together(passages, results)]),
	);
}

/** A passage, or a whole text, which has no place. */
type Part = Passage | { readonly text: string; start: null; end: null };

function partsOf(text: string, maxTokens: number): readonly Part[] {
	return estimateTokens(text) <= maxTokens
		? [{ text, start: null, end: null }]
		: splitText(text, maxTokens);
}

/** The vectors of a text's parts, or the first failure. */
function together(
	parts: readonly Part[],
	results: ReadonlyMap<string, Result>,
): Passages {
	const vectors: PassageVector[] = [];
	for (const part of parts) {
		const vector = valueAt(results, part.text);
		if (vector instanceof CallFailure) return withPlace(vector, part);
		vectors.push({ vector, start: part.start, end: part.end });
	}
	return vectors;
}

/** A refused passage is named by its position; its words are not repeated. */
function withPlace(failure: CallFailure, { start, end }: Part): CallFailure {
	if (start === null || failure.kind !== "text") return failure;
	return new CallFailure("text", failure.message, {
		hint: `it is about the characters ${start} to ${end} of the text`,
	});
}
