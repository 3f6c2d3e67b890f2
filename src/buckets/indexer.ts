import type { ServiceCore } from "../core/service-core.ts";
import {
	outsideTransactions,
	refuseInsideTransaction,
} from "../db/open-transaction.ts";
import {
	BackgroundIndexer,
	type IndexRequest,
} from "../indexer/background-indexer.ts";
import { schemasWithBuilds } from "../indexer/build-queue.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BucketCores, mapBuckets, mapEveryBucket } from "./each.ts";
import { spread } from "./spread.ts";

// How often an idle process reads the queues.
const idleMs = 30_000;

/** The indexers of all buckets: one loop, which finds the buckets with queued builds by one statement. */
export function indexerOfBuckets(buckets: BucketCores): BackgroundIndexer {
	let stop = new AbortController();
	let running: Promise<void> | undefined;
	const visit = async (signal: AbortSignal) => {
		const names = await schemasWithBuilds(buckets.db, buckets.schemas);
		for (const [number, schema] of buckets.schemas.entries())
			if (!signal.aborted && names.includes(schema))
				await buckets.at(number).indexer.workOff();
	};
	const run = async (signal: AbortSignal) => {
		while (!signal.aborted) {
			await visit(signal).catch((error: unknown) => {
				const message = error instanceof Error ? error.message : String(error);
				buckets.settings.logger.warn({}, `indexes are not built: ${message}`);
			});
			await pausing(idleMs, signal);
		}
	};
	const ofTable = (schema: string) => {
		const number = buckets.schemas.indexOf(schema);
		return buckets.at(Math.max(0, number)).indexer;
	};
	const queueIndex = async (request: IndexRequest) => {
		await mapEveryBucket(buckets, ({ indexer }) => indexer.queueIndex(request));
	};
	return spread(BackgroundIndexer, {
		queueIndex,
		build: async (request) => {
			// A stop before the turn of a bucket leaves its build in the queue.
			await queueIndex(request);
			await mapEveryBucket(buckets, ({ indexer }) => indexer.build(request));
		},
		run: async () => {
			refuseInsideTransaction(buckets.db);
			if (stop.signal.aborted) stop = new AbortController();
			const { signal } = stop;
			running ??= outsideTransactions(() => run(signal)).finally(() => {
				running = undefined;
			});
			return running;
		},
		workOff: () => visit(stop.signal),
		stop: async (options = {}) => {
			refuseInsideTransaction(buckets.db);
			stop.abort();
			await Promise.all(
				buckets.opened().map(({ indexer }) => indexer.stop(options)),
			);
			await running;
		},
		drain: async () => {
			await mapEveryBucket(buckets, ({ indexer }) => indexer.drain());
		},
		status: async () => {
			const all = await mapBuckets(
				buckets,
				async ({ indexer, settings: { schema } }) => {
					const { running, indexes } = await indexer.status();
					return {
						running,
						indexes: indexes.map((index) => ({ ...index, bucket: schema })),
					};
				},
			);
			return {
				running: all.some((one) => one.running),
				indexes: all.flatMap(({ indexes }) => indexes),
			};
		},
		repair: async (options = {}) => {
			const all = await mapEveryBucket(
				buckets,
				async ({ indexer, settings: { schema } }) =>
					(await indexer.repair(options)).map((name) => `${schema}.${name}`),
			);
			return all.flat();
		},
		check: (table) => {
			checkInTurn(buckets.all(), Promise.resolve(), table);
		},
		checkAfter: (turn, table) => checkInTurn(buckets.all(), turn, table),
		noteRows: (table, space, rows) =>
			ofTable(table.schema).noteRows(table, space, rows),
		bulkLoad: (table, space, isAutomatic) =>
			ofTable(table.schema).bulkLoad(table, space, isAutomatic),
		dropCacheIndexes: async () => {
			const all = await mapBuckets(buckets, ({ indexer }) =>
				indexer.dropCacheIndexes(),
			);
			return async () => {
				for (const end of all) await end();
			};
		},
	});
}

/** Checks in the background, one bucket after the other: all at once would occupy every connection of the pool. */
export function checkInTurn(
	cores: readonly ServiceCore[],
	turn: Promise<void>,
	table?: EntityTable,
): Promise<void> {
	let last = turn;
	for (const { indexer, registry } of cores)
		last = indexer.checkAfter(
			last,
			table && registry.get(table.entity.tableName),
		);
	return last;
}

/** Resolves after `ms`, or when the signal is aborted; does not delay the end of the process. */
function pausing(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) return resolve();
		const end = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", end);
			resolve();
		};
		const timer = setTimeout(end, ms);
		timer.unref();
		signal.addEventListener("abort", end);
	});
}
