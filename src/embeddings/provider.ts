/** What the text is for: some models embed a question differently from a document. */
export type EmbeddingPurpose = "document" | "query";

/**
 * Turns texts into vectors. Built in: `local`; anything of this shape can be
 * given to `PostgresService.connect({ embedding })` in its place.
 */
export interface EmbeddingProvider {
	/** Stored with every vector, at most 50 characters: `openai`. */
	readonly name: string;
	/** Stored with every vector, at most 100 characters: `text-embedding-3-small`. */
	readonly model: string;
	/** Length of every vector it returns. */
	readonly dimensions: number;
	readonly limits: {
		/** Texts in one call. */
		readonly maxTexts: number;
		readonly maxTokensPerText?: number;
		readonly maxTokensPerRequest?: number;
	};
	/** One vector for each text, in the order of the texts. */
	embed(
		texts: readonly string[],
		options: {
			readonly purpose: EmbeddingPurpose;
			readonly signal?: AbortSignal | undefined;
		},
	): Promise<Float32Array[]>;
}
