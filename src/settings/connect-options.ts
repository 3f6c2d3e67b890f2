import type { AiSdkEmbeddingModel } from "../embeddings/ai-sdk.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import type { RetryOptions } from "../embeddings/retry.ts";
import type { Logger } from "../logger.ts";
import type { Entity } from "../models/entity.ts";

/** How to connect; what is not given comes from the environment (docs/configuration.md). */
export interface ConnectOptions<
	M extends readonly Entity[] = readonly Entity[],
> {
	/** `postgresql://user:password@host:port/name`; `file:PATH` or `memory:` for the embedded database. */
	readonly connectionString?: string;
	/**
	 * A replica, `host` or `host:port`, for reads with `consistency: "replica"`; the
	 * rest of its address is the connection string's.
	 */
	readonly readHost?: string;
	/** Longest wait of a read for the replica to have what this service wrote, in milliseconds. @default 500 */
	readonly readWaitMs?: number;
	/**
	 * On Citus, send calls about one bucket to its node directly: `"direct"`, by the
	 * address that Citus has of it, or a list of `node=address`, each `host:port`. See docs/scale.md.
	 * @default everything goes to the coordinator
	 */
	readonly citusNodes?: string;
	/** @default 20; the embedded database always has 1 */
	readonly poolSize?: number;
	/** The entities there are. @default the built-in ones */
	readonly models?: M;
	/** A provider by name, one of your own, or an embedding model of the AI SDK. */
	readonly embedding?:
		| EmbeddingOptions
		| EmbeddingProvider
		| AiSdkEmbeddingModel;
	/** Schema of our tables. @default "public" */
	readonly schema?: string;
	/**
	 * Number of schemas that tenants are spread over, each with tables of its own;
	 * fixed when the database is first migrated. See docs/buckets.md. @default none: all tenants are in `schema`
	 */
	readonly buckets?: number;
	/** Tenant of entities and calls that name none. @default "default" */
	readonly defaultTenant?: string;
	/** Refuse entities and calls without a tenant. @default false */
	readonly strictTenancy?: boolean;
	/**
	 * Refuse a role to which the server's row level security, which `rem schema
	 * generate --rls` sets up, does not apply. Where it applies, the tenant of each
	 * call is set in any case.
	 * @default false
	 */
	readonly rowLevelSecurity?: boolean;
	/** Lookups of the same tick, tenant and user become one statement. @default true */
	readonly coalesceLookups?: boolean;
	/** Longest wait for a connection, in milliseconds. @default 10000; embedded, where there is one, 60000 */
	readonly connectTimeoutMs?: number;
	/** How long reads and batch upserts are retried while the server is unreachable, in milliseconds. @default 5000 */
	readonly retryTimeoutMs?: number;
	/** Longest time of a call's statement, in milliseconds: then it is cancelled on the server, and the call is `QUERY_TIMEOUT`; your own SQL and calls for long work have no limit. @default 60000 */
	readonly queryTimeoutMs?: number;
	/** How indexes are built while the application writes. */
	readonly backgroundIndex?: BackgroundIndexOptions;
	/** Text search configuration of PostgreSQL for hybrid searches and their index. @default "english" */
	readonly language?: string;
	/** @default silent */
	readonly logger?: Logger;
}

export interface BackgroundIndexOptions {
	/** Whether they are built automatically. @default true */
	readonly enabled?: boolean;
	/** Tables whose indexes are built at the same time. @default 2 */
	readonly concurrency?: number;
	/** Rows, vectors or edges from which an index is built automatically. @default 5000 */
	readonly minRows?: number;
	/** Maximum memory of one build, in MB. @default 1024 */
	readonly memoryMb?: number;
	/** Parallel workers of one build. @default the server's max_parallel_maintenance_workers */
	readonly parallelWorkers?: number;
	/** Longest wait of a build for other transactions, in milliseconds. @default 1800000 */
	readonly lockTimeoutMs?: number;
	/** Pause before the second attempt; it doubles with each further one. @default 2000 */
	readonly retryMs?: number;
}

/** A built-in provider, or a module that exports one. */
export type ProviderName =
	| "openai"
	| "cohere"
	| "transformers"
	| "local"
	| `module:${string}`;

export interface EmbeddingOptions extends EmbeddingCalls {
	/**
	 * `openai`, `cohere`, `transformers`, `local`, `module:` and a path or package, a provider of
	 * your own, or an embedding model of the AI SDK.
	 */
	readonly provider?: ProviderName | EmbeddingProvider | AiSdkEmbeddingModel;
	/** Of a provider that is named. @default the provider's usual one */
	readonly model?: string;
	/** Length of the vectors. @default the model's own */
	readonly dimensions?: number;
	/** Of a provider that is named. */
	readonly apiKey?: string;
	/** Of a provider that is named. */
	readonly baseUrl?: string;
	/** Upper bound of texts in one call. @default 2048 */
	readonly batchSize?: number;
}

/** How calls to a provider are made. */
export interface EmbeddingCalls {
	/** Calls under way at the same time. @default 4 */
	readonly parallelCalls?: number | undefined;
	/** A text of more (estimated) tokens is stored as several passages. @default what the model takes */
	readonly maxTokensPerText?: number | undefined;
	/** @default no limit */
	readonly requestsPerMinute?: number | undefined;
	/** Estimated tokens. @default no limit */
	readonly tokensPerMinute?: number | undefined;
	readonly retry?: RetryOptions | undefined;
}
