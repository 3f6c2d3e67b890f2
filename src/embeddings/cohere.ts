import { membersOf } from "../util/present.ts";
import { decodeVector } from "./decode-vector.ts";
import { unreadable } from "./failure.ts";
import { maxNumbers, postJson } from "./http.ts";
import { type KnownModels, knownModel } from "./known-model.ts";
import { endpoint, type RemoteOptions } from "./openai.ts";
import type { EmbeddingProvider, EmbeddingPurpose } from "./provider.ts";

/** https://docs.cohere.com/docs/cohere-embed */
export const cohereModels: KnownModels = {
	"embed-english-v3.0": { dimensions: 1024 },
	"embed-multilingual-v3.0": { dimensions: 1024 },
	"embed-english-light-v3.0": { dimensions: 384 },
	"embed-multilingual-light-v3.0": { dimensions: 384 },
	"embed-v4.0": { dimensions: 1536, others: [256, 512, 1024] },
};

export function cohereTokensPerText(model: string): number {
	return model.includes("-v3.") ? 512 : 128_000;
}

const officialUrl = "https://api.cohere.com";

const inputTypes: Readonly<Record<EmbeddingPurpose, string>> = {
	document: "search_document",
	query: "search_query",
};

/** Cohere's embeddings (https://docs.cohere.com/reference/embed). */
export function cohereProvider(options: RemoteOptions): EmbeddingProvider {
	const { model, dimensions, apiKey, baseUrl = officialUrl } = options;
	const url = endpoint(baseUrl.replace(/\/v2\/?(?=$|\?)/, ""), "/v2/embed");
	const known = knownModel(cohereModels, model);
	const isShortened = (known?.dimensions ?? dimensions) !== dimensions;
	const numbers = Math.max(dimensions, known?.dimensions ?? maxNumbers);
	return {
		name: "cohere",
		model,
		dimensions,
		limits: {
			maxTexts: 96,
			maxTokensPerText: cohereTokensPerText(model),
		},
		embed: async (texts, { purpose, signal }) => {
			const body = {
				model,
				texts,
				input_type: inputTypes[purpose],
				// Numbers: the byte order of their base64 is not documented, and at
				// 2,000 texts a minute, Cohere's own limit, parsing costs nothing.
				embedding_types: ["float"],
				// Without it a long text is truncated silently.
				truncate: "NONE",
				...(isShortened ? { output_dimension: dimensions } : {}),
			};
			const vectors = { count: texts.length, numbers };
			const answer = await postJson({ url, apiKey, body, vectors, signal });
			return floatsOf(answer).map((item) => decodeVector(item, dimensions));
		},
	};
}

function floatsOf(answer: object): readonly unknown[] {
	const { float } = membersOf(membersOf(answer).embeddings);
	if (Array.isArray(float)) return float;
	throw unreadable("JSON without vectors");
}
