import { checkCancelled, sleep } from "../embeddings/abort.ts";
import {
	endPauses,
	type Partition,
	type PartitionState,
	readPartitions,
} from "./queue.ts";
import {
	type EmbedContext,
	type LeaseResult,
	workOnLease,
} from "./work-on-lease.ts";

export interface DrainResult {
	/** Texts whose vector was stored now. */
	readonly embedded: number;
	/** Texts that already had their vector, or are gone. */
	readonly settled: number;
	/** Texts that were dead-lettered; `retry` queues them again. */
	readonly dead: number;
	/** Estimated tokens of the texts that were embedded. */
	readonly tokens: number;
}

export interface DrainOptions {
	readonly isOurs: (partition: Partition) => boolean;
	readonly onProgress: (done: DrainResult) => void;
	readonly signal: AbortSignal | undefined;
}

const nothingDone: DrainResult = {
	embedded: 0,
	settled: 0,
	dead: 0,
	tokens: 0,
};

/** One waits for its provider while the other writes. */
export const concurrentLeases = 2;

/**
 * Works on partitions until they are empty, and waits for what other workers have
 * leased. A partition whose provider returns no vectors is left as it is, and its
 * error thrown when the others are done.
 */
export async function drain(
	context: EmbedContext,
	{ isOurs, onProgress, signal }: DrainOptions,
): Promise<DrainResult> {
	const closed = new Map<string, unknown>();
	const waiting = async () =>
		(await readPartitions(context.db, context.schema)).filter(
			(partition) =>
				context.table(partition.tableName) !== undefined &&
				isOurs(partition) &&
				!closed.has(partitionKey(partition)),
		);
	for (const partition of await waiting())
		await endPauses(context.db, context.schema, partition);
	let sum = nothingDone;
	// What this call has leased ends long before the poll of what others have.
	let progress = new AbortController();
	const work = async () => {
		for (;;) {
			checkCancelled(signal);
			const { signal: progressed } = progress;
			const partitions = await waiting();
			if (partitions.length === 0) return;
			const result = await workOnAny(context, partitions, signal);
			if (result === undefined) {
				await sleepUntil(pollMs(partitions), progressed, signal);
				continue;
			}
			progress.abort();
			progress = new AbortController();
			if ("error" in result)
				closed.set(partitionKey(result.partition), result.error);
			else {
				sum = add(sum, result);
				onProgress(sum);
			}
		}
	};
	const workers = Array.from({ length: concurrentLeases }, work);
	const ended = await Promise.allSettled(workers);
	for (const end of ended) if (end.status === "rejected") throw end.reason;
	for (const error of closed.values()) throw error;
	return sum;
}

/** Waits, but no longer than until `progressed` is aborted; rejects with `CANCELLED` when `signal` is. */
async function sleepUntil(
	ms: number,
	progressed: AbortSignal,
	signal: AbortSignal | undefined,
): Promise<void> {
	const either =
		signal === undefined ? progressed : AbortSignal.any([progressed, signal]);
	await sleep(ms, either).catch(() => checkCancelled(signal));
}

/** Texts of one lease: several calls to a provider, a few statements. */
const textsPerLease = 500;

/** Why the provider of a partition returns no vectors. */
export interface PartitionFailure {
	readonly partition: Partition;
	readonly error: unknown;
	/** How long it asks to wait. */
	readonly retryAfterMs: number | undefined;
}

/** Works on one lease of the first partition that has texts to take. */
export async function workOnAny(
	context: EmbedContext,
	partitions: readonly PartitionState[],
	signal: AbortSignal | undefined,
): Promise<LeaseResult | PartitionFailure | undefined> {
	for (const partition of partitions) {
		if (partition.dueInMs > 0) continue;
		const opened = open(context, partition);
		if ("error" in opened) return opened;
		const result = await workOnLease(context, partition, {
			...opened,
			limit: textsPerLease,
			signal,
		});
		if (result.failure !== undefined) return { partition, ...result.failure };
		if (result.taken > 0) return result;
	}
	return undefined;
}

function open(context: EmbedContext, partition: Partition) {
	try {
		return context.open(partition);
	} catch (error) {
		return { partition, error, retryAfterMs: undefined };
	}
}

export function partitionKey({ tableName, ...space }: Partition): string {
	return [tableName, space.provider, space.model, space.dimensions].join(" ");
}

function add(sum: DrainResult, result: LeaseResult): DrainResult {
	return {
		embedded: sum.embedded + result.embedded,
		settled: sum.settled + result.settled,
		dead: sum.dead + result.dead,
		tokens: sum.tokens + result.tokens,
	};
}

/** Until the first text may be taken, or the next check: other workers may finish earlier. */
function pollMs(partitions: readonly PartitionState[]): number {
	const due = Math.min(...partitions.map(({ dueInMs }) => dueInMs));
	return Math.min(Math.max(due, 20), 500);
}
