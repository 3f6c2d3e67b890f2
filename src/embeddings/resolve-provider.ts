import { RemError } from "../errors.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { suggest } from "../util/suggest.ts";
import { cohereModels, cohereProvider } from "./cohere.ts";
import { type KnownModels, vectorLength } from "./known-model.ts";
import { localModels, localProvider, semanticModel } from "./local.ts";
import { openaiModels, openaiProvider, type RemoteOptions } from "./openai.ts";
import type { EmbeddingProvider } from "./provider.ts";

/** Which provider, and what it needs; from options or the environment. */
export interface ProviderSettings {
	readonly provider: string;
	readonly model?: string | undefined;
	readonly dimensions?: number | undefined;
	readonly apiKey?: string | undefined;
	readonly baseUrl?: string | undefined;
}

interface BuiltIn {
	readonly defaultModel: string;
	readonly models: KnownModels;
	/** Whether there are no other models. */
	readonly isClosed?: boolean;
	open(options: RemoteOptions): EmbeddingProvider;
}

const builtIn: Readonly<Record<string, BuiltIn>> = {
	local: {
		defaultModel: semanticModel,
		models: localModels,
		isClosed: true,
		open: localProvider,
	},
	openai: {
		defaultModel: "text-embedding-3-small",
		models: openaiModels,
		open: (options) => {
			// A server of one's own may need none.
			if (options.baseUrl === undefined)
				requireKey("openai", "OPENAI_API_KEY", options);
			return openaiProvider(options);
		},
	},
	cohere: {
		defaultModel: "embed-english-v3.0",
		models: cohereModels,
		open: (options) => {
			requireKey("cohere", "COHERE_API_KEY", options);
			return cohereProvider(options);
		},
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
	const { defaultModel, models, isClosed } = known(settings);
	const { provider, model = defaultModel } = settings;
	if (isClosed && !Object.hasOwn(models, model))
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
			hint: `set ${variable} or EMBEDDING__API_KEY, or EMBEDDING__PROVIDER=local to work offline, or pass generateEmbeddings: false`,
		},
	);
}
