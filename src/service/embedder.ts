import { generateBatch } from "../embeddings/generate-batch.ts";
import type {
	EmbeddingProvider,
	EmbeddingPurpose,
} from "../embeddings/provider.ts";
import {
	type ProviderSettings,
	resolveProvider,
	resolveSpace,
} from "../embeddings/resolve-provider.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { Settings } from "./settings.ts";

/** Which provider and model a call asks for; what it leaves out is the service's. */
export interface ProviderChoice {
	readonly provider?: string | undefined;
	readonly model?: string | undefined;
}

/** The providers of a service, each opened when it is first needed. */
export class Embedder {
	readonly #settings: Settings;
	readonly #open = new Map<string, EmbeddingProvider>();

	constructor(settings: Settings) {
		this.#settings = settings;
	}

	/** The provider, or `PROVIDER_NOT_CONFIGURED` saying what it lacks. */
	provider(choice: ProviderChoice = {}): EmbeddingProvider {
		const chosen = this.#choose(choice);
		if ("embed" in chosen) return chosen;
		const key = `${chosen.provider} ${chosen.model ?? ""}`;
		const provider = this.#open.get(key) ?? this.#resolve(chosen);
		this.#open.set(key, provider);
		return provider;
	}

	/** Where the provider's vectors belong; needs no key. */
	space(choice: ProviderChoice = {}): VectorSpace {
		const chosen = this.#choose(choice);
		if (!("embed" in chosen)) return resolveSpace(chosen);
		const { name, model, dimensions } = chosen;
		return { provider: name, model, dimensions };
	}

	async generate(
		texts: readonly string[],
		purpose: EmbeddingPurpose,
		choice: ProviderChoice = {},
	): Promise<Float32Array[]> {
		return generateBatch(this.provider(choice), texts, {
			purpose,
			batchSize: this.#settings.embeddingBatchSize,
		});
	}

	#resolve(chosen: ProviderSettings): EmbeddingProvider {
		const provider = resolveProvider(chosen);
		if (this.#settings.isLocalByDefault && chosen.provider === "local")
			this.#settings.logger.info(
				"no embedding key is set: using the offline provider local, which compares words, not meanings",
			);
		return provider;
	}

	#choose(choice: ProviderChoice): ProviderSettings | EmbeddingProvider {
		const { embedding } = this.#settings;
		const { provider, model } = choice;
		if ("embed" in embedding) {
			const isThis =
				(provider ?? embedding.name) === embedding.name &&
				(model ?? embedding.model) === embedding.model;
			return isThis
				? embedding
				: { provider: provider ?? embedding.name, model };
		}
		if (provider === undefined || provider === embedding.provider)
			return model === undefined || model === embedding.model
				? embedding
				: { ...embedding, model, dimensions: undefined };
		// Another provider than the service's: its own model, key and address.
		return { provider, model };
	}
}
