import type { FusionWeights } from "./fusion-weights.ts";

/** The lists of a hybrid search that have a weight, as they ranked their candidates before these were fused. */
export type CandidateLists = Readonly<
	Partial<Record<keyof FusionWeights, CandidateList>>
>;

export interface CandidateList {
	readonly weight: number;
	/** By rank; as many as are fused: 30, or twice `limit`; with `rerank` 60. */
	readonly candidates: readonly Candidate[];
}

/** A row on a list, whether it reached the answer or not. */
export interface Candidate {
	readonly id: string;
	/** `null` where the model has no natural key. */
	readonly entityKey: string | null;
	/** From 1. */
	readonly rank: number;
	/** What the list is ordered by: cosine similarity, BM25 score, or trigram similarity of the key. */
	readonly value: number;
}
