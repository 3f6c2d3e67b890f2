import type { EmbeddingProvider } from "remdb";
import { dimensions } from "./data.ts";

/** Hands out vectors that were made beforehand, and counts how often it is asked. */
export class PrecomputedProvider implements EmbeddingProvider {
	readonly name = "bench";
	readonly model = "precomputed";
	readonly dimensions = dimensions;
	readonly limits = { maxTexts: 2048 };
	calls = 0;
	readonly #vectors: ReadonlyMap<string, Float32Array>;

	constructor(vectors: ReadonlyMap<string, Float32Array>) {
		this.#vectors = vectors;
	}

	async embed(texts: readonly string[]): Promise<Float32Array[]> {
		this.calls++;
		return texts.map((text) => {
			const vector = this.#vectors.get(text);
			if (vector === undefined) throw new Error("a text without a vector");
			return vector;
		});
	}
}
