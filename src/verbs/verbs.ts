import { type BatchUpsert, batchUpsert } from "./batch-upsert.ts";
import type { Models } from "./call-options.ts";
import { type Evaluate, evaluate } from "./evaluate.ts";
import { type ExplainRank, explainRank } from "./explain-rank.ts";
import { type ExportRows, exportRows } from "./export-rows.ts";
import { type FuzzySearch, fuzzySearch } from "./fuzzy-search.ts";
import { type HybridSearch, hybridSearch } from "./hybrid-search.ts";
import { type ImportRows, importRows } from "./import-rows.ts";
import { type Link, link } from "./link.ts";
import { type LookupEntities, lookupEntities } from "./lookup-entities.ts";
import { type LookupEntity, lookupEntity } from "./lookup-entity.ts";
import { type Query, query } from "./query.ts";
import { type Recall, recall } from "./recall.ts";
import { type Traverse, traverse } from "./traverse.ts";
import { type Unlink, unlink } from "./unlink.ts";
import { type VectorSearch, vectorSearch } from "./vector-search.ts";
import type { Verb } from "./verb.ts";
import { type VerifyRows, verifyRows } from "./verify-rows.ts";

/** @internal Every verb about a tenant's rows. The service, its scopes and the check of isolation have them from here. */
export const verbs: readonly Verb[] = [
	batchUpsert,
	lookupEntity,
	lookupEntities,
	fuzzySearch,
	vectorSearch,
	hybridSearch,
	explainRank,
	evaluate,
	traverse,
	link,
	unlink,
	query,
	recall,
	exportRows,
	importRows,
	verifyRows,
];

/** The verbs as methods: of the service, and of a scope of it. */
export interface Verbs<M extends Models>
	extends BatchUpsert<M>,
		LookupEntity<M>,
		LookupEntities<M>,
		FuzzySearch,
		VectorSearch<M>,
		HybridSearch<M>,
		ExplainRank<M>,
		Evaluate<M>,
		Traverse,
		Link,
		Unlink,
		Query,
		Recall<M>,
		ExportRows<M>,
		ImportRows,
		VerifyRows {}

// The types that the signatures name; src/index.ts exports what this file does.
export type { BatchUpsertOptions } from "./batch-upsert.ts";
export type { BoundScope } from "./bound-scope.ts";
export type { CallScope, ReadOptions } from "./call-options.ts";
export type {
	EvaluateOptions,
	Evaluation,
	EvaluationProgress,
	ModeQuality,
} from "./evaluate.ts";
export type { EvaluationMode } from "./evaluation-modes.ts";
export type {
	ExplainedRank,
	ExplainRankOptions,
	RankExplanation,
} from "./explain-rank.ts";
export type { ExportRowsOptions } from "./export-rows.ts";
export type { FuzzySearchOptions } from "./fuzzy-search.ts";
export type {
	HybridRow,
	HybridSearchAllOptions,
	HybridSearchOptions,
} from "./hybrid-search.ts";
export type { ImportRowsOptions } from "./import-rows.ts";
export type { LinkCall, LinkResult } from "./link.ts";
export type { LookupOptions } from "./lookup.ts";
export type {
	ExplainedStatement,
	FoundByQuery,
	QueryExplanation,
	QueryResult,
} from "./query-result.ts";
export type {
	MissingStep,
	RecallCandidate,
	RecallExplanation,
	RecallItem,
	RecallResult,
} from "./recall.ts";
export type { RecallOptions } from "./recall-reads.ts";
export type { AllTablesOptions } from "./search.ts";
export type { RowOfAny, TableExplanations } from "./search-tables.ts";
export type { TraverseCall } from "./traverse.ts";
export type { UnlinkCall } from "./unlink.ts";
export type {
	VectorSearchAllOptions,
	VectorSearchOptions,
} from "./vector-search.ts";
export type { VerifyRowsOptions } from "./verify-rows.ts";
