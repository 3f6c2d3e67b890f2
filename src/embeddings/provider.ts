import type { VectorInput } from "../models/vector.ts";

/** What the text is for: some models embed a question differently from a document. */
export type EmbeddingPurpose = "document" | "query";

/** What a provider takes in one call. */
export interface EmbeddingLimits {
	/** Texts in one call. */
	readonly maxTexts: number;
	/** A longer text (estimated) is stored as several passages, each with a vector of its own. */
	readonly maxTokensPerText?: number;
	/** Tokens of all texts of a call; estimated, see `estimateTokens`. */
	readonly maxTokensPerRequest?: number;
	/** Calls under way at the same time. @default 4 */
	readonly maxParallelCalls?: number;
}

/**
 * Turns texts into vectors. Built in: `local`, `openai`, `cohere`, `transformers`; anything of
 * this shape can be given to `PostgresService.connect({ embedding })` or
 * registered by name.
 *
 * `embed` makes one call and does not try again: batching, waiting, trying
 * again and checking the answer happen around it, once. To report what went wrong
 * it throws an error with the HTTP `status` (or `statusCode`), and the answer's
 * `headers` if there are any: 429 and 5xx are tried again, 400, 413 and 422
 * mean one of the texts, 401, 403 and 404 mean the configuration.
 */
export interface EmbeddingProvider {
	/** Stored with every vector, at most 50 characters: `openai`. */
	readonly name: string;
	/** Stored with every vector, at most 100 characters: `text-embedding-3-small`. */
	readonly model: string;
	/** Length of every vector it returns. */
	readonly dimensions: number;
	readonly limits: EmbeddingLimits;
	/** One vector for each text, in the order of the texts: typed arrays or lists of numbers. */
	embed(
		texts: readonly string[],
		options: {
			readonly purpose: EmbeddingPurpose;
			readonly signal?: AbortSignal | undefined;
		},
	): Promise<readonly VectorInput[]>;
}
