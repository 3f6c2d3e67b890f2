import type { Consistency, Handle } from "../db/database.ts";
import type { BulkReport } from "../indexer/bulk-load.ts";
import type { Entity } from "../models/entity.ts";
import type { NewRow, Row, TextFieldName, Where } from "../models/types.ts";
import type { VectorInput } from "../models/vector.ts";
import type { SearchExplanation } from "../query/explain.ts";
import type { FuzzyMode } from "../query/fuzzy.ts";
import type { HybridMatch, Rerank } from "../query/hybrid.ts";
import type { SearchMode } from "../query/vector-plan.ts";
import type { MergeField } from "../store/merge.ts";
import type { UpsertProgress, UpsertResult } from "../store/upsert-result.ts";

export type Models = readonly Entity[];
export type TableName<M extends Models> = M[number]["tableName"];
export type EntityOf<M extends Models, T> = Extract<
	M[number],
	{ tableName: T }
>;

/** Whose rows a call is about. Without a tenant, the default one; see docs/tenancy.md. */
export interface CallScope {
	readonly tenantId?: string;
	/** In reads: that user's and shared rows; `null`: shared only; omitted: the whole tenant. */
	readonly userId?: string | null;
	/** Work inside this transaction of yours. An upsert keeps it open during provider calls. */
	readonly transaction?: Handle;
}

/** What every read may say. */
export interface ReadOptions extends CallScope {
	/**
	 * `"replica"`: POSTGRES__READ_HOST may answer, a moment behind others' writes
	 * but not behind this service's own; where there is none, or it cannot, the
	 * primary does. A `transaction` goes before. @default "primary"
	 */
	readonly consistency?: Consistency;
}

export interface BatchUpsertOptions<M extends Models, T extends TableName<M>>
	extends CallScope {
	readonly tableName: T;
	/** An array is one transaction; any other (async) iterable is committed in chunks of 500. */
	readonly entities:
		| readonly NewRow<EntityOf<M, T>>[]
		| Iterable<NewRow<EntityOf<M, T>>>
		| AsyncIterable<NewRow<EntityOf<M, T>>>;
	/** The model's natural key, if you want to say it again. */
	readonly entityKeyField?: string | readonly string[];
	/** @default true */
	readonly generateEmbeddings?: boolean;
	/** @default the service's */
	readonly embeddingProvider?: string;
	/** @default the service's */
	readonly embeddingModel?: string;
	/** `"queue"`: where a provider gives no vector, rows are written all the same, and the worker or `sync` embeds them later. @default "fail" */
	readonly onEmbeddingError?: "fail" | "queue";
	/** Fields to add to instead of replacing them. @default none */
	readonly merge?: readonly MergeField[];
	/** `"chunk"`: an array, too, is committed in chunks of 500. @default true */
	readonly atomic?: true | "chunk";
	/**
	 * Drops the table's HNSW index for this load where the load is large: half of
	 * the vectors in the index or more, and at least BACKGROUND_INDEX__MIN_ROWS.
	 * It is built again behind it, and searches are exact meanwhile; `bulk` of the
	 * result says what was done and why. Not inside a transaction. @default false
	 */
	readonly bulk?: boolean;
	readonly onProgress?: (progress: UpsertProgress) => void;
	/** Stops before the next chunk; what is committed stays. */
	readonly signal?: AbortSignal;
}

/** What both searches by meaning take. */
interface SearchOptions<M extends Models, T extends TableName<M>>
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

export interface VectorSearchOptions<M extends Models, T extends TableName<M>>
	extends SearchOptions<M, T> {
	/** What to search for; or give `queryEmbedding`. */
	readonly queryText?: string;
	/** One embedded field; omitted: the best one of each entity. */
	readonly fieldName?: TextFieldName<EntityOf<M, T>>;
	/** Least cosine similarity, -1 to 1. */
	readonly minSimilarity?: number;
}

export interface HybridSearchOptions<M extends Models, T extends TableName<M>>
	extends SearchOptions<M, T> {
	readonly query: string;
	/** Text search configuration of PostgreSQL. @default the service's */
	readonly language?: string;
	/** Scores the best 60 (or twice `limit`) anew: a cross-encoder, or rules of your own. */
	readonly rerank?: Rerank<HybridRow<EntityOf<M, T>>>;
}

/** A row that a hybrid search found. */
export type HybridRow<E> = Row<E> & HybridMatch;

export type ExplainedIf<X> = boolean extends X
	? { readonly explain?: SearchExplanation }
	: X extends true
		? { readonly explain: SearchExplanation }
		: unknown;

export interface LookupOptions<
	T extends string = string,
	Hydrate extends boolean = boolean,
> extends ReadOptions {
	/** Only entities of this table. */
	readonly entityType?: T;
	/** Each hit brings its row as `record`, read in the same statement. @default false */
	readonly hydrate?: Hydrate;
}

export interface FuzzySearchOptions extends ReadOptions {
	/** Nearly a name, at most 256 characters. */
	readonly query: string;
	/** Least likeness, 0 to 1. @default 0.3 */
	readonly threshold?: number;
	/** Compare with the whole key, with the words of it most like the query, or with the content summary. @default "key" */
	readonly mode?: FuzzyMode;
	/** @default 10 */
	readonly limit?: number;
	readonly entityType?: string;
}

/** What a batch upsert did, and with `bulk` what it did to the table's indexes. */
export interface BatchUpsertResult extends UpsertResult {
	/** Only with the option `bulk`. */
	readonly bulk?: BulkReport;
}
