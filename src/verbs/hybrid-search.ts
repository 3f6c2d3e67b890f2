import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { anyText, callback, record } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { Row } from "../models/types.ts";
import {
	checkWeights,
	type FusionWeights,
	takeWeights,
	type WeighedVectors,
} from "../query/fusion-weights.ts";
import {
	checkHybrid,
	explainHits,
	type HybridContext,
	type HybridHit,
	type HybridHits,
	type HybridMatch,
	type PartialWords,
	type Rerank,
	hybridSearch as searchHybrid,
} from "../query/hybrid.ts";
import { mergeHybrid } from "../query/merge-hybrid.ts";
import { findLanguage } from "../query/text-language.ts";
import { quoted } from "../util/suggest.ts";
import {
	type EntityOf,
	type Models,
	readHandle,
	type TableName,
	tableOfCall,
} from "./call-options.ts";
import {
	type AllTablesOptions,
	type ExplainedIf,
	findNear,
	findTexts,
	namesTable,
	queryVector,
	resolveSearch,
	type SearchCall,
	type SearchOptions,
	searchOptions,
	withExplanation,
} from "./search.ts";
import {
	type RowOfAny,
	searchTables,
	type TableExplanations,
	type TablesCall,
	type TablesFound,
} from "./search-tables.ts";
import { verb } from "./verb.ts";

/** A row that a hybrid search found. */
export type HybridRow<E> = Row<E> & HybridMatch;

export interface HybridSearchOptions<M extends Models, T extends TableName<M>>
	extends SearchOptions<M, T> {
	readonly query: string;
	/** Text search configuration of PostgreSQL. @default the service's */
	readonly language?: string;
	/**
	 * How much each list counts; 0 leaves one out.
	 * @default `{ vector: 1, text: 1, name: 0.5 }`; with the provider `local` vectors count 0.05 to 0.25, the more of the query's words `semantic-v1` knows, those of `lexical-v1` 0.1
	 */
	readonly weights?: Partial<FusionWeights>;
	/** Scores the best 60 (or twice `limit`) again: a cross-encoder, or rules of your own. */
	readonly rerank?: Rerank<HybridRow<EntityOf<M, T>>>;
}

export interface HybridSearchAllOptions<M extends Models>
	extends AllTablesOptions<M> {
	readonly query: string;
	/** Text search configuration of PostgreSQL. @default the service's */
	readonly language?: string;
	/** How much each list counts, as for one table. */
	readonly weights?: Partial<FusionWeights>;
	/** Scores the best 60 (or twice `limit`) of each table again. */
	readonly rerank?: Rerank<RowOfAny<M> & HybridMatch>;
}

export interface HybridSearch<M extends Models> {
	/**
	 * Without a table, every one in which the scope has rows, those without vectors
	 * of the model by words and names alone: one statement each, the best hits of all
	 * tables first, each with its table as `entityType`; `ranks` are those in its table.
	 */
	hybridSearch(
		options: HybridSearchAllOptions<M> & { readonly explain: true },
	): Promise<
		(RowOfAny<M> & HybridMatch)[] &
			PartialWords & { readonly explain: TableExplanations }
	>;
	hybridSearch(
		options: HybridSearchAllOptions<M> & { readonly explain?: boolean },
	): Promise<
		(RowOfAny<M> & HybridMatch)[] &
			PartialWords & { readonly explain?: TableExplanations }
	>;
	/**
	 * Rows of the table that a query finds by meaning, by its words and by being
	 * nearly their name, the three lists fused by weighted reciprocal rank, best first.
	 *
	 * @example
	 * await service.hybridSearch({ tableName: "documents", query: "deploy kubernetes", limit: 5 })
	 * // [{ …, score: 0.0992, ranks: { vector: 2, text: 1 }, similarity: 0.61, matchedField: "content" }, …]
	 */
	hybridSearch<T extends TableName<M>, X extends boolean = false>(
		options: HybridSearchOptions<M, T> & { readonly explain?: X },
	): Promise<HybridRow<EntityOf<M, T>>[] & PartialWords & ExplainedIf<X>>;
}

interface Options extends SearchCall {
	readonly query: string;
	readonly language?: string;
	readonly weights?: Partial<FusionWeights>;
	readonly rerank?: Rerank<HybridHit>;
}

const checks: OptionChecks<Options> = {
	...searchOptions,
	query: required(anyText),
	language: anyText,
	weights: record,
	rerank: callback,
};

