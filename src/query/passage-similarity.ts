import { arrayLiteral, encodeVector } from "../db/encode.ts";
import { embeddingsRef } from "../db/tables.ts";
import { sql } from "../sql.ts";
import type { NearestSearch } from "./search-context.ts";
import { vectorsByEntity } from "./vector-scope.ts";

/**
 * Cosine similarities between entities, each by its passage nearest to the query:
 * `result[i][j]` of the i-th and the j-th id. One statement, and no vector leaves
 * the database. An entity without a vector in the scope is similar to none (0).
 */
export async function passageSimilarities(
	search: NearestSearch,
	ids: readonly string[],
): Promise<number[][]> {
	const { rows } = await search.db.query<{
		readonly a: number;
		readonly b: number;
		readonly similarity: number;
	}>(
		sql`WITH passages AS MATERIALIZED (
  SELECT DISTINCT ON (i.ordinality) i.ordinality::integer - 1 AS place, e.embedding
  FROM unnest(${arrayLiteral(ids)}::uuid[]) WITH ORDINALITY AS i (id, ordinality)
  JOIN ${embeddingsRef(search.table)} AS e ON e.entity_id = i.id
  WHERE ${vectorsByEntity(search)}
  ORDER BY i.ordinality, e.embedding <=> ${encodeVector(search.queryEmbedding)}::vector, e.field_name, e.chunk
)
SELECT a.place AS a, b.place AS b, 1 - (a.embedding <=> b.embedding) AS similarity
FROM passages AS a JOIN passages AS b ON a.place < b.place`,
		{ idempotent: true },
	);
	const pairs = rows.flatMap(({ a, b, similarity }) => [
		{ at: a, to: b, similarity },
		{ at: b, to: a, similarity },
	]);
	const matrix = ids.map((_, at) =>
		ids.map((_, to): number => (at === to ? 1 : 0)),
	);
	for (const { at, to, similarity } of pairs) {
		const row = matrix[at];
		if (row !== undefined && Number.isFinite(similarity)) row[to] = similarity;
	}
	return matrix;
}

/** What a choice of diverse entities weighs up. */
export interface Diversity {
	/** Of each candidate to the query. */
	readonly relevance: readonly number[];
	/** Of the candidates to each other. */
	readonly similarities: readonly (readonly number[])[];
	/** 1: only relevance counts; 0: only difference from those already chosen. */
	readonly lambda: number;
	readonly limit: number;
}

/**
 * Maximal marginal relevance (Carbonell and Goldstein 1998): places of the
 * candidates in the order in which they are chosen, each time the one with the
 * highest `lambda · relevance − (1 − lambda) · (similarity to the nearest chosen one)`.
 */
export function chooseDiverse({
	relevance,
	similarities,
	lambda,
	limit,
}: Diversity): number[] {
	const chosen: number[] = [];
	const left = new Set(relevance.keys());
	const nearest = relevance.map(() => 0);
	while (chosen.length < limit && left.size > 0) {
		let best = -1;
		let bestScore = Number.NEGATIVE_INFINITY;
		for (const at of left) {
			const score =
				lambda * (relevance[at] ?? 0) - (1 - lambda) * (nearest[at] ?? 0);
			if (score > bestScore) [best, bestScore] = [at, score];
		}
		if (best < 0) break;
		chosen.push(best);
		left.delete(best);
		for (const at of left) {
			const similarity = similarities[at]?.[best] ?? 0;
			nearest[at] =
				chosen.length === 1
					? similarity
					: Math.max(nearest[at] ?? 0, similarity);
		}
	}
	return chosen;
}
