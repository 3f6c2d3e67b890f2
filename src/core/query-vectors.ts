import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";

const limits = { maxEntries: 256, maxKeyLength: 2000 };

/**
 * The vectors of the latest queries, so that the same question asks its provider
 * once: 256 for each provider, 1.5 MB at 1,536 dimensions. Questions that are
 * asked at the same time share one call; what failed is asked again.
 */
export class QueryVectors {
	readonly #caches = new WeakMap<
		EmbeddingProvider,
		ExpiringCache<Promise<Float32Array>>
	>();

	get(
		provider: EmbeddingProvider,
		text: string,
		embed: () => Promise<Float32Array>,
	): Promise<Float32Array> {
		const cache = this.#cacheOf(provider);
		const cached = cache.get(text);
		if (cached !== undefined) return cached;
		const vector = embed();
		cache.set(text, vector);
		vector.catch(() => {
			if (cache.get(text) === vector) cache.delete(text);
		});
		return vector;
	}

	#cacheOf(provider: EmbeddingProvider): ExpiringCache<Promise<Float32Array>> {
		const cache = this.#caches.get(provider) ?? new ExpiringCache(limits);
		this.#caches.set(provider, cache);
		return cache;
	}
}
