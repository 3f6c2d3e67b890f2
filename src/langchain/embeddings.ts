import {
	Embeddings,
	type EmbeddingsInterface,
} from "@langchain/core/embeddings";
import type {
	EmbeddingProvider,
	EmbeddingPurpose,
} from "../embeddings/provider.ts";
import { RemError } from "../errors.ts";
import { elementAt } from "../util/present.ts";

export interface FromLangChainOptions {
	/** Stored with every vector: `text-embedding-3-small`. */
	readonly model: string;
	/** Length of every vector. */
	readonly dimensions: number;
	/** The name its vectors are stored under. @default "langchain" */
	readonly name?: string;
	/** Texts in one call of `embedDocuments`. @default 512 */
	readonly maxTexts?: number;
}

/**
 * LangChain's embeddings as a provider, so that every vector of the service is
 * made by them.
 *
 * @example
 * PostgresService.connect({ embedding: { provider: fromLangChain(new OpenAIEmbeddings(), { model: "text-embedding-3-small", dimensions: 1536 }) } })
 */
export function fromLangChain(
	embeddings: EmbeddingsInterface,
	{
		name = "langchain",
		model,
		dimensions,
		maxTexts = 512,
	}: FromLangChainOptions,
): EmbeddingProvider {
	const provider: EmbeddingProvider = {
		name,
		model,
		dimensions,
		limits: { maxTexts },
		embed: (texts, { purpose }) =>
			purpose === "query"
				? Promise.all(texts.map((text) => embeddings.embedQuery(text)))
				: embeddings.embedDocuments([...texts]),
	};
	sources.set(provider, embeddings);
	return provider;
}

const sources = new WeakMap<EmbeddingProvider, EmbeddingsInterface>();

/** What the service embeds with, as LangChain calls it. */
export class RemEmbeddings extends Embeddings {
	readonly #embed: (
		texts: readonly string[],
		purpose: EmbeddingPurpose,
	) => Promise<Float32Array[]>;

	/** @internal */
	constructor(
		embed: (
			texts: readonly string[],
			purpose: EmbeddingPurpose,
		) => Promise<Float32Array[]>,
	) {
		super({});
		this.#embed = embed;
	}

	async embedQuery(text: string): Promise<number[]> {
		return [...elementAt(await this.#embed([text], "query"), 0)];
	}

	async embedDocuments(texts: string[]): Promise<number[][]> {
		const vectors = await this.#embed(texts, "document");
		return vectors.map((vector) => [...vector]);
	}
}

/**
 * Throws unless LangChain's embeddings are those that the provider was made of:
 * vectors of two models in one table would be compared with each other.
 */
export function checkSource(
	embeddings: EmbeddingsInterface,
	provider: EmbeddingProvider,
): void {
	if (embeddings instanceof RemEmbeddings) return;
	if (sources.get(provider) === embeddings) return;
	throw new RemError(
		"VALIDATION",
		`the service embeds with ${provider.name}:${provider.model}, not with the embeddings given`,
		{
			hint: "connect with embedding: { provider: fromLangChain(embeddings, { model, dimensions }) }, or pass store.embeddings",
		},
	);
}
