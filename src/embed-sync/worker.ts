import { queueChannel } from "../db/embedding-queue.ts";
import { outsideTransactions } from "../db/open-transaction.ts";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { elementAt } from "../util/present.ts";
import {
	concurrentLeases,
	type PartitionFailure,
	partitionKey,
	workOnAny,
} from "./drain.ts";
import {
	type Partition,
	type PartitionState,
	pauseMs,
	readPartitions,
	schemasThatWait,
} from "./queue.ts";
import { settleFields } from "./settle-fields.ts";
import type { EmbedContext, LeaseResult } from "./work-on-lease.ts";

/**
 * How long a worker sleeps without a notification: other processes write as well,
 * and the lease of one that died ends. With the lease itself it is less than
 * 15 seconds.
 */
const pollMs = { listening: 4000, alone: 1000 };

const fieldsPollMs = 60_000;

/**
 * Embeds what is queued as long as it runs. It wakes when something is queued,
 * where the engine can notify, and polls. It never keeps the process alive, and no
 * failure ends it: the queue is durable, so it tries again later.
 */
export class EmbeddingWorker {
	readonly #contexts: () => readonly EmbedContext[];
	readonly #logger: Logger;
	/** Where it begins to look, so that no schema waits for the others' queues to be empty. */
	#turn = 0;
	#stop: AbortController | undefined;
	#running: Promise<unknown> = Promise.resolve();
	readonly #sleepers = new Set<() => void>();
	/** Whether it was woken while it was awake. */
	#isWoken = false;
	#isListening = false;
	/** Partitions whose provider gives no vectors: until when they rest, and how often that was. */
	readonly #resting = new Map<string, { until: number; failures: number }>();

	/** @param contexts the schemas whose queues it works on */
	constructor(contexts: () => readonly EmbedContext[], logger: Logger) {
		this.#contexts = contexts;
		this.#logger = logger;
	}

	get isRunning(): boolean {
		return this.#stop !== undefined;
	}

	/** Starting twice is fine. */
	start(): void {
		if (this.#stop !== undefined) return;
		const stop = new AbortController();
		this.#stop = stop;
		this.#resting.clear();
		this.#running = outsideTransactions(() =>
			Promise.all([
				this.#listen(stop.signal),
				this.#settleFields(stop.signal),
				...Array.from({ length: concurrentLeases }, () =>
					this.#work(stop.signal),
				),
			]),
		);
	}

	/** Returns what it has leased, and ends. Stopping twice is fine. */
	async stop(): Promise<void> {
		this.#stop?.abort();
		this.#stop = undefined;
		this.wake();
		await this.#running;
	}

	/** Something was queued, or may be tried again. */
	wake(): void {
		this.#isWoken = true;
		for (const wake of this.#sleepers) wake();
	}

	/** Lets resting partitions be tried at once. */
	retry(): void {
		this.#resting.clear();
		this.wake();
	}

	async #work(signal: AbortSignal): Promise<void> {
		let failures = 0;
		while (!signal.aborted)
			try {
				const pause = await this.#step(signal);
				failures = 0;
				if (pause > 0) await this.#sleep(pause, signal);
			} catch (error) {
				if (signal.aborted) return;
				if (failures === 0) this.#warn(error);
				await this.#sleep(pauseMs(failures++, undefined), signal);
			}
	}

