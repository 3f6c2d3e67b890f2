import { RemError } from "../errors.ts";
import type { EmbeddingProvider, EmbeddingPurpose } from "./provider.ts";

export interface GenerateOptions {
	readonly purpose: EmbeddingPurpose;
	/** Upper bound of texts in a call; the provider's own limit still holds. */
	readonly batchSize?: number;
	readonly signal?: AbortSignal | undefined;
}

/**
 * The vectors of the texts, in their order: identical texts are asked for once,
 * calls stay within the provider's limits, and what comes back is checked,
 * because a zero or NaN vector would pass every similarity threshold.
 */
export async function generateBatch(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: GenerateOptions,
): Promise<Float32Array[]> {
	const distinct = [...new Set(texts)];
	const size = Math.min(
		provider.limits.maxTexts,
		options.batchSize ?? Number.POSITIVE_INFINITY,
	);
	const vectors = new Map<string, Float32Array>();
	for (let at = 0; at < distinct.length; at += size) {
		const batch = distinct.slice(at, at + size);
		const embedded = await callProvider(provider, batch, options);
		batch.forEach((text, index) => {
			vectors.set(text, embedded[index] as Float32Array);
		});
	}
	return texts.map((text) => vectors.get(text) as Float32Array);
}

async function callProvider(
	provider: EmbeddingProvider,
	batch: readonly string[],
	{ purpose, signal }: GenerateOptions,
): Promise<Float32Array[]> {
	let vectors: Float32Array[];
	try {
		vectors = await provider.embed(batch, { purpose, signal });
	} catch (error) {
		if (error instanceof RemError) throw error;
		if (signal?.aborted)
			throw new RemError("CANCELLED", "the embedding call was cancelled");
		// The provider's words may quote a text or a key: only their kind is kept.
		throw new RemError(
			"PROVIDER_FAILED",
			`embedding provider "${provider.name}" failed: ${error instanceof Error ? error.name : typeof error}`,
			{ hint: "nothing was stored for these texts; try again" },
		);
	}
	if (vectors.length !== batch.length)
		throw badAnswer(
			provider,
			`${vectors.length} vectors for ${batch.length} texts`,
		);
	for (const vector of vectors) {
		const problem = vectorProblem(vector, provider.dimensions);
		if (problem !== undefined) throw badAnswer(provider, problem);
	}
	return vectors;
}

function badAnswer(provider: EmbeddingProvider, what: string): RemError {
	return new RemError(
		"PROVIDER_FAILED",
		`embedding provider "${provider.name}" (${provider.model}) answered with ${what}`,
		{ hint: "check that model and dimensions are right" },
	);
}

/** Why a vector must not be stored or searched with, if so. */
export function vectorProblem(
	vector: Float32Array,
	dimensions: number,
): string | undefined {
	if (vector.length !== dimensions)
		return `${vector.length} dimensions, expected ${dimensions}`;
	let sum = 0;
	for (const value of vector) sum += value * value;
	// Infinity and NaN both end up here, so one pass is enough.
	if (!Number.isFinite(sum)) return "a value that is not finite";
	return sum === 0 ? "nothing but zeros" : undefined;
}
