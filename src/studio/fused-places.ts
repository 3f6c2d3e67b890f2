import { type FusionWeights, rankOffset } from "../query/fusion-weights.ts";
import type { HybridMatch } from "../query/hybrid.ts";
import type { ListPlace } from "./api/search.ts";
import { defined } from "./input.ts";

type Scored = Pick<HybridMatch, "ranks" | "score">;

/**
 * The weight of the vectors depends on the model and the query where the call
 * gives none: it is the one by which ranks make scores. Hits of several tables
 * have scores that are multiplied by a factor of their table, 1 in the nearest one:
 * the weight that most hits agree on is that one.
 */
export function usedWeights(
	hits: readonly Scored[],
	given: { readonly [K in keyof FusionWeights]?: number | undefined },
): Partial<FusionWeights> {
	const { vector, text = 1, name = 0.5 } = given;
	if (vector !== undefined) return { vector, text, name };
	const counts = new Map<number, number>();
	for (const { ranks, score } of hits) {
		if (ranks.vector === undefined) continue;
		const rest = score - scoreOf(ranks, { vector: 0, text, name });
		const weight = rounded(rest * (rankOffset + ranks.vector));
		if (weight >= 0) counts.set(weight, (counts.get(weight) ?? 0) + 1);
	}
	const most = Math.max(...counts.values());
	const found = [...counts].find(([, count]) => count === most);
	return found === undefined
		? { text, name }
		: { vector: found[0], text, name };
}

/** Scores are sums of floats. */
function rounded(weight: number): number {
	return Number(weight.toFixed(6));
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
