/**
 * One PostgreSQL 18 as the memory of AI applications: models, the service and its verbs.
 *
 * @module remdb
 */

export type { GenerateBatchOptions } from "./core/embedder.ts";
export type {
	EmbeddingStatus,
	Embeddings,
	SyncEmbeddingsOptions,
} from "./core/embeddings.ts";
export type { ModelName } from "./core/model-tables.ts";
export type { SchemaLifecycle } from "./core/schema-lifecycle.ts";
export type { BatchUpsertResult } from "./core/upsert-rows.ts";
export type {
	Capabilities,
	Consistency,
	DatabaseActivity,
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./db/database.ts";
export type { SlowStatement } from "./db/slow-statements.ts";
export type { Check, DoctorOptions } from "./doctor/check.ts";
export type { DoctorReport } from "./doctor/doctor.ts";
export type { TextEstimate } from "./embed-sync/find-missing.ts";
export type { ModelState } from "./embed-sync/models.ts";
export type { FieldStatus } from "./embed-sync/status.ts";
export type { SyncProgress, SyncResult } from "./embed-sync/sync.ts";
export type { Passage, VectorState } from "./embed-sync/vector-states.ts";
export {
	type AiSdkEmbeddingModel,
	type AiSdkProviderOptions,
	type FromAiSdkOptions,
	fromAiSdk,
} from "./embeddings/ai-sdk.ts";
export type {
	EmbeddingLimits,
	EmbeddingProvider,
	EmbeddingPurpose,
} from "./embeddings/provider.ts";
export type { RetryOptions } from "./embeddings/retry.ts";
export { type ErrorCode, errorCodes, type Issue, RemError } from "./errors.ts";
export type {
	BackgroundIndexer,
	IndexerStatus,
	IndexRequest,
} from "./indexer/background-indexer.ts";
export type { BlockingTransaction } from "./indexer/build-progress.ts";
export type { BulkReport } from "./indexer/bulk-load.ts";
export type { IndexStatus, IndexStatusState } from "./indexer/index-status.ts";
export type { IsolationReport } from "./isolation/check-isolation.ts";
export type { KvDifference } from "./kv/compare.ts";
export type { KvCache } from "./kv/kv-cache.ts";
export type { KvProblem } from "./kv/problems.ts";
export type { KvProgress } from "./kv/progress.ts";
export type { RebuildResult } from "./kv/rebuild.ts";
export type { KvStatus } from "./kv/status.ts";
export type { VerifyOptions, VerifyResult } from "./kv/verify.ts";
export type { LogFields, Logger } from "./logger.ts";
export type { Difference, Risk, RiskKind } from "./migrate/diff/difference.ts";
export type {
	MigrateOptions,
	MigrateProgress,
	MigrateResult,
} from "./migrate/migrate.ts";
export type { MigrationPlan, PlannedFile } from "./migrate/plan.ts";
export type { Repaired } from "./migrate/repair.ts";
export type { MigrationStatus } from "./migrate/status.ts";
export type { ColumnType, ScalarType } from "./models/column-types.ts";
export {
	coreEntities,
	Feedback,
	File,
	ImageResource,
	Message,
	Moment,
	Ontology,
	OntologyConfig,
	Resource,
	Schema,
	Session,
	SharedSession,
	User,
} from "./models/core-entities.ts";
export {
	defineEntity,
	type Entity,
	type EntityOptions,
} from "./models/entity.ts";
export type { Field } from "./models/field.ts";
export { JsonNumber } from "./models/json-number.ts";
export type { JudgedQuery } from "./models/judged-query.ts";
export type { EntityTable, Registry } from "./models/registry.ts";
export type {
	Condition,
	Edge,
	FieldName,
	NewRow,
	Operators,
	Patch,
	Row,
	SystemFields,
	TextFieldName,
	Where,
} from "./models/types.ts";
export type { VectorInput, VectorSpace } from "./models/vector.ts";
export { describeQueryLanguage } from "./query/dialect/describe-language.ts";
export type {
	FieldExplanation,
	HitExplanation,
	ListExplanation,
	SearchExplanation,
	SearchTiming,
} from "./query/explain.ts";
export type { FusionWeights } from "./query/fusion-weights.ts";
export type { FuzzyBound, FuzzyHit, FuzzyHits } from "./query/fuzzy.ts";
export type { FuzzyMode } from "./query/fuzzy-score.ts";
export type {
	AmbiguousTarget,
	DanglingEdge,
	Direction,
	EdgeCount,
	GraphNode,
	Traversal,
	TraverseNode,
	TraverseOrder,
	TraverseOrderField,
} from "./query/graph/traversal.ts";
export type {
	HybridMatch,
	HybridRanks,
	PartialWords,
	Rerank,
} from "./query/hybrid.ts";
export type { LookupHit } from "./query/lookup.ts";
export type { EntityRef, RecallReason } from "./query/recall/fuse.ts";
export type { QueryWord, RankOnList } from "./query/row-ranks.ts";
export type { Match, SearchHit } from "./query/search.ts";
export type {
	Candidate,
	CandidateList,
	CandidateLists,
} from "./query/search-context.ts";
export type { SearchMode } from "./query/vector-plan.ts";
export type { HnswOptions } from "./schema/index-types/definition.ts";
export type { IndexType } from "./schema/index-types.ts";
export {
	type EntitySql,
	type RegisteredType,
	type RegisterTypeOptions,
	registerType,
} from "./schema/register-type.ts";
export type {
	BucketMoveOptions,
	BucketMoveResult,
	BucketStatus,
	BucketStatusOptions,
	Placement,
} from "./service/placement.ts";
export { PostgresService } from "./service/postgres-service.ts";
export { type AnyService, Repository } from "./service/repository.ts";
export type { ServiceScope } from "./service/scope.ts";
export type {
	BackgroundIndexOptions,
	ConnectOptions,
	EmbeddingOptions,
	ProviderName,
} from "./settings/connect-options.ts";
export { ident, type Sql, type SqlValue, type Statement, sql } from "./sql.ts";
export type {
	ExportedCount,
	ExportProgress,
	ExportResult,
	ExportText,
	ImportedCount,
	ImportProgress,
	ImportResult,
	RowDifference,
	VerifiedCount,
	VerifyRowsResult,
} from "./store/export-result.ts";
export type {
	ForgetOptions,
	ForgetReport,
	ForgottenRows,
} from "./store/forget-rows.ts";
export type { MergeField } from "./store/merge.ts";
export type {
	UpdateResult,
	UpsertProgress,
	UpsertResult,
} from "./store/upsert-result.ts";
export type * from "./verbs/repository/verbs.ts";
export type * from "./verbs/verbs.ts";
