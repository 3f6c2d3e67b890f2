import { RemError } from "../errors.ts";
import { suggest } from "../util/suggest.ts";
import { localDimensions, localModel, localProvider } from "./local.ts";
import type { EmbeddingProvider } from "./provider.ts";

/** Which provider, and what it needs; from options or the environment. */
export interface ProviderSettings {
	readonly provider: string;
	readonly model?: string | undefined;
	readonly dimensions?: number | undefined;
	readonly apiKey?: string | undefined;
	readonly baseUrl?: string | undefined;
}

/** A provider as it is named in vectors: whose they are and how long. */
export interface ProviderSpace {
	readonly provider: string;
	readonly model: string;
	readonly dimensions: number;
}

interface BuiltIn {
	readonly defaultModel: string;
	/** Length of each model's vectors. */
	readonly models: Readonly<Record<string, number>>;
	open(settings: ProviderSettings): EmbeddingProvider;
}

const builtIn: Readonly<Record<string, BuiltIn>> = {
	local: {
		defaultModel: localModel,
		models: { [localModel]: localDimensions },
		open: ({ dimensions }) => localProvider(dimensions),
	},
	openai: {
		defaultModel: "text-embedding-3-small",
		models: {
			"text-embedding-3-small": 1536,
			"text-embedding-3-large": 3072,
		},
		open: needsKey("openai", "OPENAI_API_KEY"),
	},
	cohere: {
		defaultModel: "embed-english-v3.0",
		models: {
			"embed-english-v3.0": 1024,
			"embed-multilingual-v3.0": 1024,
		},
		open: needsKey("cohere", "COHERE_API_KEY"),
	},
};

/** The provider of that name, ready to be asked; `PROVIDER_NOT_CONFIGURED` says what is missing. */
export function resolveProvider(settings: ProviderSettings): EmbeddingProvider {
	const space = resolveSpace(settings);
	return known(settings).open({ ...settings, ...space });
}

/** Where its vectors belong; needs no key, so that ready vectors can be stored and searched. */
export function resolveSpace(settings: ProviderSettings): ProviderSpace {
	const { defaultModel, models } = known(settings);
	const model = settings.model ?? defaultModel;
	const own = Object.hasOwn(models, model) ? models[model] : undefined;
	const dimensions = settings.dimensions ?? own;
	if (dimensions !== undefined)
		return { provider: settings.provider, model, dimensions };
	throw new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`the length of the vectors of model "${model}" is unknown`,
		{
			hint:
				suggest(model, Object.keys(models)) ??
				"set EMBEDDING__DIMENSIONS to it",
		},
	);
}

function known({ provider }: ProviderSettings): BuiltIn {
	const found = Object.hasOwn(builtIn, provider)
		? builtIn[provider]
		: undefined;
	if (found !== undefined) return found;
	const hint = suggest(provider, Object.keys(builtIn));
	throw new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`unknown embedding provider "${provider}"`,
		hint === undefined ? {} : { hint },
	);
}

// The two that speak to a service come with the next version of this module;
// until then they say so before anything is written.
function needsKey(name: string, variable: string): BuiltIn["open"] {
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
