import { type DrainResult, drain, partitionKey } from "./drain.ts";
import { queueMissing, removeOrphans } from "./find-missing.ts";
import type { Target } from "./models.ts";
import { countTexts } from "./queue.ts";
import type { EmbedContext } from "./work-on-lease.ts";

export interface SyncProgress {
	/** Texts done so far. */
	readonly done: number;
	/** Texts that waited when it began to embed; more may be queued later. */
	readonly total: number;
	/** Estimated tokens of the texts done. */
	readonly tokens: number;
	/** Estimated tokens of all of them. */
	readonly totalTokens: number;
}

export interface SyncResult extends DrainResult {
	/** Vectors that were removed because their text is gone. */
	readonly removed: number;
}

export interface SyncOptions {
	readonly onProgress?: ((progress: SyncProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
}

/**
 * Compares every text with its vector, removes vectors without a text, and embeds
 * until the queue is empty. It may be interrupted at any time: what is left is in
 * the queue.
 */
export async function sync(
	context: EmbedContext,
	targets: readonly Target[],
	{ onProgress, signal }: SyncOptions,
): Promise<SyncResult> {
	let removed = 0;
	let total = 0;
	let totalTokens = 0;
	for (const { table, space } of targets) {
		removed += await removeOrphans(context.db, table, space);
		totalTokens += await queueMissing(context.db, { table, space }, signal);
		const partition = { ...space, tableName: table.entity.tableName };
		total += await countTexts(context.db, context.schema, {
			partition,
			state: "pending",
		});
	}
	onProgress?.({ done: 0, total, tokens: 0, totalTokens });
	const partitions = new Set(
		targets.map(({ table, space }) =>
			partitionKey({ ...space, tableName: table.entity.tableName }),
		),
	);
	const result = await drain(context, {
		isOurs: (partition) => partitions.has(partitionKey(partition)),
		onProgress: ({ embedded, settled, dead, tokens }) =>
			onProgress?.({
				done: embedded + settled + dead,
				total,
				tokens,
				totalTokens,
			}),
		signal,
	});
	return { ...result, removed };
}
