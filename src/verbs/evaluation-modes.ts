import type { Consistency, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { limits } from "../models/limits.ts";
import type { FusionWeights } from "../query/fusion-weights.ts";
import type { ReadScope } from "../query/scope.ts";
import { keysOf } from "../util/present.ts";
import type { RecallResult } from "./recall.ts";

// How each mode of an evaluation searches: a mode is its entry here.

/** A query of an evaluation, as each mode searches for it. */
export interface EvaluatedSearch extends ReadScope {
	readonly tableName: string;
	readonly query: string;
	/** Results that are looked at. */
	readonly limit: number;
	readonly provider?: string | undefined;
	readonly model?: string | undefined;
	readonly language?: string | undefined;
	/** Of a hybrid search. */
	readonly weights?: Partial<FusionWeights> | undefined;
	readonly transaction?: Handle | undefined;
	readonly consistency?: Consistency | undefined;
	readonly signal?: AbortSignal | undefined;
}

/** The service's own searches, of which the modes are made. */
export interface EvaluatedVerbs {
	vectorSearch(
		options: Omit<EvaluatedSearch, "query" | "language" | "weights"> & {
			readonly queryText: string;
		},
	): Promise<readonly Found[]>;
	hybridSearch(options: EvaluatedSearch): Promise<readonly Found[]>;
	recall(
		options: Pick<
			EvaluatedSearch,
			| "query"
			| "limit"
			| "tenantId"
			| "userId"
			| "transaction"
			| "consistency"
			| "signal"
		> & { readonly tables: readonly string[]; readonly maxTokens: number },
	): Promise<
		Pick<RecallResult, "incomplete"> & {
			readonly items: readonly { readonly entityId: string }[];
		}
	>;
}

interface Found {
	readonly id: string;
}

/** The ids of the rows that the mode finds, best first. */
type FindIds = (
	verbs: EvaluatedVerbs,
	search: EvaluatedSearch,
) => Promise<string[]>;

const onlyText: FusionWeights = { vector: 0, text: 1, name: 0 };

const modes = {
	vector: async (verbs, { query, language: _, weights: __, ...search }) =>
		idsOf(await verbs.vectorSearch({ ...search, queryText: query })),
	text: async (verbs, search) =>
		idsOf(await verbs.hybridSearch({ ...search, weights: onlyText })),
	hybrid: async (verbs, search) => idsOf(await verbs.hybridSearch(search)),
	recall: async (verbs, search) => {
		const { tableName, query, limit } = search;
		const { tenantId, userId, transaction, consistency, signal } = search;
		const { items, incomplete } = await verbs.recall({
			query,
			tables: [tableName],
			limit: Math.min(limit, limits.recallItems),
			maxTokens: limits.recallTokens,
			tenantId,
			userId,
			transaction,
			consistency,
			signal,
		});
		// Figures of names and words alone would be taken for those of recall.
		const [missing] = incomplete ?? [];
		if (missing !== undefined)
			throw new RemError(missing.code, missing.message);
		return items.map(({ entityId }) => entityId);
	},
} satisfies Record<string, FindIds>;

/** `vector` is vectorSearch, `hybrid` hybridSearch, `text` its ranking by words alone, `recall` recall of the one table. */
export type EvaluationMode = keyof typeof modes;

/** Every mode, in the order in which they are shown. */
export const evaluationModes = keysOf(modes);

/** Results that an evaluation can look at. */
export const maxEvaluatedResults = 1000;

/** The ids of the rows that the mode finds for a query, best first. */
export function findIds(
	mode: EvaluationMode,
	verbs: EvaluatedVerbs,
	search: EvaluatedSearch,
): Promise<string[]> {
	return modes[mode](verbs, search);
}

function idsOf(rows: readonly Found[]): string[] {
	return rows.map(({ id }) => id);
}
