import type { RemError } from "../errors.ts";
import type { VectorSpace } from "../models/vector.ts";
import { checkProvider } from "./check-provider.ts";
import type { EmbeddingProvider } from "./provider.ts";
import {
	builtInProviders,
	type ProviderSettings,
	resolveProvider,
	resolveSpace,
	unknownModel,
	unknownProvider,
} from "./resolve-provider.ts";

/** The providers a service knows: those registered with it, before the built-in ones. */
export class ProviderRegistry {
	readonly #own: EmbeddingProvider[] = [];

	/** Adds a provider under its name; it goes before one of the same name and model. */
	register(provider: EmbeddingProvider): void {
		this.#own.unshift(checkProvider(provider, "the object to register"));
	}

	/** The provider of that name and model, ready to be asked; `PROVIDER_NOT_CONFIGURED` names what is missing. */
	resolve(settings: ProviderSettings): EmbeddingProvider {
		return this.#find(settings) ?? resolveProvider(settings);
	}

	/** Where its vectors belong; needs no key. */
	space(settings: ProviderSettings): VectorSpace {
		const own = this.#find(settings);
		if (own === undefined) return resolveSpace(settings);
		return { provider: own.name, model: own.model, dimensions: own.dimensions };
	}

	/** Why no provider has the name yet; `undefined`: one has. */
	unknownName(provider: string): RemError | undefined {
		const isKnown =
			builtInProviders.includes(provider) ||
			this.#own.some(({ name }) => name === provider);
		return isKnown ? undefined : this.#unknown(provider);
	}

	/** Without a model, the one registered last. */
	#find({ provider, model }: ProviderSettings): EmbeddingProvider | undefined {
		const own = this.#own.find(
			({ name, model: its }) =>
				name === provider && (model === undefined || model === its),
		);
		if (own !== undefined || builtInProviders.includes(provider)) return own;
		throw this.#unknown(provider, model);
	}

	#unknown(provider: string, model = ""): RemError {
		const models = this.#own
			.filter(({ name }) => name === provider)
			.map((own) => own.model);
		if (models.length > 0) return unknownModel(provider, model, models);
		const names = this.#own.map(({ name }) => name);
		return unknownProvider(provider, [...names, ...builtInProviders]);
	}
}
