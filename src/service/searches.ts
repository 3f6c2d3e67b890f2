import type { Consistency, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { limits, textProblem } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import { toVector, type VectorInput } from "../models/vector.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { CacheFallback } from "../query/cached-read.ts";
import { explainSearch, type SearchExplanation } from "../query/explain.ts";
import type { Attempt } from "../query/find-nearest.ts";
import {
	checkHybrid,
	type HybridHit,
	hybridSearch,
	type Rerank,
} from "../query/hybrid.ts";
import {
	checkSearch,
	type SearchHit,
	type SearchRequest,
	vectorSearch,
} from "../query/search.ts";
import { findLanguage } from "../query/text-language.ts";
import type { VectorFacts } from "../query/vector-facts.ts";
import { quoted } from "../util/suggest.ts";
import type { ServiceCore } from "../core/service-core.ts";
import type { ProviderChoice } from "../core/embedder.ts";
import { QueryVectors } from "../core/query-vectors.ts";

/** What every search of one table by meaning may say. */
interface SearchCall
	extends Omit<SearchRequest, "tenantId" | "queryEmbedding" | "where">,
		ProviderChoice {
	readonly tableName: string;
	readonly tenantId?: string | undefined;
	readonly queryEmbedding?: VectorInput | undefined;
	readonly where?: unknown;
	readonly transaction?: Handle | undefined;
	readonly consistency?: Consistency | undefined;
	readonly explain?: boolean | undefined;
}

export interface VectorCall extends SearchCall {
	readonly queryText?: string | undefined;
}

export interface HybridCall extends SearchCall {
	readonly query: string;
	readonly language?: string | undefined;
	readonly rerank?: Rerank<HybridHit> | undefined;
}

interface ResolvedCall {
	readonly table: EntityTable;
	readonly db: Handle;
	readonly space: VectorSpace;
	readonly request: Omit<
		SearchCall,
		"tenantId" | "where" | "queryEmbedding"
	> & {
		readonly queryEmbedding: Float32Array | undefined;
		readonly tenantId: string;
		readonly where: Readonly<Record<string, unknown>> | undefined;
	};
}

/** Hits, which carry how they were found where that was asked for. */
export type Explained<Hits> = Hits & { readonly explain?: SearchExplanation };

/** SEARCH as the service offers it: with a text's vector, a plan from what is known, and its explanation. */
export class Searches {
	readonly #core: ServiceCore;
	readonly #fallback: CacheFallback;
	readonly #queryVectors = new QueryVectors();
	readonly #languages = new Set<string>();

	/** @internal */
	constructor(core: ServiceCore, fallback: CacheFallback) {
		this.#core = core;
		this.#fallback = fallback;
	}

	async byVector(call: VectorCall): Promise<Explained<SearchHit[]>> {
		const resolved = await this.#resolve(call, call.queryText);
		const { table, db, space, request } = resolved;
		checkSearch(table, space, request);
		const { queryText } = call;
		return this.#search(resolved, queryText, (queryEmbedding, context) =>
			vectorSearch(db, table, space, { ...request, queryEmbedding }, context),
		);
	}

	async hybrid(call: HybridCall): Promise<Explained<HybridHit[]>> {
		const resolved = await this.#resolve(call, call.query);
		const { table, db, space, request } = resolved;
		const { query, language = this.#core.settings.language, rerank } = call;
		const wanted = { ...request, query, language, rerank };
		checkHybrid(table, space, wanted);
		await this.#checkLanguage(db, language);
		return this.#search(resolved, query, (queryEmbedding, context) =>
			hybridSearch(
				db,
				table,
				space,
				{ ...wanted, queryEmbedding },
				{ ...context, fallback: this.#fallback },
			),
		);
	}

	/** Asked once for each language; that of the configuration was checked when the service connected. */
	async #checkLanguage(db: Handle, language: string): Promise<void> {
		if (language === this.#core.settings.language) return;
		if (this.#languages.has(language)) return;
		const { isKnown, hint } = await findLanguage(db, language);
		if (!isKnown)
			throw new RemError(
				"VALIDATION",
				`unknown text search configuration ${quoted(language)}`,
				{ hint },
			);
		this.#languages.add(language);
	}

	async #resolve(
		call: SearchCall,
		query: string | undefined,
	): Promise<ResolvedCall> {
		if (query !== undefined) checkQueryText(query);
		const core = this.#core;
		const table = core.registry.get(call.tableName);
		const { tenantId, transaction, consistency } = call;
		const db = core.handle(tenantId, transaction, consistency);
		const request = {
			...call,
			where: call.where as Readonly<Record<string, unknown>> | undefined,
			tenantId: core.tenant(call.tenantId),
			queryEmbedding: call.queryEmbedding && toVector(call.queryEmbedding),
		};
		const { provider, model } = call;
		const choice = { provider, model };
		// What the primary says is kept, for writes as well.
		const primary = core.handle(tenantId, transaction);
		const space = await core.embeddings.models.space(primary, table, choice);
		return { table, db, space, request };
	}

	async #search<Hit>(
		resolved: ResolvedCall,
		text: string | undefined,
		search: (
			queryEmbedding: Float32Array,
			context: {
				facts: VectorFacts;
				leastEfSearch: number;
				onAttempt: ((attempt: Attempt) => void) | undefined;
			},
		) => Promise<Hit[]>,
	): Promise<Explained<Hit[]>> {
		const started = performance.now();
		const { request, space } = resolved;
		const vector = request.queryEmbedding ?? (await this.#embed(text, space));
		const embedded = performance.now();
		const attempts: Attempt[] = [];
		const hits = await search(vector, {
			facts: this.#core.vectorFacts,
			leastEfSearch: this.#core.settings.efSearch,
			onAttempt: request.explain
				? (attempt) => attempts.push(attempt)
				: undefined,
		});
		if (!request.explain) return hits;
		const timing = {
			embedMs: embedded - started,
			totalMs: performance.now() - embedded,
		};
		return this.#explained(resolved, hits, attempts, timing);
	}

	async #explained<Hit>(
		{ table, db, space, request }: ResolvedCall,
		hits: Hit[],
		attempts: readonly Attempt[],
		timing: { embedMs: number; totalMs: number },
	): Promise<Explained<Hit[]>> {
		const explain = await explainSearch(
			db,
			table,
			space,
			request,
			attempts,
			timing,
		);
		// Not enumerable: whoever compares or copies the hits has the hits.
		return Object.defineProperty(hits, "explain", { value: explain });
	}

	async #embed(
		text: string | undefined,
		space: VectorSpace,
	): Promise<Float32Array> {
		if (text === undefined || text.trim() === "")
			throw new RemError("VALIDATION", "the search has no query text", {
				hint: "pass queryText or queryEmbedding",
			});
		const { embedder, embeddings } = this.#core;
		const { provider } = embeddings.open(space);
		return this.#queryVectors.get(provider, text, async () => {
			const [vector] = await embedder.generateBatch([text], {
				...space,
				purpose: "query",
			});
			return vector as Float32Array;
		});
	}
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
