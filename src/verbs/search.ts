import { QueryVectors } from "../core/query-vectors.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { unlessAborted } from "../embeddings/abort.ts";
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
import type { Entity } from "../models/entity.ts";
import { limits, textProblem } from "../models/limits.ts";
import type { Where } from "../models/types.ts";
import { toVector, type VectorInput } from "../models/vector.ts";
import { conditionedFilter } from "../query/dialect/condition.ts";
import { explainSearch, type SearchExplanation } from "../query/explain.ts";
import {
	type Attempt,
	type NearestSearch,
	type SearchContext,
	type SearchRequest,
	searchContext,
} from "../query/search-context.ts";
import { type SearchMode, searchModes } from "../query/vector-plan.ts";
import { elementAt } from "../util/present.ts";
import {
	type EntityOf,
	type Models,
	type ReadOptions,
	readHandle,
	readOptions,
	resultRows,
	type TableName,
} from "./call-options.ts";

// What vectorSearch and hybridSearch have in common.

export interface SearchOptions<M extends Models, T extends TableName<M>>
	extends SearchScope {
	readonly tableName: T;
	readonly where?: Where<EntityOf<M, T>>;
}

/** Of a search in every table. */
export interface AllTablesOptions<M extends Models> extends SearchScope {
	readonly tableName?: undefined;
	/** Tables that lack one of its fields are left out. */
	readonly where?: WhereOfAny<M[number]>;
}

type WhereOfAny<E> = E extends Entity ? Where<E> : never;

