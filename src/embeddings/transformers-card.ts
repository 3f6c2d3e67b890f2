import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import type { KnownModels } from "./known-model.ts";

/** What the card of a sentence transformer states of its use. */
export interface ModelCard {
	readonly dimensions: number;
	/** Which vectors of its tokens become the text's: their mean, or the first one. */
	readonly pooling: "mean" | "cls";
	/** Tokens of a text; the rest would be cut off. */
	readonly maxTokens: number;
	/** Goes before a question. */
	readonly queryPrefix?: string;
	/** Goes before a document. */
	readonly documentPrefix?: string;
}

const retrieval = "Represent this sentence for searching relevant passages: ";
const bge = { pooling: "cls", maxTokens: 512, queryPrefix: retrieval } as const;
const e5 = {
	pooling: "mean",
	maxTokens: 512,
	queryPrefix: "query: ",
	documentPrefix: "passage: ",
} as const;
const miniLm = { dimensions: 384, pooling: "mean", maxTokens: 256 } as const;

/** By the cards at huggingface.co. docs/embeddings.md has the same list. */
const cards: Readonly<Record<string, ModelCard>> = {
	"Xenova/all-MiniLM-L6-v2": miniLm,
	"onnx-community/all-MiniLM-L6-v2-ONNX": miniLm,
	"Xenova/all-MiniLM-L12-v2": { ...miniLm, maxTokens: 128 },
	"Xenova/all-mpnet-base-v2": {
		dimensions: 768,
		pooling: "mean",
		maxTokens: 384,
	},
	"Xenova/paraphrase-multilingual-MiniLM-L12-v2": {
		...miniLm,
		maxTokens: 128,
	},
	"Xenova/bge-small-en-v1.5": { dimensions: 384, ...bge },
	"Xenova/bge-base-en-v1.5": { dimensions: 768, ...bge },
	"Xenova/bge-large-en-v1.5": { dimensions: 1024, ...bge },
	"Xenova/e5-small-v2": { dimensions: 384, ...e5 },
	"Xenova/e5-base-v2": { dimensions: 768, ...e5 },
	"Xenova/multilingual-e5-small": { dimensions: 384, ...e5 },
	"Xenova/multilingual-e5-base": { dimensions: 768, ...e5 },
	"Xenova/multilingual-e5-large": { dimensions: 1024, ...e5 },
	"Xenova/gte-small": { dimensions: 384, pooling: "mean", maxTokens: 512 },
	"Xenova/gte-base": { dimensions: 768, pooling: "mean", maxTokens: 512 },
	"mixedbread-ai/mxbai-embed-large-v1": { dimensions: 1024, ...bge },
	"Snowflake/snowflake-arctic-embed-xs": { dimensions: 384, ...bge },
	"Snowflake/snowflake-arctic-embed-s": { dimensions: 384, ...bge },
	"Snowflake/snowflake-arctic-embed-m": { dimensions: 768, ...bge },
	"nomic-ai/nomic-embed-text-v1.5": {
		dimensions: 768,
		pooling: "mean",
		maxTokens: 8192,
		queryPrefix: "search_query: ",
		documentPrefix: "search_document: ",
	},
};

/** The known models, and the one that is asked for if it is a folder. */
export function modelsByCard(model: string): KnownModels {
	const folder = folderOf(model);
	return folder === undefined ? cards : { [model]: cardOf(folder) };
}

/** How the model is used; what is not known of it is usual. */
export function cardFor(model: string, dimensions: number): ModelCard {
	const folder = folderOf(model);
	if (folder !== undefined) return cardOf(folder);
	const known = Object.hasOwn(cards, model) ? cards[model] : undefined;
	return known ?? { dimensions, pooling: "mean", maxTokens: 512 };
}

/** Its absolute path, if the model is named by one: `./models/mine`, `/srv/models/mine`, `file:`. */
export function folderOf(model: string): string | undefined {
	if (model.startsWith("file:")) return fileURLToPath(model);
	return /^(\.{1,2}[\\/]|[\\/]|[A-Za-z]:[\\/])/.test(model)
		? resolve(model)
		: undefined;
}

/** The files that sentence-transformers writes into a model's folder. */
function cardOf(folder: string): ModelCard {
	const config = contentOf(folder, "config.json");
	if (config === undefined) throw notAModel(folder, "it has no config.json");
	const dimensions = dimensionsIn(config);
	if (dimensions === undefined)
		throw notAModel(folder, "its config.json has no hidden_size");
	const pooling = contentOf(folder, "1_Pooling/config.json") ?? {};
	const lengths = [
		contentOf(folder, "sentence_bert_config.json")?.max_seq_length,
		contentOf(folder, "tokenizer_config.json")?.model_max_length,
		config.max_position_embeddings,
	];
	const { prompts } =
		contentOf(folder, "config_sentence_transformers.json") ?? {};
	const { query, document, passage } = membersOf(prompts);
	return {
		dimensions,
		pooling: pooling.pooling_mode_cls_token === true ? "cls" : "mean",
		maxTokens: lengths.find(isLength) ?? 512,
		...prefix("queryPrefix", query),
		...prefix("documentPrefix", document ?? passage),
	};
}

/** In the configuration of a model, whatever its family calls it. */
export function dimensionsIn(config: unknown): number | undefined {
	const { hidden_size, d_model, dim, n_embd } = membersOf(config);
	return [hidden_size, d_model, dim, n_embd].find(isLength);
}

/** Some tokenizers have 1e30 for "any". */
function isLength(value: unknown): value is number {
	return Number.isSafeInteger(value) && Number(value) > 0;
}

function prefix(
	name: "queryPrefix" | "documentPrefix",
	value: unknown,
): Partial<ModelCard> {
	return typeof value === "string" ? { [name]: value } : {};
}

function contentOf(
	folder: string,
	file: string,
): Readonly<Record<string, unknown>> | undefined {
	let text: string;
	try {
		text = readFileSync(join(folder, file), "utf8");
	} catch {
		return undefined; // Only the first of these files is required.
	}
	try {
		return membersOf(JSON.parse(text));
	} catch {
		throw notAModel(folder, `its ${file} is not JSON`);
	}
}

function notAModel(folder: string, reason: string): RemError {
	return new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`"${folder}" is not a model: ${reason}`,
		{
			hint: "name a folder as downloaded from huggingface.co, with config.json, tokenizer.json and onnx/model.onnx; a path is relative to the working directory",
		},
	);
}
