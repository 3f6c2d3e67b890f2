import type { Logger } from "../logger.ts";
import type { HnswOptions } from "../schema/index-types/definition.ts";

/** How the indexer works; see {@link BackgroundIndexOptions}. */
export interface IndexerSettings {
	readonly enabled: boolean;
	readonly concurrency: number;
	readonly minRows: number;
	readonly memoryMb: number;
	readonly parallelWorkers: number | undefined;
	readonly lockTimeoutMs: number;
	readonly retryMs: number;
}

export interface TableBuilderOptions {
	readonly schema: string;
	readonly hnsw: HnswOptions;
	readonly settings: IndexerSettings;
	readonly logger: Logger;
	/** Shared by several indexers, which together have as many builders as one. @default its own */
	readonly building?: Set<object> | undefined;
}
