import { lexicalModel, semanticModel } from "../embeddings/local.ts";
import { knownShareOf } from "../embeddings/semantic.ts";
import { RemError } from "../errors.ts";
import type { VectorSpace } from "../models/vector.ts";
import { quoted, suggest } from "../util/suggest.ts";

/** How much each list of a hybrid search counts. */
export interface FusionWeights {
	/** By meaning. */
	readonly vector: number;
	/** By words. */
	readonly text: number;
	/** By how much the query is like the row's key. */
	readonly name: number;
}

const lists = ["vector", "text", "name"] as const;

/** A list's rank counts as weight / (rankOffset + rank). */
export const rankOffset = 10;

/** What the vectors of a search are, and the query's, where it has one. */
export interface WeighedVectors {
	readonly space: VectorSpace;
	readonly queryEmbedding?: Float32Array | undefined;
}

/**
 * The weights of a call without any. Measured (decisions 68 and 94): vectors that
 * compare spellings add little to words ranked by BM25, those of word meanings
 * more, as far as the model knows the query's words; of a provider's model they
 * count as much as the words.
 */
function defaultWeights(vectors: WeighedVectors): FusionWeights {
	return { vector: vectorWeight(vectors), text: 1, name: 0.5 };
}

function vectorWeight({ space, queryEmbedding }: WeighedVectors): number {
	const { provider, model } = space;
	if (provider !== "local") return 1;
	if (model === lexicalModel) return 0.1;
	if (model !== semanticModel || queryEmbedding === undefined)
		return unknownQuery + knownQuery;
	return unknownQuery + knownQuery * knownShareOf(queryEmbedding) ** 2;
}

/** With which the vectors count where the model knows none of the query's words, and what is added where it knows all. */
const unknownQuery = 0.05;
const knownQuery = 0.2;

/** The weights of a call. Throws as {@link checkWeights} does. */
export function takeWeights(
	given: Partial<FusionWeights> | undefined,
	vectors: WeighedVectors,
): FusionWeights {
	const { vector, text, name } = defaultWeights(vectors);
	if (given === undefined) return { vector, text, name };
	checkWeights(given);
	return {
		vector: given.vector ?? vector,
		text: given.text ?? text,
		name: given.name ?? name,
	};
}

/** Throws an error that names what is wrong with the weights; each list has a default above 0. */
export function checkWeights(given: Partial<FusionWeights>): void {
	for (const [name, weight] of Object.entries(given)) {
		if (!lists.some((list) => list === name))
			throw new RemError("VALIDATION", `weights has no list ${quoted(name)}`, {
				hint: suggest(name, lists) ?? "the lists are vector, text and name",
			});
		if (weight !== undefined && !(Number.isFinite(weight) && weight >= 0))
			throw new RemError(
				"VALIDATION",
				`weights.${name} is ${String(weight)}, expected a number from 0`,
			);
	}
	if (lists.every((list) => given[list] === 0))
		throw new RemError("VALIDATION", "weights are all 0", {
			hint: "give at least one of vector, text and name a weight",
		});
}
