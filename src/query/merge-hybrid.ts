import type { HybridHit } from "./hybrid.ts";
import {
	type FoundInTable,
	mergeTables,
	type WithTable,
} from "./merge-tables.ts";

/**
 * The best hits of all tables. A score is made of places on the table's own
 * lists, and the first of a table that has nothing of the kind would be worth as
 * much as the first of one that has: so it is multiplied by how near the table's
 * nearest row is, compared with the nearest of all. Of a table without vectors
 * nothing is known of that: its scores stay as they are. What `rerank` has scored
 * is ordered by that alone.
 *
 * Measured with three collections as the tables of one tenant, 120 questions:
 * nDCG@10 0.327, by the scores alone 0.243, and 0.365 if each question's table
 * were known.
 */
export function mergeHybrid(
	found: readonly FoundInTable<HybridHit>[],
	limit: number,
): WithTable<HybridHit>[] {
	const compared = found.filter(({ isCompared }) => isCompared);
	const nearest = Math.max(...compared.map(nearestOf));
	const weighted = found.map((table) => {
		const weight = table.isCompared ? nearestOf(table) / nearest : 1;
		const hits = table.hits.map((hit) => ({
			...hit,
			score: hit.score * weight,
		}));
		return { ...table, hits };
	});
	return mergeTables(weighted, {
		limit,
		scoreOf: ({ rerankScore, score }) => rerankScore ?? score,
	});
}

/** Of a table that has nothing near, its hits still have an order. */
const minSimilarity = 0.01;

function nearestOf({ hits }: FoundInTable<HybridHit>): number {
	return Math.max(
		minSimilarity,
		...hits.map(({ similarity }) => similarity ?? minSimilarity),
	);
}
