import type { Attributes, Counter, MeterProvider } from "@opentelemetry/api";
import { meterOf, meterProvider } from "./api.ts";

const counters = {
	"remdb.replica.fallbacks":
		"Reads for a replica that the primary answered, because it was away or behind",
	"remdb.retries": "Units of work that were run again",
	"remdb.kv.fallbacks": "Reads answered from the tables, not from the cache",
	"remdb.searches": "Searches by meaning, by how they were answered",
	"remdb.embeddings.dead_letters": "Texts that were dead-lettered",
	"remdb.connections.evicted":
		"Times that all connections were left because the server takes no writes",
} as const;

export type CounterName = keyof typeof counters;

/** Instruments belong to a provider; a program may register its own late. */
let known:
	| {
			readonly provider: MeterProvider;
			readonly counters: ReadonlyMap<string, Counter>;
	  }
	| undefined;

/** Counts, if a meter provider is registered. Attributes are names of a small set. */
export function count(name: CounterName, attributes: Attributes, by = 1): void {
	const provider = meterProvider();
	if (provider === undefined) return;
	if (known?.provider !== provider)
		known = { provider, counters: countersOf(provider) };
	known.counters.get(name)?.add(by, attributes);
}

function countersOf(provider: MeterProvider): ReadonlyMap<string, Counter> {
	const meter = meterOf(provider);
	return new Map(
		Object.entries(counters).map(([name, description]) => [
			name,
			meter.createCounter(name, { description }),
		]),
	);
}

/** What waits in a queue of the database. */
export interface QueueFigures {
	readonly queue: "embeddings" | "index_builds";
	readonly table: string;
	readonly state: string;
	readonly count: number;
	/** Of the oldest of them, where they wait. */
	readonly oldestMs?: number | undefined;
}

// Shorter than the export timeout of common collectors.
const timeoutMs = 5000;

/** Reports the queues whenever metrics are collected, until the function it returns is called. */
export function observeQueues(
	read: () => Promise<readonly QueueFigures[]>,
): () => void {
	const provider = meterProvider();
	if (provider === undefined) return () => {};
	const meter = meterOf(provider);
	const depth = meter.createObservableGauge("remdb.queue.depth", {
		description: "What waits in a queue, or has failed for good",
	});
	const age = meter.createObservableGauge("remdb.queue.oldest_age", {
		description: "How long the oldest waits",
		unit: "s",
	});
	const observe: Parameters<typeof meter.addBatchObservableCallback>[0] =
		async (result) => {
			// While the database cannot be reached there is nothing to report.
			const figures = await within(timeoutMs, read()).catch(() => []);
			for (const { queue, table, state, count, oldestMs } of figures) {
				const of = { "remdb.queue": queue, "db.collection.name": table };
				result.observe(depth, count, { ...of, "remdb.state": state });
				if (oldestMs !== undefined) result.observe(age, oldestMs / 1000, of);
			}
		};
	meter.addBatchObservableCallback(observe, [depth, age]);
	return () => meter.removeBatchObservableCallback(observe, [depth, age]);
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error("too late")), ms);
		timer.unref();
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}