	/** One lease, if there is anything to take; how long to sleep before the next. */
	async #step(signal: AbortSignal): Promise<number> {
		this.#isWoken = false;
		const dues: number[] = [];
		for (const context of await this.#waiting()) {
			const partitions = await this.#partitions(context);
			const result = await workOnAny(context, partitions, signal);
			if (result !== undefined) {
				if ("error" in result) this.#rest(result);
				else {
					this.#resting.delete(partitionKey(result.partition));
					this.#logDeadLetters(result);
				}
				return 0;
			}
			dues.push(...partitions.map(({ dueInMs }) => dueInMs));
		}
		const poll = this.#isListening ? pollMs.listening : pollMs.alone;
		const due = dues.filter((ms) => ms > 0);
		return this.#isWoken ? 0 : Math.max(20, Math.min(poll, ...due));
	}

	/** The schemas in which texts may wait: of several, one statement asks all. */
	async #waiting(): Promise<readonly EmbedContext[]> {
		const contexts = this.#contexts();
		const [first, ...more] = contexts;
		if (first === undefined || more.length === 0) return contexts;
		const names = contexts.map(({ schema }) => schema);
		const found = new Set(await schemasThatWait(first.db, names));
		const turn = this.#turn++ % contexts.length;
		return [...contexts.slice(turn), ...contexts.slice(0, turn)].filter(
			({ schema }) => found.has(schema),
		);
	}

	async #partitions({
		db,
		schema,
		table,
	}: EmbedContext): Promise<PartitionState[]> {
		return (await readPartitions(db, schema))
			.filter((partition) => table(partition.tableName) !== undefined)
			.map((partition) => ({
				...partition,
				dueInMs: Math.max(partition.dueInMs, this.#restMs(partition)),
			}));
	}

	#logDeadLetters({
		partition: { tableName, provider, model },
		dead,
	}: LeaseResult): void {
		if (dead === 0) return;
		this.#logger.error(
			{ tableName, provider, model, dead },
			`embedding worker: ${dead} texts of "${tableName}" were dead-lettered; \`rem embeddings status\` shows why, \`rem embeddings retry\` queues them again`,
		);
	}

	#restMs(partition: Partition): number {
		const rest = this.#resting.get(partitionKey(partition));
		return rest === undefined ? 0 : rest.until - Date.now();
	}

	/** The texts that were sent have a pause of their own; the others of the partition do not repeat the failure. */
	#rest({ partition, error, retryAfterMs }: PartitionFailure): void {
		const failures = this.#resting.get(partitionKey(partition))?.failures ?? 0;
		if (failures === 0) this.#warn(error);
		this.#resting.set(partitionKey(partition), {
			until: Date.now() + pauseMs(failures, retryAfterMs),
			failures: failures + 1,
		});
	}

	/** Fields that begin or cease to embed: at the start, and every minute. */
	async #settleFields(signal: AbortSignal): Promise<void> {
		while (!signal.aborted) {
			for (const context of this.#contexts()) {
				if (signal.aborted) return;
				await settleFields(context, signal).catch((error: unknown) => {
					if (!signal.aborted) this.#warn(error);
				});
			}
			await this.#pause(fieldsPollMs, signal);
		}
	}

	/** Listens on a connection of its own, and opens another one when that is lost. */
	async #listen(signal: AbortSignal): Promise<void> {
		if (this.#contexts()[0]?.db.capabilities.listen !== true) return;
		for (let failures = 0; !signal.aborted; failures++) {
			const isLost = await this.#listenUntilLost(signal).catch(() => false);
			// Polling continues without it.
			if (isLost) failures = 0;
			await this.#sleep(pauseMs(failures, undefined), signal);
		}
	}

	/** Returns when the connection is lost, or the worker stops. */
	async #listenUntilLost(signal: AbortSignal): Promise<boolean> {
		const contexts = this.#contexts();
		const { db } = elementAt(contexts, 0);
		let end = (_isLost: boolean) => {};
		const ended = new Promise<boolean>((resolve) => {
			end = resolve;
		});
		const session = await db.openSession({
			onLost: () => end(true),
			isBackground: true,
		});
		signal.addEventListener("abort", () => end(false));
		if (signal.aborted) end(false);
		try {
			for (const { schema } of contexts)
				await session.listen(queueChannel(schema), () => this.wake());
			this.#isListening = true;
			// What was queued while no connection listened.
			this.wake();
			return await ended;
		} finally {
			this.#isListening = false;
			await session.close();
		}
	}

	/** Until the time is over or the worker stops; no call wakes it. */
	#pause(ms: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			if (signal.aborted) return resolve();
			const timer = setTimeout(resolve, ms);
			timer.unref();
			signal.addEventListener("abort", () => {
				clearTimeout(timer);
				resolve();
			});
		});
	}

	/** Until the time is over or it is woken; does not keep the process alive. */
	#sleep(ms: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const wake = () => {
				clearTimeout(timer);
				this.#sleepers.delete(wake);
				resolve();
			};
			const timer = setTimeout(wake, ms);
			timer.unref();
			this.#sleepers.add(wake);
			if (signal.aborted) wake();
		});
	}

	#warn(error: unknown): void {
		const message = error instanceof RemError ? error.message : String(error);
		this.#logger.warn(
			{ code: error instanceof RemError ? error.code : undefined },
			`embedding worker: ${message}; what is queued stays queued, and is tried again`,
		);
	}
}