interface SearchScope extends ReadOptions {
	/**
	 * A condition of the query language beside `where`, such as
	 * `year > 1990 AND tags @> ARRAY['drama']`: from a user or a model, as text.
	 */
	readonly condition?: string;
	/** Ready, instead of a text's: it is compared in 32-bit floats. */
	readonly queryEmbedding?: VectorInput;
	/** @default 10 */
	readonly limit?: number;
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
	tableName: anyText,
	queryEmbedding: vector,
	limit: resultRows,
	where: record,
	condition: anyText,
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

/** @internal What every search reports of itself, whatever its table. */
export type SearchCall = SearchScope & {
	/** @default every table */
	readonly tableName?: string;
	readonly where?: unknown;
	readonly explain?: boolean | undefined;
};

/** @internal Of one table. */
export type TableSearchCall = SearchCall & { readonly tableName: string };

/** @internal */
export function namesTable<Call extends SearchCall>(
	call: Call,
): call is Call & { readonly tableName: string } {
	return call.tableName !== undefined;
}

/** @internal A search as a verb runs it. */
export interface ResolvedSearch {
	readonly core: ServiceCore;
	readonly search: SearchContext;
	/** The text whose vector is compared, where the call gave no vector. */
	readonly query: string | undefined;
	readonly queryEmbedding: Float32Array | undefined;
	/** The statements that were run, where they are to be explained. */
	readonly attempts: Attempt[] | undefined;
	readonly signal: AbortSignal | undefined;
}

/** @internal What is searched for, besides the scope. */
export type SearchedText = Pick<
	SearchRequest,
	"fieldName" | "minSimilarity"
> & {
	readonly query: string | undefined;
};

/** @internal Resolves tenant, table, place and vector space of the call, once. */
export async function resolveSearch(
	core: ServiceCore,
	call: TableSearchCall,
	{ query, ...more }: SearchedText,
): Promise<ResolvedSearch> {
	if (query !== undefined) checkQueryText(query);
	const table = core.registry.get(call.tableName);
	const { tenantId, userId, transaction, provider, model } = call;
	// The space that the primary reports is cached, for writes as well.
	const primary = core.handle(tenantId, transaction);
	const attempts: Attempt[] | undefined = call.explain ? [] : undefined;
	const queryEmbedding = call.queryEmbedding && toVector(call.queryEmbedding);
	const place = {
		db: readHandle(core, call),
		table,
		space: await core.embeddings.models.space(primary, table, {
			provider,
			model,
		}),
		tenantId: core.tenant(tenantId),
		userId,
		statistics: core.vectorStatistics,
		defaultEfSearch: core.settings.efSearch,
		onAttempt: attempts && ((attempt: Attempt) => attempts.push(attempt)),
	};
	const where = call.where as SearchRequest["where"];
	const { condition } = call;
	const search = searchContext(place, {
		...call,
		...more,
		where: await conditionedFilter(table, { where, condition }),
		queryEmbedding,
	});
	const { signal } = call;
	return { core, search, query, queryEmbedding, attempts, signal };
}

/** @internal The search with the query's vector, and where that was asked for, its explanation. */
export async function searchNear<Hit>(
	resolved: ResolvedSearch,
	find: (search: NearestSearch) => Promise<Hit[]>,
): Promise<Explained<Hit[]>> {
	const vector = await queryVector(resolved);
	const { hits, explain } = await findNear(resolved, vector, find);
	return explain === undefined ? hits : withExplanation(hits, explain);
}

/** @internal Not enumerable: a caller that compares or copies the hits gets the hits. */
export function withExplanation<Hits extends object, E>(
	hits: Hits,
	explain: E,
): Hits & { readonly explain: E } {
	return Object.defineProperty(hits, "explain", { value: explain }) as Hits & {
		readonly explain: E;
	};
}

/** @internal The vector that is compared, and how long it took to have it. */
export interface QueryVector {
	readonly vector: Float32Array;
	readonly embedMs: number;
}

/** @internal Other calls may wait for the same vector: an aborted one does not stop its making. */
export async function queryVector(
	resolved: Omit<ResolvedSearch, "attempts">,
): Promise<QueryVector> {
	const started = performance.now();
	const vector =
		resolved.queryEmbedding ??
		(await unlessAborted(embedQuery(resolved), resolved.signal));
	return { vector, embedMs: performance.now() - started };
}

/** @internal What a search found, and where that was asked for, how. */
export interface ExplainedHits<Hit> {
	readonly hits: Hit[];
	readonly explain: SearchExplanation | undefined;
}

/** @internal The search itself, with the query's vector. */
export function findNear<Hit>(
	resolved: ResolvedSearch,
	{ vector, embedMs }: QueryVector,
	find: (search: NearestSearch) => Promise<Hit[]>,
): Promise<ExplainedHits<Hit>> {
	return explained(resolved, embedMs, () =>
		find({ ...resolved.search, queryEmbedding: vector }),
	);
}

/** @internal A search that compares no vectors: no provider is asked for one. */
export function findTexts<Hit>(
	resolved: ResolvedSearch,
	find: (search: SearchContext) => Promise<Hit[]>,
): Promise<ExplainedHits<Hit>> {
	return explained(resolved, 0, () => find(resolved.search));
}

async function explained<Hit>(
	{ search, attempts }: ResolvedSearch,
	embedMs: number,
	find: () => Promise<Hit[]>,
): Promise<ExplainedHits<Hit>> {
	const started = performance.now();
	const hits = await find();
	const totalMs = performance.now() - started;
	const explain =
		attempts && (await explainSearch(search, attempts, { embedMs, totalMs }));
	return { hits, explain };
}

const queryVectors = new QueryVectors();

async function embedQuery({
	core,
	search: { space, table },
	query,
}: Omit<ResolvedSearch, "attempts">): Promise<Float32Array> {
	checkHasText(query);
	const { provider } = await core.embeddings.openFor(table, space);
	return queryVectors.get(provider, query, async () => {
		const vectors = await core.embedder.generateBatch([query], {
			...space,
			purpose: "query",
		});
		return elementAt(vectors, 0);
	});
}

/** @internal Throws unless there is something to search for. */
export function checkHasText(
	query: string | undefined,
	hint = "pass queryText or queryEmbedding",
): asserts query is string {
	if (query === undefined || query.trim() === "")
		throw new RemError("VALIDATION", "the search has no query text", {
			hint,
		});
}

/** @internal A provider would cut a longer text, or refuse it; full text search takes as long as it is. */
export function checkQueryText(query: string): void {
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
