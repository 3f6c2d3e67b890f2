import { RemError, reading } from "../errors.ts";
import { record, text, typeName, wholeNumber } from "../models/checks.ts";
import { optionTable, takeOptions } from "../models/options.ts";
import { membersOf } from "../util/present.ts";
import { cohereModels, cohereTokensPerText } from "./cohere.ts";
import { knownModel, vectorLength } from "./known-model.ts";
import { openaiLimits, openaiModels } from "./openai.ts";
import type {
	EmbeddingLimits,
	EmbeddingProvider,
	EmbeddingPurpose,
} from "./provider.ts";
import { vectorsOf } from "./read-items.ts";

/** What we use of an embedding model of the Vercel AI SDK, versions 2 to 4 of its specification. */
export interface AiSdkEmbeddingModel {
	readonly specificationVersion: string;
	readonly provider: string;
	readonly modelId: string;
	readonly maxEmbeddingsPerCall:
		| PromiseLike<number | undefined>
		| number
		| undefined;
	readonly supportsParallelCalls: PromiseLike<boolean> | boolean;
	doEmbed(options: AiSdkCall): PromiseLike<{
		readonly embeddings: readonly (readonly number[])[];
	}>;
}

interface AiSdkCall {
	values: string[];
	abortSignal?: AbortSignal;
	providerOptions?: AiSdkProviderOptions;
	/** Known from version 4 of the specification on. */
	dimensions?: number;
}

/** Options of the model, by provider: `{ openai: { dimensions: 512 } }`. */
export type AiSdkProviderOptions = Record<
	string,
	Record<string, string | number | boolean>
>;

export interface FromAiSdkOptions {
	/** Length of its vectors. @default the model's own, for the models of OpenAI and Cohere we know */
	readonly dimensions?: number;
	/** The name its vectors are stored under. @default the model's provider up to the first dot: `openai` */
	readonly name?: string;
	/** Tokens it takes of one text; longer ones are stored as several passages. @default known for OpenAI's and Cohere's models */
	readonly maxTokensPerText?: number;
	/** What every call passes on; a function can distinguish documents from queries. */
	readonly providerOptions?:
		| AiSdkProviderOptions
		| ((purpose: EmbeddingPurpose) => AiSdkProviderOptions);
}

/** Whether a value has the shape of an embedding model of the AI SDK. */
export function isAiSdkModel(value: unknown): value is AiSdkEmbeddingModel {
	const { modelId, provider, doEmbed } = membersOf(value);
	return (
		typeof modelId === "string" &&
		typeof provider === "string" &&
		typeof doEmbed === "function"
	);
}

const optionsTable = optionTable<FromAiSdkOptions>({
	dimensions: wholeNumber(1, 16_000),
	name: text,
	maxTokensPerText: wholeNumber(1),
	providerOptions: (value) =>
		typeof value === "function" ? undefined : record(value),
});

const knownModels = { ...openaiModels, ...cohereModels };

/**
 * An embedding model of the Vercel AI SDK as a provider. The SDK's own retries
 * are in `embedMany`, which is not used: there is one layer of them, ours.
 *
 * @example
 * fromAiSdk(openai.embedding("text-embedding-3-small"))
 * fromAiSdk(google.textEmbeddingModel("gemini-embedding-001"), { dimensions: 3072 })
 */
export function fromAiSdk(
	model: AiSdkEmbeddingModel,
	given: FromAiSdkOptions = {},
): EmbeddingProvider {
	const { options, dimensions, ...described } = reading("fromAiSdk", () =>
		describeModel(model, given),
	);
	return {
		...described,
		dimensions,
		embed: async (texts, { purpose, signal }) => {
			const call = {
				...callOptions(model, dimensions, options, purpose),
				...(signal === undefined ? {} : { abortSignal: signal }),
			};
			const vectors: Float32Array[] = [];
			const max = await model.maxEmbeddingsPerCall;
			const size = Math.max(1, max ?? texts.length);
			for (let at = 0; at < texts.length; at += size) {
				const values = texts.slice(at, at + size);
				const answer = await model.doEmbed({ ...call, values });
				vectors.push(...(await vectorsOf(answer, values.length, dimensions)));
			}
			return vectors;
		},
	};
}

function describeModel(model: AiSdkEmbeddingModel, given: FromAiSdkOptions) {
	if (!isAiSdkModel(model))
		throw new RemError(
			"VALIDATION",
			`fromAiSdk takes an embedding model of the AI SDK, not ${typeName(model)}`,
			{ hint: 'fromAiSdk(openai.embedding("text-embedding-3-small"))' },
		);
	const options = takeOptions(given, optionsTable, "fromAiSdk");
	const [providerName = ""] = model.provider.split(".");
	return {
		options,
		name: options.name ?? providerName,
		model: model.modelId,
		dimensions: vectorLength(knownModels, model.modelId, options.dimensions),
		limits: limitsOf(model, options),
	};
}

/** A limit that is a promise is applied by `embed`, which may wait for it. */
function limitsOf(
	model: AiSdkEmbeddingModel,
	{ maxTokensPerText }: FromAiSdkOptions,
): EmbeddingLimits {
	const { modelId, maxEmbeddingsPerCall: max, supportsParallelCalls } = model;
	const isCount = typeof max === "number" && Number.isFinite(max);
	return {
		...(knownModel(openaiModels, modelId) && openaiLimits),
		...(knownModel(cohereModels, modelId) && {
			maxTokensPerText: cohereTokensPerText(modelId),
		}),
		...(maxTokensPerText === undefined ? {} : { maxTokensPerText }),
		maxTexts: isCount ? max : openaiLimits.maxTexts,
		...(supportsParallelCalls === true ? {} : { maxParallelCalls: 1 }),
	};
}

function callOptions(
	{ specificationVersion, modelId }: AiSdkEmbeddingModel,
	dimensions: number,
	{ providerOptions }: FromAiSdkOptions,
	purpose: EmbeddingPurpose,
): Omit<AiSdkCall, "values"> {
	const known = knownModel(knownModels, modelId);
	const isShortened = known !== undefined && known.dimensions !== dimensions;
	const chosen =
		typeof providerOptions === "function"
			? providerOptions(purpose)
			: providerOptions;
	return {
		...(isShortened && specificationVersion === "v4" ? { dimensions } : {}),
		...(chosen === undefined ? {} : { providerOptions: chosen }),
	};
}
