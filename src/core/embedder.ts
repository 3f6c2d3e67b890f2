import {
	type CallOptions,
	generateBatch,
} from "../embeddings/generate-batch.ts";
import { lexicalModel } from "../embeddings/local.ts";
import { Pace } from "../embeddings/pace.ts";
import type {
	EmbeddingProvider,
	EmbeddingPurpose,
} from "../embeddings/provider.ts";
import { ProviderRegistry } from "../embeddings/provider-registry.ts";
import type { ProviderSettings } from "../embeddings/resolve-provider.ts";
import type { RemError } from "../errors.ts";
import type { VectorSpace } from "../models/vector.ts";
import type { Settings } from "../settings/settings.ts";

/** Which provider and model a call asks for; what it leaves out is the service's. */
export interface ProviderChoice {
	readonly provider?: string | undefined;
	readonly model?: string | undefined;
	/** @default the model's own */
	readonly dimensions?: number | undefined;
}

export interface GenerateBatchOptions extends ProviderChoice {
	/** What the texts are for: some models embed a question differently. @default "document" */
	readonly purpose?: EmbeddingPurpose;
}

/** The providers of a service, each opened when it is first needed. */
export class Embedder {
	readonly #settings: Settings;
	readonly #named: ProviderSettings;
	#default: ProviderSettings;
	readonly #registry = new ProviderRegistry();
	readonly #open = new Map<string, EmbeddingProvider>();
	readonly #paces = new Map<string, Pace>();

	/** @internal */
	constructor(settings: Settings) {
		const { embedding } = settings;
		this.#settings = settings;
		if ("embed" in embedding) {
			this.#registry.register(embedding);
			this.#named = { provider: embedding.name, model: embedding.model };
		} else this.#named = embedding;
		this.#default = this.#named;
	}

	/**
	 * The model of a database that began when `local` had no other: unless the
	 * configuration names one, new tables get the same. `undefined`: it has none.
	 */
	continueWith(former: VectorSpace | undefined): void {
		const named = this.#named;
		if (named.provider !== "local" || named.model !== undefined) return;
		this.#default =
			former === undefined
				? named
				: {
						...named,
						model: former.model,
						dimensions: named.dimensions ?? former.dimensions,
					};
	}

	/** Adds a provider of one's own, to be asked for by its name. */
	registerProvider(provider: EmbeddingProvider): void {
		this.#registry.register(provider);
		this.#open.clear();
	}

	/** Why the configured name is none of a provider that is built in or registered so far; `undefined`: it is. */
	unknownProvider(): RemError | undefined {
		return this.#registry.unknownName(this.#named.provider);
	}

	/** The provider, or `PROVIDER_NOT_CONFIGURED` naming what it lacks. */
	provider(choice: ProviderChoice = {}): EmbeddingProvider {
		const chosen = this.#choose(choice);
		// By its vectors, so that what it infers about its server is inferred once.
		const key = keyOf(this.#registry.space(chosen));
		const provider = this.#open.get(key) ?? this.#resolve(chosen);
		this.#open.set(key, provider);
		return provider;
	}

	/** Where the provider's vectors belong; needs no key. */
	space(choice: ProviderChoice = {}): VectorSpace {
		return this.#registry.space(this.#choose(choice));
	}

	/** The same; `undefined` where the model's vectors are not known yet. */
	spaceIfKnown(choice: ProviderChoice = {}): VectorSpace | undefined {
		return this.#spaceIfKnown(this.#choose(choice));
	}

	/** Where vectors of the configuration belong, also where {@link continueWith} took another model. */
	namedSpace(): VectorSpace | undefined {
		return this.#spaceIfKnown(this.#named);
	}

	#spaceIfKnown(chosen: ProviderSettings): VectorSpace | undefined {
		try {
			return this.#registry.space(chosen);
		} catch {
			return undefined; // A call that embeds with it reports what it lacks.
		}
	}

	/** How calls to the provider are made; its budget is one for the whole service. */
	calls(choice: ProviderChoice = {}): CallOptions {
		const { embeddingBatchSize, embeddingCalls, logger } = this.#settings;
		const { requestsPerMinute, tokensPerMinute, ...calls } = embeddingCalls;
		const { provider } = this.#choose(choice);
		const pace =
			this.#paces.get(provider) ??
			new Pace({ requestsPerMinute, tokensPerMinute });
		this.#paces.set(provider, pace);
		return {
			...calls,
			batchSize: embeddingBatchSize,
			pace,
			onRetry: (kind, delayMs) =>
				logger.debug(
					{ provider, kind, delayMs },
					`provider "${provider}" gave no vectors (${kind}); asked again in ${delayMs.toFixed(0)} ms`,
				),
		};
	}

	/**
	 * The vectors of the texts, in their order: in as few calls as the provider
	 * takes, identical texts once, checked before they are returned. The
	 * specification's generate_embeddings_batch.
	 */
	async generateBatch(
		texts: readonly string[],
		{ purpose = "document", ...choice }: GenerateBatchOptions = {},
	): Promise<Float32Array[]> {
		const provider = this.provider(choice);
		return generateBatch(provider, texts, { ...this.calls(choice), purpose });
	}

	#resolve(chosen: ProviderSettings): EmbeddingProvider {
		const provider = this.#registry.resolve(chosen);
		if (this.#settings.isLocalByDefault && chosen.provider === "local")
			this.#settings.logger.info(
				{ provider: "local" },
				`no embedding key is set: using the offline provider local, which ${
					chosen.model === lexicalModel
						? "compares words, not meanings"
						: "knows English words, not sentences"
				}`,
			);
		return provider;
	}

	#choose({ dimensions, ...choice }: ProviderChoice): ProviderSettings {
		const chosen = this.#chooseModel(choice);
		return dimensions === undefined ? chosen : { ...chosen, dimensions };
	}

	#chooseModel({ provider, model }: ProviderChoice): ProviderSettings {
		const settings = this.#default;
		if (provider === undefined || provider === settings.provider)
			return model === undefined || model === settings.model
				? settings
				: { ...settings, model, dimensions: undefined };
		// Another provider than the service's: its own model, key and address.
		const apiKey = this.#settings.embeddingKeys[provider];
		return { provider, model, apiKey };
	}
}

function keyOf({ provider, model, dimensions }: VectorSpace): string {
	return `${provider} ${model} ${dimensions}`;
}
