import { vectorProblem } from "../embeddings/vector-problem.ts";
import { RemError } from "../errors.ts";
import { whereSql } from "../filters/where.ts";
import { embedFieldOf, fieldNotEmbedded } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import type { Sql } from "../sql.ts";
import type { FusionWeights } from "./fusion-weights.ts";
import { checkLimit, checkScope } from "./scope.ts";
import { type Branch, type SearchMode, searchModes } from "./vector-plan.ts";
import type { SearchedVectors, VectorStatistics } from "./vector-statistics.ts";

/** A search of one table by meaning, resolved once: everything below reads it, nothing changes it. */
export interface SearchContext extends SearchedVectors {
	/** Least cosine similarity; `undefined`: the nearest, however far. */
	readonly minSimilarity: number | undefined;
	readonly statistics: VectorStatistics;
	/** Called with each statement that was run. */
	readonly onAttempt: ((attempt: Attempt) => void) | undefined;
}

/** A search whose query has its vector. */
export interface NearestSearch extends SearchContext {
	readonly queryEmbedding: Float32Array;
}

/** A statement of a search, and how long it took. */
export interface Attempt {
	readonly branches: readonly Branch[];
	readonly statement: Sql;
	readonly ms: number;
	/** Of a hybrid search: reads what its lists have ranked. */
	readonly candidates?: (() => Promise<CandidateLists>) | undefined;
}

/** The options of a search as a call has them; what it leaves out gets the defaults here. */
export interface SearchRequest {
	/** One field; omitted: the best field of each entity. */
	readonly fieldName?: string | undefined;
	/** @default 10 */
	readonly limit?: number | undefined;
	readonly minSimilarity?: number | undefined;
	readonly where?: Readonly<Record<string, unknown>> | undefined;
	/** @default "auto" */
	readonly mode?: SearchMode | undefined;
	/** Candidates of an index scan, 1 to 1,000. */
	readonly efSearch?: number | undefined;
	/** @default false */
	readonly quantized?: boolean | undefined;
	/** The call's own vector. */
	readonly queryEmbedding?: Float32Array | undefined;
}

/** Where a search takes place. */
export type SearchPlace = Pick<
	SearchContext,
	| "db"
	| "table"
	| "space"
	| "tenantId"
	| "userId"
	| "statistics"
	| "defaultEfSearch"
	| "onAttempt"
>;

/** The search, or an error for what can be checked without a vector, so that no provider is asked for nothing. */
export function searchContext(
	place: SearchPlace,
	request: SearchRequest,
): SearchContext {
	const { table, space } = place;
	const { entity } = table;
	const { fieldName, limit = 10, mode = "auto", where, efSearch } = request;
	checkScope(place);
	checkLimit(limit);
	if (fieldName !== undefined) embedFieldOf(entity, fieldName);
	if (entity.embedFields.length === 0)
		throw fieldNotEmbedded(entity, `"${entity.tableName}"`);
	if (where !== undefined) whereSql(table, where, "r");
	checkRange(request);
	checkVector(request.queryEmbedding, space);
	return {
		...place,
		fields:
			fieldName === undefined
				? entity.embedFields.map(({ name }) => name)
				: [fieldName],
		limit,
		mode,
		where,
		efSearch,
		minSimilarity: request.minSimilarity,
		quantized: request.quantized,
	};
}

function checkRange({
	minSimilarity,
	mode = "auto",
	efSearch,
}: SearchRequest): void {
	if (minSimilarity !== undefined && !(Math.abs(minSimilarity) <= 1))
		throw new RemError(
			"VALIDATION",
			`minSimilarity is ${minSimilarity}, expected a number from -1 to 1`,
		);
	if (!searchModes.includes(mode))
		throw new RemError(
			"VALIDATION",
			`mode is none of ${searchModes.join(", ")}`,
		);
	const isEf =
		efSearch === undefined ||
		(Number.isInteger(efSearch) && efSearch >= 1 && efSearch <= 1000);
	if (!isEf)
		throw new RemError(
			"INPUT_LIMIT",
			`efSearch is ${efSearch}, expected a whole number from 1 to 1000`,
		);
}

function checkVector(
	vector: Float32Array | undefined,
	{ dimensions, model }: VectorSpace,
): void {
	if (vector === undefined) return;
	const problem = vectorProblem(vector, dimensions);
	if (problem !== undefined)
		throw new RemError(
			problem.code,
			`the query's vector has ${problem.message} (model ${model})`,
		);
}

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
