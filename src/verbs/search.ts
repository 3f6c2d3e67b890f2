import { QueryVectors } from "../core/query-vectors.ts";
import type { ServiceCore } from "../core/service-core.ts";
import type { Handle } from "../db/database.ts";
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
import type { EntityTable } from "../models/registry.ts";
import type { Where } from "../models/types.ts";
import { toVector, type VectorInput } from "../models/vector.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { explainSearch, type SearchExplanation } from "../query/explain.ts";
import type { Attempt, SearchContext } from "../query/find-nearest.ts";
import type { ReadScope } from "../query/scope.ts";
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

/** @internal Where a search takes place, resolved once from its options. */
export interface SearchPlace extends ReadScope {
	readonly core: ServiceCore;
	readonly table: EntityTable;
	/** The caller's transaction, the replica or the database. */
	readonly db: Handle;
	readonly space: VectorSpace;
	readonly where: Readonly<Record<string, unknown>> | undefined;
	/** The call's own vector; `undefined`: the query's is to be made. */
	readonly queryEmbedding: Float32Array | undefined;
	readonly isExplained: boolean;
}

/** @internal */
export async function resolveSearch(
	core: ServiceCore,
	call: SearchCall,
	query: string | undefined,
): Promise<SearchPlace> {
	if (query !== undefined) checkQueryText(query);
	const table = core.registry.get(call.tableName);
	const { tenantId, transaction, consistency, provider, model } = call;
	const db = core.handle(tenantId, transaction, consistency);
	// What the primary says of the space is remembered, for writes as well.
	const primary = core.handle(tenantId, transaction);
	return {
		core,
		table,
		db,
		space: await core.embeddings.models.space(primary, table, {
			provider,
			model,
		}),
		tenantId: core.tenant(tenantId),
		userId: call.userId,
		where: call.where as Readonly<Record<string, unknown>> | undefined,
		queryEmbedding: call.queryEmbedding && toVector(call.queryEmbedding),
		isExplained: call.explain === true,
	};
}

/** @internal The search with the query's vector, and where that was asked for, its explanation. */
export async function searchNear<Hit>(
	place: SearchPlace,
	query: string | undefined,
	search: (
		queryEmbedding: Float32Array,
		context: SearchContext,
	) => Promise<Hit[]>,
): Promise<Explained<Hit[]>> {
	const { core, isExplained } = place;
	const started = performance.now();
	const vector = place.queryEmbedding ?? (await embedQuery(place, query));
	const embedded = performance.now();
	const attempts: Attempt[] = [];
	const hits = await search(vector, {
		facts: core.vectorFacts,
		leastEfSearch: core.settings.efSearch,
		onAttempt: isExplained ? (attempt) => attempts.push(attempt) : undefined,
	});
	if (!isExplained) return hits;
	const { db, table, space } = place;
	const explain = await explainSearch(db, table, space, place, attempts, {
		embedMs: embedded - started,
		totalMs: performance.now() - embedded,
	});
	// Not enumerable: whoever compares or copies the hits has the hits.
	return Object.defineProperty(hits, "explain", { value: explain });
}

const queryVectors = new QueryVectors();

async function embedQuery(
	{ core, space }: SearchPlace,
	query: string | undefined,
): Promise<Float32Array> {
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
