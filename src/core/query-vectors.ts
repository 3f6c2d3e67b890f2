import type { EmbeddingProvider } from "../embeddings/provider.ts";

const keptTexts = 256;
const longestText = 2000;

/**
 * The vectors of the latest queries, so that the same question asks its provider
 * once: 256 for each provider, 1.5 MB at 1,536 dimensions. Questions that are
 * asked at the same time share one call; what failed is asked again.
 */
export class QueryVectors {
	readonly #kept = new WeakMap<
		EmbeddingProvider,
		Map<string, Promise<Float32Array>>
	>();

	get(
		provider: EmbeddingProvider,
		text: string,
		embed: () => Promise<Float32Array>,
	): Promise<Float32Array> {
		if (text.length > longestText) return embed();
		const kept = this.#of(provider);
		const vector = kept.get(text) ?? embed();
		// The one used last stands last.
		kept.delete(text);
		kept.set(text, vector);
		vector.catch(() => {
			if (kept.get(text) === vector) kept.delete(text);
		});
		const [oldest] = kept.keys();
		if (kept.size > keptTexts && oldest !== undefined) kept.delete(oldest);
		return vector;
	}

	#of(provider: EmbeddingProvider): Map<string, Promise<Float32Array>> {
		const kept = this.#kept.get(provider) ?? new Map();
		this.#kept.set(provider, kept);
		return kept;
	}
}
