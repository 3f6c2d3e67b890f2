import type { HybridHit } from "./hybrid.ts";
import {
	type FoundInTable,
	mergeTables,
	type WithTable,
} from "./merge-tables.ts";

/** The best hits of all tables. */
export function mergeHybrid(
	found: readonly FoundInTable<HybridHit>[],
	limit: number,
): WithTable<HybridHit>[] {
	return mergeTables(found, {
		limit,
		scoreOf: ({ rerankScore, score }) => rerankScore ?? score,
	});
}
