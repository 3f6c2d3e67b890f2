import { options } from "../calls/arguments.ts";
import { async, traced } from "../calls/public-methods.ts";
import { anyText, record, text } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import {
	checkWeights,
	type FusionWeights,
	takeWeights,
} from "../query/fusion-weights.ts";
import { checkHybrid, depthOf } from "../query/hybrid.ts";
import { mayBeName } from "../query/name-list.ts";
import {
	findRowState,
	type QueryWord,
	type RankOnList,
	rankByName,
	rankByText,
	rankByVector,
} from "../query/row-ranks.ts";
import { isUuid } from "../util/uuid.ts";
import { type Models, type TableName, tableOfCall } from "./call-options.ts";
import { checkLanguage, type HybridSearchOptions } from "./hybrid-search.ts";
import { queryVector, resolveSearch, searchOptions } from "./search.ts";
import { verb } from "./verb.ts";

export type ExplainRankOptions<M extends Models, T extends TableName<M>> = Omit<
	HybridSearchOptions<M, T>,
	"rerank" | "mode" | "efSearch" | "quantized"
> & {
	/** The row that the search finds, or should find. */
	readonly id: string;
};

/** The rank of a row in a hybrid search, and what excludes it. */
export interface RankExplanation {
	/** `null` where the model has no natural key. */
	readonly entityKey: string | null;
	readonly userId: string | null;
	/** When it was deleted: then no search finds it. */
	readonly deletedAt: Date | null;
	/** Whether `where` and `condition` let it through. */
	readonly fulfilsFilter: boolean;
	/** Its place on each list, whatever the limit; none of a row that is deleted or filtered out. A vector farther than the 500 nearest that an index finds is `beyond` them. */
	readonly lists: Readonly<Record<keyof FusionWeights, ExplainedRank>>;
	/** So many of each list are fused: a greater rank brings nothing. */
	readonly depth: number;
	/** Words of the query, and which of them the row has. */
	readonly words: readonly QueryWord[];
}

export interface ExplainedRank extends RankOnList {
	/** What the list counts: 0, it is not searched. */
	readonly weight: number;
}

export interface ExplainRank<M extends Models> {
	/**
	 * Why `hybridSearch` with these options finds a row, or does not: its place on
	 * every list, its values, its words, and whether the filter lets it through.
	 * `undefined`: tenant and user have no such row, deleted or not.
	 *
	 * @example
	 * const why = await service.explainRank({ tableName: "documents", id, query: "deploy kubernetes" })
	 * // { lists: { vector: { rank: 41, value: 0.31, weight: 0.25 }, text: { rank: undefined, … }, … }, depth: 30, … }
	 */
	explainRank<T extends TableName<M>>(
		options: ExplainRankOptions<M, T>,
	): Promise<RankExplanation | undefined>;
}

type Options = ExplainRankOptions<Models, string>;

const {
	mode: _mode,
	efSearch: _efSearch,
	quantized: _quantized,
	explain: _explain,
	...shared
} = searchOptions;

const checks: OptionChecks<Options> = {
	...shared,
	tableName: required(anyText),
	id: required(text),
	query: required(anyText),
	language: anyText,
	weights: record,
};

const notRanked: RankOnList = { rank: undefined, value: undefined };

/** @internal */
export const explainRank = verb({
	name: "explainRank",
	method: traced(async(options(checks)), {
		operation: "explainRank",
		table: tableOfCall,
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async (
		{ core },
		call: Options,
	): Promise<RankExplanation | undefined> => {
		const { id, query, language = core.settings.language, limit = 10 } = call;
		checkWeights(call.weights ?? {});
		const resolved = await resolveSearch(core, call, { query });
		const { search } = resolved;
		checkHybrid({ query, language });
		await checkLanguage(core, search.db, language);
		if (!isUuid(id)) return undefined;
		const row = await findRowState(search, id);
		if (row === undefined) return undefined;
		const queryEmbedding =
			call.weights?.vector === 0
				? undefined
				: (await queryVector(resolved)).vector;
		const { space } = search;
		const weights = takeWeights(call.weights, { space, queryEmbedding });
		const { isSearched, ...state } = row;
		const { words, ...byText } = await rankByText(
			search,
			{ query, language },
			id,
		);
		const byVector =
			queryEmbedding === undefined
				? notRanked
				: await rankByVector({ ...search, queryEmbedding }, id);
		const byName = mayBeName(query)
			? await rankByName(search, { query, fallback: core.cacheFallback }, id)
			: notRanked;
		const onList = (list: keyof FusionWeights, found: RankOnList) => ({
			...(isSearched ? found : { rank: undefined, value: found.value }),
			weight: weights[list],
		});
		return {
			...state,
			lists: {
				vector: onList("vector", byVector),
				text: onList("text", byText),
				name: onList("name", byName),
			},
			depth: depthOf(limit),
			words,
		};
	},
	probe: {
		does: "finds",
		reaches: async (call, { table, id, vector }, scope) =>
			vector !== undefined &&
			(await call({
				...scope,
				tableName: table.entity.tableName,
				id,
				query: "rem canary",
				queryEmbedding: vector,
			})) !== undefined,
	},
});