/** @internal */
export const hybridSearch = verb({
	name: "hybridSearch",
	method: traced(async(options(checks)), {
		operation: "hybridSearch",
		table: tableOfCall,
		found: rows,
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async ({ core }, call: Options): Promise<HybridHit[]> => {
		const { query, language = core.settings.language, rerank } = call;
		checkWeights(call.weights ?? {});
		if (!namesTable(call)) return searchAll(core, call);
		const resolved = await resolveSearch(core, call, { query });
		checkHybrid({ query, language });
		await checkLanguage(core, resolved.search.db, language);
		const near =
			call.weights?.vector === 0 ? undefined : await queryVector(resolved);
		const { space } = resolved.search;
		const weights = weightsOf(call, { space, queryEmbedding: near?.vector });
		const fallback = core.cacheFallback;
		const find = (search: HybridContext) =>
			searchHybrid(search, { query, language, weights, rerank, fallback });
		const { hits, explain } = await (near === undefined
			? findTexts(resolved, find)
			: findNear(resolved, near, find));
		return explain === undefined
			? hits
			: withExplanation(hits, {
					...explain,
					weights,
					hits: explainHits(hits, weights, explain.lists),
				});
	},
	probe: {
		does: "finds",
		reaches: async (call, { table, key, vector }, scope) =>
			vector !== undefined &&
			(
				await call({
					...scope,
					tableName: table.entity.tableName,
					query: key ?? "rem canary",
					queryEmbedding: vector,
				})
			).length > 0,
	},
});

/** Those of the call; vectors that are not compared count nothing. */
function weightsOf(
	{ weights }: { readonly weights?: Partial<FusionWeights> | undefined },
	vectors: WeighedVectors,
): FusionWeights {
	const all = takeWeights(weights, vectors);
	return vectors.queryEmbedding === undefined ? { ...all, vector: 0 } : all;
}

async function searchAll(
	core: ServiceCore,
	call: Options,
): Promise<HybridHits> {
	const { found, explain } = await hybridTables(core, call);
	const { limit = 10 } = call;
	const hits: HybridHits = mergeHybrid(found, limit);
	if (found.some((table) => "partialWords" in table.hits))
		hits.partialWords = true;
	return explain === undefined ? hits : withExplanation(hits, explain);
}

/** @internal What hybridSearch finds in each table. */
export async function hybridTables(
	core: ServiceCore,
	call: TablesCall & Pick<Options, "query" | "language" | "weights" | "rerank">,
	{ isVectorOptional }: { readonly isVectorOptional?: boolean } = {},
): Promise<TablesFound<HybridHit>> {
	const { language = core.settings.language, ...given } = call;
	const { query, weights, rerank, ...rest } = given;
	checkHybrid({ query, language });
	const db = readHandle(core, call);
	await checkLanguage(core, db, language);
	const options = { query, language, fallback: core.cacheFallback };
	const weighed = new Map<string, FusionWeights>();
	const find = (search: HybridContext) => {
		const entityType = search.table.entity.tableName;
		const named: Rerank<HybridHit> | undefined =
			rerank &&
			((text, hits) =>
				rerank(
					text,
					hits.map((hit) => ({ ...hit, entityType })),
				));
		const own = weightsOf({ weights }, search);
		weighed.set(entityType, own);
		return searchHybrid(search, { ...options, weights: own, rerank: named });
	};
	const tables = await searchTables(core, rest, {
		text: { query },
		isVectorOptional,
		find: weights?.vector === 0 ? { texts: find } : { near: find, texts: find },
	});
	return explainTables(tables, weighed);
}

/** With what each list brought to each hit. */
function explainTables(
	tables: TablesFound<HybridHit>,
	weights: ReadonlyMap<string, FusionWeights>,
): TablesFound<HybridHit> {
	const { found, explain } = tables;
	if (explain === undefined) return tables;
	const entries = found.flatMap(({ tableName, hits }) => {
		const own = weights.get(tableName);
		const table = explain[tableName];
		return own === undefined || table === undefined
			? []
			: [
					[
						tableName,
						{
							...table,
							weights: own,
							hits: explainHits(hits, own, table.lists),
						},
					] as const,
				];
	});
	return { ...tables, explain: Object.fromEntries(entries) };
}

const knownLanguages = new WeakMap<ServiceCore, Set<string>>();

/** @internal Asked once for each language; that of the configuration was checked when the service connected. */
export async function checkLanguage(
	core: ServiceCore,
	db: Handle,
	language: string,
): Promise<void> {
	if (language === core.settings.language) return;
	const known = knownLanguages.get(core) ?? new Set<string>();
	knownLanguages.set(core, known);
	if (known.has(language)) return;
	const { isKnown, hint } = await findLanguage(db, language);
	if (!isKnown)
		throw new RemError(
			"VALIDATION",
			`unknown text search configuration ${quoted(language)}`,
			{ hint },
		);
	known.add(language);
}
