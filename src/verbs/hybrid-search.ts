import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { anyText, callback } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { Row } from "../models/types.ts";
import {
	checkHybrid,
	type HybridHit,
	type HybridMatch,
	type Rerank,
	hybridSearch as searchHybrid,
} from "../query/hybrid.ts";
import { mergeHybrid } from "../query/merge-hybrid.ts";
import { findLanguage } from "../query/text-language.ts";
import { quoted } from "../util/suggest.ts";
import {
	type EntityOf,
	type Models,
	type TableName,
	tableOfCall,
} from "./call-options.ts";
import {
	type AllTablesOptions,
	type ExplainedIf,
	namesTable,
	resolveSearch,
	type SearchCall,
	type SearchOptions,
	searchNear,
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
	/** Scores the best 60 (or twice `limit`) again: a cross-encoder, or rules of your own. */
	readonly rerank?: Rerank<HybridRow<EntityOf<M, T>>>;
}

export interface HybridSearchAllOptions<M extends Models>
	extends AllTablesOptions<M> {
	readonly query: string;
	/** Text search configuration of PostgreSQL. @default the service's */
	readonly language?: string;
	/** Scores the best 60 (or twice `limit`) of each table again. */
	readonly rerank?: Rerank<RowOfAny<M> & HybridMatch>;
}

export interface HybridSearch<M extends Models> {
	/**
	 * Without a table, every one in which the scope has vectors of the model: one
	 * statement each, the best hits of all tables first, each with its table as
	 * `entityType`; `ranks` are those in its table.
	 */
	hybridSearch(
		options: HybridSearchAllOptions<M> & { readonly explain: true },
	): Promise<
		(RowOfAny<M> & HybridMatch)[] & { readonly explain: TableExplanations }
	>;
	hybridSearch(
		options: HybridSearchAllOptions<M> & { readonly explain?: boolean },
	): Promise<
		(RowOfAny<M> & HybridMatch)[] & { readonly explain?: TableExplanations }
	>;
	/**
	 * Rows of the table that a query finds by meaning, by its words and by being
	 * nearly their name, the three lists fused by reciprocal rank, best first.
	 *
	 * @example
	 * await service.hybridSearch({ tableName: "documents", query: "deploy kubernetes", limit: 5 })
	 * // [{ …, score: 0.0325, ranks: { vector: 2, text: 1 }, similarity: 0.61, matchedField: "content" }, …]
	 */
	hybridSearch<T extends TableName<M>, X extends boolean = false>(
		options: HybridSearchOptions<M, T> & { readonly explain?: X },
	): Promise<HybridRow<EntityOf<M, T>>[] & ExplainedIf<X>>;
}

interface Options extends SearchCall {
	readonly query: string;
	readonly language?: string;
	readonly rerank?: Rerank<HybridHit>;
}

const checks: OptionChecks<Options> = {
	...searchOptions,
	query: required(anyText),
	language: anyText,
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
		if (!namesTable(call)) return searchAll(core, call);
		const resolved = await resolveSearch(core, call, { query });
		checkHybrid({ query, language });
		await checkLanguage(core, resolved.search.db, language);
		const fallback = core.cacheFallback;
		return searchNear(resolved, (search) =>
			searchHybrid(search, { query, language, rerank, fallback }),
		);
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

async function searchAll(
	core: ServiceCore,
	call: Options,
): Promise<HybridHit[]> {
	const { found, explain } = await hybridTables(core, call);
	const { limit = 10 } = call;
	const hits = mergeHybrid(found, limit);
	return explain === undefined ? hits : withExplanation(hits, explain);
}

/** @internal What hybridSearch finds in each table. */
export async function hybridTables(
	core: ServiceCore,
	call: TablesCall & Pick<Options, "query" | "language" | "rerank">,
): Promise<TablesFound<HybridHit>> {
	const { query, language = core.settings.language, rerank, ...rest } = call;
	checkHybrid({ query, language });
	const { tenantId, transaction, consistency } = call;
	const db = core.handle(tenantId, transaction, consistency);
	await checkLanguage(core, db, language);
	const options = { query, language, fallback: core.cacheFallback };
	return searchTables(core, rest, {
		text: { query },
		find: (search) => {
			const entityType = search.table.entity.tableName;
			const named: Rerank<HybridHit> | undefined =
				rerank &&
				((text, hits) =>
					rerank(
						text,
						hits.map((hit) => ({ ...hit, entityType })),
					));
			return searchHybrid(search, { ...options, rerank: named });
		},
	});
}

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
