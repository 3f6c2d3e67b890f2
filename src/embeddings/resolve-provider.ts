import { RemError } from "../errors.ts";
import type { VectorSpace } from "../models/vector.ts";
import { suggest } from "../util/suggest.ts";
import { cohereModels, cohereProvider } from "./cohere.ts";
import { type KnownModels, vectorLength } from "./known-model.ts";
import { defaultLocalModel, localModels, localProvider } from "./local.ts";
import { openaiModels, openaiProvider, type RemoteOptions } from "./openai.ts";
import type { EmbeddingProvider } from "./provider.ts";
import { transformersProvider } from "./transformers.ts";
import { modelsByCard } from "./transformers-card.ts";

/** Which provider, and what it needs; from options or the environment. */
export interface ProviderSettings {
	readonly provider: string;
	readonly model?: string | undefined;
	readonly dimensions?: number | undefined;
	readonly apiKey?: string | undefined;
	readonly baseUrl?: string | undefined;
}

interface BuiltIn {
	/** @param dimensions that are configured */
	readonly defaultModel: (dimensions: number | undefined) => string;
	/** @param model that is asked for; a folder describes itself */
	readonly models: (model: string) => KnownModels;
	/** Whether there are no other models. */
	readonly isClosed?: boolean;
	open(options: RemoteOptions): EmbeddingProvider;
}

const builtIn: Readonly<Record<string, BuiltIn>> = {
	local: {
		defaultModel: defaultLocalModel,
		models: () => localModels,
		isClosed: true,
		open: localProvider,
	},
	openai: {
		defaultModel: () => "text-embedding-3-small",
		models: () => openaiModels,
		open: (options) => {
			// A server of one's own may need none.
			if (options.baseUrl === undefined)
				requireKey("openai", "OPENAI_API_KEY", options);
			return openaiProvider(options);
		},
	},
	cohere: {
		defaultModel: () => "embed-english-v3.0",
		models: () => cohereModels,
		open: (options) => {
			requireKey("cohere", "COHERE_API_KEY", options);
			return cohereProvider(options);
		},
	},
	transformers: {
		defaultModel: () => "Xenova/all-MiniLM-L6-v2",
		models: modelsByCard,
		open: transformersProvider,
	},
};

export const builtInProviders = Object.keys(builtIn);

/** The built-in provider of that name, ready to be asked; `PROVIDER_NOT_CONFIGURED` names what is missing. */
export function resolveProvider(settings: ProviderSettings): EmbeddingProvider {
	const { model, dimensions } = resolveSpace(settings);
	const { apiKey, baseUrl } = settings;
	return known(settings).open({ model, dimensions, apiKey, baseUrl });
}

/** Where its vectors belong; needs no key, so that ready vectors can be stored and searched. */
export function resolveSpace(settings: ProviderSettings): VectorSpace {
	const builtIn = known(settings);
	const { provider, model = builtIn.defaultModel(settings.dimensions) } =
		settings;
	const models = builtIn.models(model);
	if (builtIn.isClosed && !Object.hasOwn(models, model))
		throw unknownModel(provider, model, Object.keys(models));
	const dimensions = vectorLength(models, model, settings.dimensions);
	return { provider, model, dimensions };
}

function known({ provider }: ProviderSettings): BuiltIn {
	const found = Object.hasOwn(builtIn, provider)
		? builtIn[provider]
		: undefined;
	if (found !== undefined) return found;
	throw unknownProvider(provider, builtInProviders);
}

export function unknownProvider(
	provider: string,
	names: readonly string[],
): RemError {
	const hint = suggest(provider, names);
	return new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`unknown embedding provider "${provider}"`,
		hint === undefined ? {} : { hint },
	);
}

export function unknownModel(
	provider: string,
	model: string,
	models: readonly string[],
): RemError {
	const hint = suggest(model, models);
	return new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`embedding provider "${provider}" has no model "${model}"`,
		hint === undefined ? {} : { hint },
	);
}

function requireKey(
	name: string,
	variable: string,
	{ apiKey }: RemoteOptions,
): void {
	if (apiKey !== undefined && apiKey !== "") return;
	throw new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`provider "${name}" has no key`,
		{
			hint: `set ${variable} or EMBEDDING__API_KEY, or EMBEDDING__PROVIDER=local to work offline`,
		},
	);
}
