import { type FusionWeights, rankOffset } from "../query/fusion-weights.ts";
import type { HybridMatch } from "../query/hybrid.ts";
import type { ListPlace } from "./api/search.ts";
import { defined } from "./input.ts";

/**
 * The weights that count where the call names none depend on the model: they
 * are those by which a hit's ranks make its score.
 */
export function weightsOf(
	hits: readonly HybridMatch[],
	given: { readonly [K in keyof FusionWeights]?: number | undefined },
): Partial<FusionWeights> {
	const { vector, text = 1, name = 0.5 } = given;
	if (vector !== undefined) return { vector, text, name };
	const fits = [1, 0.25, 0.1].find((weight) =>
		hits.some(
			({ ranks, score }) =>
				ranks.vector !== undefined &&
				Math.abs(scoreOf(ranks, { vector: weight, text, name }) - score) < 1e-6,
		),
	);
	return fits === undefined ? { text, name } : { vector: fits, text, name };
}

function scoreOf(ranks: HybridMatch["ranks"], weights: FusionWeights): number {
	const part = (rank: number | undefined, weight: number) =>
		rank === undefined ? 0 : weight / (rankOffset + rank);
	return (
		part(ranks.vector, weights.vector) +
		part(ranks.text, weights.text) +
		part(ranks.trigram, weights.name)
	);
}

export function hybridLists(
	{ ranks, score, similarity }: HybridMatch,
	weights: Partial<FusionWeights>,
): ListPlace[] {
	const { vector, text, trigram: name } = ranks;
	const all = [
		["vector", vector],
		["text", text],
		["name", name],
	] as const;
	return all.flatMap(([list, rank]): ListPlace[] => {
		if (rank === undefined) return [];
		const weight = weights[list];
		return [
			{
				list,
				rank,
				...(list === "vector" ? defined({ value: similarity }) : {}),
				...(weight === undefined
					? {}
					: { weight, share: weight / (rankOffset + rank) / score }),
			},
		];
	});
}
