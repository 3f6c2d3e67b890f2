import { type FusionWeights, rankOffset } from "../query/fusion-weights.ts";
import type { HybridMatch } from "../query/hybrid.ts";
import { elementAt } from "../util/present.ts";
import type { ListPlace } from "./api/search.ts";
import { defined } from "./input.ts";

/** The weights that are known before a search is explained: the default of the vectors depends on model and query. */
export function givenWeights({
	vector,
	text = 1,
	name = 0.5,
}: {
	readonly [K in keyof FusionWeights]?: number | undefined;
}): Partial<FusionWeights> {
	return defined({ vector, text, name });
}

/** Where a hit is on each list, and where every weight is known, the list's part of its score. */
export function hybridLists(
	{ ranks, similarity }: Pick<HybridMatch, "ranks" | "similarity">,
	weights: Partial<FusionWeights>,
): ListPlace[] {
	const { vector, text, trigram: name } = ranks;
	const all = [
		["vector", vector],
		["text", text],
		["name", name],
	] as const;
	const on = all.flatMap(([list, rank]) =>
		rank === undefined ? [] : [{ list, rank, weight: weights[list] }],
	);
	const parts = on.map(
		({ rank, weight = Number.NaN }) => weight / (rankOffset + rank),
	);
	const score = parts.reduce((sum, part) => sum + part, 0);
	return on.map(({ list, rank, weight }, at): ListPlace => {
		const share = elementAt(parts, at) / score;
		return {
			list,
			rank,
			...(list === "vector" ? defined({ value: similarity }) : {}),
			...defined({ weight }),
			...(Number.isFinite(share) ? { share } : {}),
		};
	});
}
