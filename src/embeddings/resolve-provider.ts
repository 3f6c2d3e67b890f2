import { RemError } from "../errors.ts";
import { suggest } from "../util/suggest.ts";
import { localProvider } from "./local.ts";
import type { EmbeddingProvider } from "./provider.ts";

/** Which provider, and what it needs; from options or the environment. */
export interface ProviderSettings {
	readonly provider: string;
	readonly model?: string | undefined;
	readonly dimensions?: number | undefined;
	readonly apiKey?: string | undefined;
	readonly baseUrl?: string | undefined;
}

type Factory = (settings: ProviderSettings) => EmbeddingProvider;

const factories: Readonly<Record<string, Factory>> = {
	local: ({ model, dimensions }) => {
		const provider = localProvider(dimensions);
		if (model === undefined || model === provider.model) return provider;
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			`provider "local" has no model "${model}"`,
			{ hint: `leave EMBEDDING__MODEL unset, or set it to ${provider.model}` },
		);
	},
	openai: needsKey("openai", "OPENAI_API_KEY"),
	cohere: needsKey("cohere", "COHERE_API_KEY"),
};

/** The provider of that name; `PROVIDER_NOT_CONFIGURED` says what is missing. */
export function resolveProvider(settings: ProviderSettings): EmbeddingProvider {
	const factory = Object.hasOwn(factories, settings.provider)
		? factories[settings.provider]
		: undefined;
	if (factory !== undefined) return factory(settings);
	const hint = suggest(settings.provider, Object.keys(factories));
	throw new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`unknown embedding provider "${settings.provider}"`,
		hint === undefined ? {} : { hint },
	);
}

// The two that speak to a service come with the next version of this module;
// until then they say so before anything is written.
function needsKey(name: string, variable: string): Factory {
	return ({ apiKey }) => {
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			apiKey === undefined
				? `provider "${name}" has no key`
				: `provider "${name}" is not part of this version`,
			{
				hint:
					apiKey === undefined
						? `set ${variable} or EMBEDDING__API_KEY, or EMBEDDING__PROVIDER=local to work offline, or pass generateEmbeddings: false`
						: "set EMBEDDING__PROVIDER=local, or pass a provider object as `embedding`",
			},
		);
	};
}
