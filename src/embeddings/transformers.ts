import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { RemError } from "../errors.ts";
import { estimateTokens } from "./pack.ts";
import type { EmbeddingProvider, EmbeddingPurpose } from "./provider.ts";
import {
	cardFor,
	dimensionsIn,
	folderOf,
	type ModelCard,
} from "./transformers-card.ts";

/** What is used of `@huggingface/transformers` 3 and 4. */
interface Transformers {
	readonly AutoConfig: {
		from_pretrained(model: string, options: LoadOptions): Promise<unknown>;
	};
	pipeline(
		task: "feature-extraction",
		model: string,
		options: LoadOptions,
	): Promise<Extractor>;
}

interface LoadOptions {
	readonly local_files_only: boolean;
}

type Extractor = (
	texts: string[],
	options: { pooling: ModelCard["pooling"]; normalize: boolean },
) => Promise<Tensor>;

/** A row for each text, one after the other. */
interface Tensor {
	readonly data: Float32Array;
	readonly dims: readonly number[];
}

export interface TransformersOptions {
	readonly model: string;
	readonly dimensions: number;
}

/** Tokens of one run of the model, padding included: with 384 dimensions some 200 MB. */
const maxTokensPerRun = 4096;

/**
 * A sentence transformer that runs in this process, by the optional package
 * `@huggingface/transformers`: a model of huggingface.co by its name, which is
 * downloaded once, or a folder. It is loaded when it is first needed.
 */
export function transformersProvider({
	model,
	dimensions,
}: TransformersOptions): EmbeddingProvider {
	const card = cardFor(model, dimensions);
	let loading: Promise<Extractor> | undefined;
	const extractor = () => {
		loading ??= loadExtractor(model).catch((error: unknown) => {
			loading = undefined;
			throw error;
		});
		return loading;
	};
	return {
		name: "transformers",
		model,
		dimensions,
		// A model uses all cores for one call: more at a time only take memory.
		limits: {
			maxTexts: 256,
			maxTokensPerText: card.maxTokens,
			maxParallelCalls: 1,
		},
		embed: async (texts, { purpose, signal }) =>
			embed(await extractor(), { texts, purpose, card, signal }),
	};
}

/** The length of a model's vectors, which only its configuration at huggingface.co states. */
export async function findDimensions(model: string): Promise<number> {
	const { AutoConfig } = await loadPackage();
	const config = await AutoConfig.from_pretrained(model, {
		local_files_only: folderOf(model) !== undefined,
	}).catch((error: unknown) => {
		throw notLoaded(model, error);
	});
	const dimensions = dimensionsIn(config);
	if (dimensions !== undefined) return dimensions;
	throw new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`the configuration of model "${model}" has no hidden_size`,
		{ hint: "set EMBEDDING__DIMENSIONS, or the option dimensions, to it" },
	);
}

async function loadExtractor(model: string): Promise<Extractor> {
	const { pipeline } = await loadPackage();
	const folder = folderOf(model);
	try {
		return await pipeline("feature-extraction", folder ?? model, {
			local_files_only: folder !== undefined,
		});
	} catch (error) {
		throw notLoaded(model, error);
	}
}

const packageName = "@huggingface/transformers";

/** Installed beside us, else where the program runs: with pnpm these are not the same. */
async function loadPackage(): Promise<Transformers> {
	const here: string | undefined = import.meta.url;
	const path = pathFrom(here) ?? pathFrom(join(process.cwd(), "/"));
	if (path === undefined)
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			`the package "${packageName}" is not installed`,
			{
				hint: `npm install ${packageName}, or set EMBEDDING__PROVIDER=local`,
			},
		);
	try {
		const found = await import(pathToFileURL(path).href);
		return "pipeline" in found ? found : found.default;
	} catch (cause) {
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			`the package "${packageName}" cannot be loaded`,
			{
				cause,
				hint: `node --eval 'import("${packageName}")' shows what is wrong`,
			},
		);
	}
}

/** `undefined`: it is not there, or we are in a bundle, which has no address. */
function pathFrom(place: string | undefined): string | undefined {
	try {
		return place && createRequire(place).resolve(packageName);
	} catch {
		return undefined;
	}
}

interface EmbedOptions {
	readonly texts: readonly string[];
	readonly purpose: EmbeddingPurpose;
	readonly card: ModelCard;
	readonly signal: AbortSignal | undefined;
}

async function embed(
	extractor: Extractor,
	{ texts, purpose, card, signal }: EmbedOptions,
): Promise<Float32Array[]> {
	const vectors: Float32Array[] = [];
	const prefix =
		(purpose === "query" ? card.queryPrefix : card.documentPrefix) ?? "";
	const prefixed = texts.map((text) => prefix + text);
	for (const places of runsOf(prefixed, card.maxTokens)) {
		// A run cannot be stopped; between two of them there is a chance.
		signal?.throwIfAborted();
		const { data, dims } = await extractor(
			places.map((place) => prefixed[place] ?? ""),
			{ pooling: card.pooling, normalize: true },
		);
		const length = dims.at(-1) ?? 0;
		places.forEach((place, row) => {
			vectors[place] = data.slice(row * length, (row + 1) * length);
		});
	}
	return vectors;
}

/**
 * The places of the texts, those of similar length together: each text of a run
 * is padded to the longest, and the memory that a run takes follows from the sum.
 */
function* runsOf(
	texts: readonly string[],
	maxTokens: number,
): Generator<number[]> {
	const sorted = texts
		.map((text, place) => ({
			place,
			tokens: Math.min(estimateTokens(text) + 2, maxTokens),
		}))
		.sort((a, b) => a.tokens - b.tokens);
	let run: number[] = [];
	for (const { place, tokens } of sorted) {
		if (run.length > 0 && (run.length + 1) * tokens > maxTokensPerRun) {
			yield run;
			run = [];
		}
		run.push(place);
	}
	if (run.length > 0) yield run;
}

function notLoaded(model: string, cause: unknown): RemError {
	return new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`model "${model}" cannot be loaded`,
		{
			cause,
			hint:
				folderOf(model) === undefined
					? "check its name at huggingface.co, that it has ONNX files, and the network; or download it and name its folder: ./models/…"
					: "the folder must have config.json, tokenizer.json and onnx/model.onnx",
		},
	);
}
