import type { KnownModels } from "./known-model.ts";
import { lexicalVector } from "./lexical.ts";
import type { EmbeddingProvider } from "./provider.ts";
import { semanticVector } from "./semantic.ts";
import { loadWordVectors } from "./word-vectors.ts";

export const semanticModel = "semantic-v1";

/** The only model of the first versions: databases that began with it stay with it. */
export const lexicalModel = "lexical-v1";

const minSemanticDimensions = 128;

export const localModels: KnownModels = {
	// 100 for meanings, 511 for words, 1 for what a document lacks to length 1.
	[semanticModel]: { dimensions: 612, others: { min: minSemanticDimensions } },
	[lexicalModel]: { dimensions: 512, others: "any" },
};

/** Where none is named. Shorter vectors have no place for meanings beside the words. */
export function defaultLocalModel(dimensions: number | undefined): string {
	return dimensions === undefined || dimensions >= minSemanticDimensions
		? semanticModel
		: lexicalModel;
}

export interface LocalOptions {
	readonly model: string;
	readonly dimensions: number;
}

/**
 * The offline provider: no key, no network, the same vector on every machine.
 * `semantic-v1` knows what 60,000 English words mean, and compares words and
 * spellings besides; `lexical-v1` compares words and spellings of any language.
 */
export function localProvider({
	model,
	dimensions,
}: LocalOptions): EmbeddingProvider {
	return {
		name: "local",
		model,
		dimensions,
		// They could take any length, but a few thousand words have marked every
		// dimension; and so long texts are stored as they are with OpenAI's models.
		limits: { maxTexts: 1000, maxTokensPerText: 8192 },
		embed: async (texts, { purpose }) => {
			if (model === lexicalModel)
				return texts.map((text) => lexicalVector(text, dimensions));
			const words = await loadWordVectors();
			return texts.map((text) =>
				semanticVector(text, { words, dimensions, purpose }),
			);
		},
	};
}
