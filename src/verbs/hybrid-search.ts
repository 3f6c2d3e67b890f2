import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { anyText, callback, record } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { Row } from "../models/types.ts";
import { type FusionWeights, takeWeights } from "../query/fusion-weights.ts";
import {
	checkHybrid,
	explainHits,
	type HybridContext,
	type HybridHit,
	type HybridMatch,
	type Rerank,
	hybridSearch as searchHybrid,
} from "../query/hybrid.ts";
import { findLanguage } from "../query/text-language.ts";
import { quoted } from "../util/suggest.ts";
import {
	type EntityOf,
	type Models,
	type TableName,
	tableOfCall,
} from "./call-options.ts";
import {
	type ExplainedIf,
	resolveSearch,
	type SearchCall,
	type SearchOptions,
	searchNear,
	searchOptions,
	searchTexts,
} from "./search.ts";
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
	 * @default `{ vector: 1, text: 1, name: 0.5 }`; with the provider `local` vectors count 0.25, those of `lexical-v1` 0.1
	 */
	readonly weights?: Partial<FusionWeights>;
	/** Scores the best 60 (or twice `limit`) again: a cross-encoder, or rules of your own. */
	readonly rerank?: Rerank<HybridRow<EntityOf<M, T>>>;
}

export interface HybridSearch<M extends Models> {
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
	): Promise<HybridRow<EntityOf<M, T>>[] & ExplainedIf<X>>;
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
	run: async ({ core }, call: Options): Promise<HybridHit[]> => {
		const { query, language = core.settings.language, rerank } = call;
		const resolved = await resolveSearch(core, call, { query });
		checkHybrid({ query, language });
		await checkLanguage(core, resolved.search.db, language);
		const weights = takeWeights(call.weights, resolved.search.space);
		const fallback = core.cacheFallback;
		const find = (search: HybridContext) =>
			searchHybrid(search, { query, language, weights, rerank, fallback });
		const hits = await (weights.vector === 0
			? searchTexts(resolved, find)
			: searchNear(resolved, find));
		if (hits.explain === undefined) return hits;
		const explain = { ...hits.explain, hits: explainHits(hits, weights) };
		return Object.defineProperty(hits, "explain", { value: explain });
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

const knownLanguages = new WeakMap<ServiceCore, Set<string>>();

/** Asked once for each language; that of the configuration was checked when the service connected. */
async function checkLanguage(
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
