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
