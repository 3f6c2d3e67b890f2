import { QueryVectors } from "../core/query-vectors.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { RemError } from "../errors.ts";
import {
	anyText,
	flag,
	numberOf,
	oneOf,
	record,
	text,
	vector,
} from "../models/checks.ts";
import { limits, textProblem } from "../models/limits.ts";
import { required } from "../models/options.ts";
import type { Where } from "../models/types.ts";
import { toVector, type VectorInput } from "../models/vector.ts";
import { explainSearch, type SearchExplanation } from "../query/explain.ts";
import {
	type Attempt,
	type NearestSearch,
	type SearchContext,
	type SearchRequest,
	searchContext,
} from "../query/search-context.ts";
import { type SearchMode, searchModes } from "../query/vector-plan.ts";
import {
	type EntityOf,
	type Models,
	type ReadOptions,
	readOptions,
	resultRows,
	type TableName,
} from "./call-options.ts";

// What vectorSearch and hybridSearch have in common.

export interface SearchOptions<M extends Models, T extends TableName<M>>
	extends ReadOptions {
	readonly tableName: T;
	/** Ready, instead of a text's: it is compared in 32-bit floats. */
	readonly queryEmbedding?: VectorInput;
	/** @default 10 */
	readonly limit?: number;
	readonly where?: Where<EntityOf<M, T>>;
	/** @default the service's */
	readonly provider?: string;
	/** @default the service's */
	readonly model?: string;
	/** `"exact"` compares every vector, `"approximate"` uses an index where there is one. @default "auto": whichever is faster and still right */
	readonly mode?: SearchMode;
	/** Candidates of an index scan, 1 to 1,000. @default as many as the tenant's share of the index asks for */
	readonly efSearch?: number;
	/** Use the index of one bit a dimension, and rank what it finds by the vectors. @default false */
	readonly quantized?: boolean;
}

/** @internal */
export const searchOptions = {
	...readOptions,
	tableName: required(anyText),
	queryEmbedding: vector,
	limit: resultRows,
	where: record,
	provider: text,
	model: text,
	mode: oneOf(...searchModes),
	efSearch: numberOf("a whole number from 1 to 1000"),
	quantized: flag,
	explain: flag,
};

/** Hits, and where `explain` was set how they were found. */
export type ExplainedIf<X> = boolean extends X
	? { readonly explain?: SearchExplanation }
	: X extends true
		? { readonly explain: SearchExplanation }
		: unknown;

type Explained<Hits> = Hits & { readonly explain?: SearchExplanation };

/** @internal What every search says of itself, whatever its table. */
export type SearchCall = Omit<SearchOptions<Models, string>, "where"> & {
	readonly where?: unknown;
	readonly explain?: boolean | undefined;
};

/** @internal A search as a verb runs it. */
export interface ResolvedSearch {
	readonly core: ServiceCore;
	readonly search: SearchContext;
	/** The text whose vector is compared, where the call gave no vector. */
	readonly query: string | undefined;
	readonly queryEmbedding: Float32Array | undefined;
	/** The statements that were run, where they are to be explained. */
	readonly attempts: Attempt[] | undefined;
}

/** @internal Resolves tenant, table, place and vector space of the call, once. */
export async function resolveSearch(
	core: ServiceCore,
	call: SearchCall,
	{
		query,
		...more
	}: Pick<SearchRequest, "fieldName" | "minSimilarity"> & {
		readonly query: string | undefined;
	},
): Promise<ResolvedSearch> {
	if (query !== undefined) checkQueryText(query);
	const table = core.registry.get(call.tableName);
	const { tenantId, userId, transaction, consistency, provider, model } = call;
	// What the primary says of the space is remembered, for writes as well.
	const primary = core.handle(tenantId, transaction);
	const attempts: Attempt[] | undefined = call.explain ? [] : undefined;
	const queryEmbedding = call.queryEmbedding && toVector(call.queryEmbedding);
	const place = {
		db: core.handle(tenantId, transaction, consistency),
		table,
		space: await core.embeddings.models.space(primary, table, {
			provider,
			model,
		}),
		tenantId: core.tenant(tenantId),
		userId,
		facts: core.vectorFacts,
		defaultEfSearch: core.settings.efSearch,
		onAttempt: attempts && ((attempt: Attempt) => attempts.push(attempt)),
	};
	const search = searchContext(place, {
		...call,
		...more,
		where: call.where as SearchRequest["where"],
		queryEmbedding,
	});
	return { core, search, query, queryEmbedding, attempts };
}

/** @internal The search with the query's vector, and where that was asked for, its explanation. */
export async function searchNear<Hit>(
	resolved: ResolvedSearch,
	find: (search: NearestSearch) => Promise<Hit[]>,
): Promise<Explained<Hit[]>> {
	const started = performance.now();
	const queryEmbedding =
		resolved.queryEmbedding ?? (await embedQuery(resolved));
	return explained(resolved, started, () =>
		find({ ...resolved.search, queryEmbedding }),
	);
}

/** @internal The same of a search that compares no vectors: no provider is asked for one. */
export function searchTexts<Hit>(
	resolved: ResolvedSearch,
	find: (search: SearchContext) => Promise<Hit[]>,
): Promise<Explained<Hit[]>> {
	return explained(resolved, performance.now(), () => find(resolved.search));
}

async function explained<Hit>(
	{ search, attempts }: ResolvedSearch,
	started: number,
	find: () => Promise<Hit[]>,
): Promise<Explained<Hit[]>> {
	const embedded = performance.now();
	const hits = await find();
	if (attempts === undefined) return hits;
	const explain = await explainSearch(search, attempts, {
		embedMs: embedded - started,
		totalMs: performance.now() - embedded,
	});
	// Not enumerable: whoever compares or copies the hits has the hits.
	return Object.defineProperty(hits, "explain", {
		value: explain,
		configurable: true,
	});
}

const queryVectors = new QueryVectors();

async function embedQuery({
	core,
	search: { space },
	query,
}: ResolvedSearch): Promise<Float32Array> {
	if (query === undefined || query.trim() === "")
		throw new RemError("VALIDATION", "the search has no query text", {
			hint: "pass queryText or queryEmbedding",
		});
	const { provider } = core.embeddings.open(space);
	return queryVectors.get(provider, query, async () => {
		const [vector] = await core.embedder.generateBatch([query], {
			...space,
			purpose: "query",
		});
		return vector as Float32Array;
	});
}

/** A provider would cut a longer text, or refuse it; full text search takes as long as it is. */
function checkQueryText(query: string): void {
	const problem = textProblem(query);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `the query ${problem}`);
	if (query.length > limits.queryTextLength)
		throw new RemError(
			"INPUT_LIMIT",
			`the query has ${query.length} characters, at most ${limits.queryTextLength} are allowed`,
			{ hint: "search with its beginning, or with a summary of it" },
		);
}
