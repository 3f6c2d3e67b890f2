import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { anyText, numberOf } from "../models/checks.ts";
import type { OptionChecks } from "../models/options.ts";
import type { Row, TextFieldName } from "../models/types.ts";
import type { VectorInput } from "../models/vector.ts";
import { mergeTables } from "../query/merge-tables.ts";
import {
	type Match,
	type SearchHit,
	vectorSearch as searchVectors,
} from "../query/search.ts";
import {
	type EntityOf,
	type Models,
	type TableName,
	tableOfCall,
} from "./call-options.ts";
import {
	type AllTablesOptions,
	checkHasText,
	type ExplainedIf,
	namesTable,
	resolveSearch,
	type SearchCall,
	type SearchedText,
	type SearchOptions,
	searchNear,
	searchOptions,
	withExplanation,
} from "./search.ts";
import {
	type RowOfAny,
	searchTables,
	type TableExplanations,
} from "./search-tables.ts";
import { verb } from "./verb.ts";

/** What to search for: a text, or its vector. */
type SearchedFor =
	| { readonly queryText: string; readonly queryEmbedding?: VectorInput }
	| { readonly queryText?: string; readonly queryEmbedding: VectorInput };

export type VectorSearchOptions<
	M extends Models,
	T extends TableName<M>,
> = TableSearch<M, T> & SearchedFor;

export type VectorSearchAllOptions<M extends Models> = AllTablesSearch<M> &
	SearchedFor;

interface TableSearch<M extends Models, T extends TableName<M>>
	extends SearchOptions<M, T> {
	/** One embedded field; omitted: the best one of each entity. */
	readonly fieldName?: TextFieldName<EntityOf<M, T>>;
	/** Minimum cosine similarity, -1 to 1. */
	readonly minSimilarity?: number;
}

interface AllTablesSearch<M extends Models> extends AllTablesOptions<M> {
	/** One embedded field, of the tables that have it; omitted: the best one of each entity. */
	readonly fieldName?: TextFieldName<M[number]>;
	/** Least cosine similarity, -1 to 1. */
	readonly minSimilarity?: number;
}

export interface VectorSearch<M extends Models> {
	/**
	 * Without a table, every one in which the scope has vectors of the model: one
	 * statement each, the nearest of all rows first, each with its table as
	 * `entityType`. `explain` has a part for each table.
	 */
	vectorSearch(
		options: VectorSearchAllOptions<M> & { readonly explain: true },
	): Promise<(RowOfAny<M> & Match)[] & { readonly explain: TableExplanations }>;
	vectorSearch(
		options: VectorSearchAllOptions<M> & { readonly explain?: boolean },
	): Promise<
		(RowOfAny<M> & Match)[] & { readonly explain?: TableExplanations }
	>;
	/**
	 * Rows of the table nearest in meaning to a text or a vector, nearest first:
	 * always min(limit, rows there are). With `explain: true` the list has a
	 * property `explain`: how it was found.
	 */
	vectorSearch<T extends TableName<M>, X extends boolean = false>(
		options: VectorSearchOptions<M, T> & { readonly explain?: X },
	): Promise<(Row<EntityOf<M, T>> & Match)[] & ExplainedIf<X>>;
}

interface Options extends SearchCall {
	readonly queryText?: string;
	readonly fieldName?: string;
	readonly minSimilarity?: number;
}

const checks: OptionChecks<Options> = {
	...searchOptions,
	queryText: anyText,
	fieldName: anyText,
	minSimilarity: numberOf("a number from -1 to 1"),
};

/** @internal */
export const vectorSearch = verb({
	name: "vectorSearch",
	method: traced(async(options(checks)), {
		operation: "vectorSearch",
		table: tableOfCall,
		found: rows,
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async ({ core }, call: Options): Promise<SearchHit[]> => {
		const { queryText: query, fieldName, minSimilarity } = call;
		const more = { query, fieldName, minSimilarity };
		if (!namesTable(call)) return searchAll(core, call, more);
		return searchNear(await resolveSearch(core, call, more), searchVectors);
	},
	probe: {
		does: "finds",
		reaches: async (call, { table, vector }, scope) =>
			vector !== undefined &&
			(
				await call({
					...scope,
					tableName: table.entity.tableName,
					queryEmbedding: vector,
				})
			).length > 0,
	},
});

async function searchAll(
	core: ServiceCore,
	call: Options,
	text: SearchedText,
): Promise<SearchHit[]> {
	if (call.queryEmbedding === undefined) checkHasText(text.query);
	const { found, explain } = await searchTables(core, call, {
		text,
		find: { near: searchVectors },
	});
	const hits = mergeTables(found, {
		limit: call.limit ?? 10,
		scoreOf: ({ similarity }) => similarity,
	});
	return explain === undefined ? hits : withExplanation(hits, explain);
}
