import { setTimeout as sleep } from "node:timers/promises";
import { isTransient } from "../../db/sql-state.ts";
import type { AnyService } from "../open-service.ts";
import { oneLine } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";

const connectEveryMs = 1000;
const checkCacheEveryMs = 1000;
const checkIndexesEveryMs = 60_000;

/**
 * Connects, for as long as that takes: a worker may be started before its
 * database. What waiting does not cure (a wrong password, a server too old) is
 * thrown. `undefined`: the signal came first.
 */
export async function connectPatiently(
	connect: () => Promise<AnyService>,
	terminal: Terminal,
	signal: AbortSignal,
): Promise<AnyService | undefined> {
	const faults = new Faults(terminal, "the database");
	while (!signal.aborted)
		try {
			const service = await connect();
			faults.clear();
			return service;
		} catch (error) {
			if (!isTransient(error)) throw error;
			faults.note(error);
			await pause(connectEveryMs, signal);
		}
	return undefined;
}

/**
 * Embeds what is queued, builds indexes and fills the cache when it was emptied,
 * until the signal; then begins nothing more and waits for what is under way.
 * Any number of processes may do so: they share the work by locks in the database.
 */
export async function runWorker(
	service: AnyService,
	terminal: Terminal,
	signal: AbortSignal,
): Promise<void> {
	service.embeddings.start();
	const indexing = service.indexer.run();
	await Promise.all([
		every(checkIndexesEveryMs, signal, async () => service.indexer.check()),
		watchCache(service, terminal, signal),
	]);
	terminal.notice("stopping: waiting for what is under way");
	await Promise.all([service.embeddings.stop(), service.indexer.stop()]);
	await indexing;
}

/** The marker is polled: without a reader, no other call would notice. */
async function watchCache(
	service: AnyService,
	terminal: Terminal,
	signal: AbortSignal,
): Promise<void> {
	const faults = new Faults(terminal, "kv_store cannot be checked");
	await every(checkCacheEveryMs, signal, async () => {
		try {
			await service.kv.noticeEmptied();
			faults.clear();
		} catch (error) {
			faults.note(error);
		}
	});
}

async function every(
	ms: number,
	signal: AbortSignal,
	work: () => Promise<void>,
): Promise<void> {
	while (!signal.aborted) {
		await work();
		await pause(ms, signal);
	}
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
	await sleep(ms, undefined, { signal }).catch(() => {
		// The signal ends the pause.
	});
}

/** Reports a failure when it begins and when it is over, not at every attempt. */
class Faults {
	readonly #terminal: Terminal;
	readonly #what: string;
	#last: string | undefined;

	constructor(terminal: Terminal, what: string) {
		this.#terminal = terminal;
		this.#what = what;
	}

	note(error: unknown): void {
		const message = error instanceof Error ? error.message : String(error);
		if (message === this.#last) return;
		this.#last = message;
		this.#terminal.warn(oneLine(`${this.#what}: ${message}; retrying`));
	}

	clear(): void {
		if (this.#last === undefined) return;
		this.#last = undefined;
		this.#terminal.notice("the database answers again");
	}
}
