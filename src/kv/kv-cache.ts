import { optionalOptions } from "../calls/arguments.ts";
import {
	async,
	counts,
	publicMethods,
	traced,
} from "../calls/public-methods.ts";
import { type Database, type Handle, limited } from "../db/database.ts";
import {
	outsideTransactions,
	refuseInsideTransaction,
} from "../db/open-transaction.ts";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { flag, signal, wholeNumber } from "../models/checks.ts";
import { progressCallback } from "../models/options.ts";
import { toText } from "../sql.ts";
import { databaseAttributes, span } from "../telemetry/span.ts";
import type { KvProgress } from "./progress.ts";
import {
	isKvReady,
	type RebuildOptions,
	type RebuildResult,
	rebuildKv,
} from "./rebuild.ts";
import { type KvStatus, readKvStatus } from "./status.ts";
import { type KvSource, kvState, kvStore, readKvSources } from "./tables.ts";
import { type VerifyOptions, type VerifyResult, verifyKv } from "./verify.ts";

// It lacks the right to, or the server is a standby: not every read need try.
const pauseWithoutRightMs = 30_000;
const pauseMs = 1000;

interface KvCacheOptions extends Pick<RebuildOptions, "dropIndexes"> {
	readonly schema: string;
	readonly logger: Logger;
	/** The turns of background rebuilds, where several caches share a database. @default one of its own */
	readonly turns?: RebuildTurns | undefined;
}

/** Each occupies a connection of the pool; one that waits for a lock does not stop the others. */
const rebuildsAtOnce = 3;

/** Lets few rebuilds run in the background at a time, in the order in which they are asked for. */
export class RebuildTurns {
	#free = rebuildsAtOnce;
	readonly #waiting: (() => void)[] = [];

	/** Runs `work` when it is its turn. */
	async next<T>(work: () => Promise<T>): Promise<T> {
		if (this.#free > 0) this.#free--;
		else
			await new Promise<void>((resolve) => {
				this.#waiting.push(resolve);
			});
		try {
			return await work();
		} finally {
			const next = this.#waiting.shift();
			if (next === undefined) this.#free++;
			else next();
		}
	}
}

/** Detects that the cache was emptied, and rebuilds it, once at a time. */
export class KvCache {
	readonly #db: Database;
	readonly #schema: string;
	readonly #logger: Logger;
	readonly #dropIndexes: RebuildOptions["dropIndexes"];
	readonly #listeners = new Set<(progress: KvProgress) => void>();
	readonly #turns: RebuildTurns;
	#rebuilding: Promise<RebuildResult | undefined> | undefined;
	/** The background rebuild, from the time that it waits for its turn. */
	#behind: Promise<void> | undefined;
	/** Stops the rebuild that runs. */
	#stopping = new AbortController();
	#notBefore = 0;
	#isLogged = false;

	/** @internal */
	constructor(
		db: Database,
		{ schema, logger, dropIndexes, turns = new RebuildTurns() }: KvCacheOptions,
	) {
		this.#db = db;
		this.#schema = schema;
		this.#logger = logger;
		this.#dropIndexes = dropIndexes;
		this.#turns = turns;
	}

	/** Whether it is in use, how many entries it has, and what threatens it. Counts all entries: for people, not for every request. */
	status(): Promise<KvStatus> {
		return readKvStatus(
			limited(this.#db),
			this.#schema,
			this.#rebuilding !== undefined,
		);
	}

	/**
	 * Fills the cache from the primary tables while writers continue, and marks it
	 * ready; a rebuild that is under way here is joined. It adds what is missing:
	 * entries that are wrong are `verify({ repair: true })`'s work.
	 *
	 * @example
	 * await service.kv.rebuild({ onProgress: ({ done, total }) => console.log(`${done} of ${total}`) })
	 * // { entries: 1500 }
	 */
	async rebuild(
		options: Pick<RebuildOptions, "onProgress" | "signal"> = {},
	): Promise<RebuildResult> {
		refuseInsideTransaction(this.#db);
		const { onProgress, signal } = options;
		// Also one that was started elsewhere and only joined here.
		const stop = () => this.#stopping.abort();
		// One that throws stops it for its own caller; others start it again.
		let failure: { readonly error: unknown } | undefined;
		const listener = (progress: KvProgress) => {
			try {
				onProgress?.(progress);
			} catch (error) {
				failure ??= { error };
				stop();
			}
		};
		if (onProgress !== undefined) this.#listeners.add(listener);
		signal?.addEventListener("abort", stop);
		try {
			for (;;) {
				if (signal?.aborted) throw stopped();
				const result = await this.#start({}).catch((error: unknown) => {
					if (failure !== undefined) throw failure.error;
					// Another caller stopped the rebuild that both of them waited for.
					if (signal?.aborted || !isCancelled(error)) throw error;
					return undefined;
				});
				// One that was left to another process is no rebuild.
				if (result !== undefined) return result;
			}
		} finally {
			signal?.removeEventListener("abort", stop);
			if (onProgress !== undefined) this.#listeners.delete(listener);
		}
	}

	/** Rebuilds if it is incomplete: it was emptied, or a migration added rows to it. Returns when it is in use. */
	async ensureReady(
		options: Pick<RebuildOptions, "onProgress" | "signal"> = {},
	): Promise<void> {
		if (!(await this.#isReady())) await this.rebuild(options);
	}

	/**
	 * @internal
	 * After a migration: starts a rebuild if the cache lacks rows of a table that
	 * was there before, and does not wait for it. Returns whether it did.
	 */
	async catchUp(): Promise<boolean> {
		if (await this.#isReady()) return false;
		this.#notBefore = 0;
		this.#rebuildBehind(
			"kv_store is being filled: reads are answered from the tables until then",
			"info",
		);
		return true;
	}

	/**
	 * Compares the cache with the primary tables, both ways and at one moment,
	 * and names the entries that differ; with `repair`, repairs exactly those.
	 *
	 * @example
	 * const { differing, differences } = await service.kv.verify()
	 */
	verify(options: VerifyOptions = {}): Promise<VerifyResult> {
		return verifyKv(limited(this.#db), this.#schema, options);
	}

	/** Frees the space of entries that are gone and renews the planner's statistics, where no autovacuum does. */
	async vacuum(): Promise<void> {
		await this.#db.script(
			`VACUUM (ANALYZE) ${toText(kvStore(this.#schema))}, ${toText(kvState(this.#schema))}`,
		);
	}

	/** A read found the cache empty: it was answered otherwise, and the rebuild runs in the background. */
	rebuildInBackground(): void {
		this.#rebuildBehind(
			"kv_store was emptied: reads are answered from the tables until it is rebuilt",
			"warn",
		);
	}

	#rebuildBehind(reason: string, level: "info" | "warn"): void {
		if (this.#rebuilding !== undefined || this.#behind !== undefined) return;
		if (Date.now() < this.#notBefore) return;
		this.#logOnce(reason, level);
		this.#behind = this.#turns
			.next(() => this.#start({ unlessUnderWay: true }))
			.then(
				(result) => {
					// Another process rebuilds it: reads check again, but not each one.
					if (result === undefined) this.#notBefore = Date.now() + pauseMs;
					else this.#logRebuilt(result);
				},
				(error: unknown) => this.#noteFailure(error),
			)
			.finally(() => {
				this.#behind = undefined;
			});
	}

	/** Waits for a rebuild that runs here, or waits for its turn, so that closing does not cut it off. */
	async settle(): Promise<void> {
		refuseInsideTransaction(this.#db);
		await this.#behind;
		await this.#rebuilding?.catch(() => {
			// It was reported where it was started.
		});
	}

	/** @internal where the cache comes from, as the handle's transaction sees it. */
	sources(db: Handle): Promise<KvSource[]> {
		return readKvSources(db, this.#schema);
	}

	/** Starts on connecting, where the cache is there and was emptied; one that is locked is left to the reads, which look themselves. */
	async noticeEmptied(): Promise<void> {
		try {
			if (!(await this.#isReady())) this.rebuildInBackground();
		} catch (error) {
			// Before the first migration there is no cache; a standby cannot read it.
			if (quietStates.has(sqlStateOf(error) ?? "")) return;
			if (!isTimeout(error)) throw error;
			this.#logger.warn({}, `kv_store was not checked: ${error.message}`);
		}
	}

	#start(
		options: Pick<RebuildOptions, "unlessUnderWay">,
	): Promise<RebuildResult | undefined> {
		if (this.#rebuilding !== undefined) return this.#rebuilding;
		this.#stopping = new AbortController();
		const { signal } = this.#stopping;
		this.#rebuilding = outsideTransactions(() =>
			this.#rebuild({ ...options, signal }),
		).finally(() => {
			this.#rebuilding = undefined;
		});
		return this.#rebuilding;
	}

	/** By a marker that names the file, the right to read the cache itself is not needed. */
	#isReady(): Promise<boolean> {
		const marker = this.#db.capabilities.citus ? "entry" : "file";
		return isKvReady(this.#db, this.#schema, marker);
	}

	#rebuild(options: RebuildOptions): Promise<RebuildResult | undefined> {
		const onProgress =
			this.#listeners.size === 0
				? undefined
				: (progress: KvProgress) => {
						for (const listener of this.#listeners) listener(progress);
					};
		return span("kv.rebuild", rebuildSpan, () =>
			rebuildKv(this.#db, this.#schema, {
				...options,
				citus: this.#db.capabilities.citus,
				onProgress,
				dropIndexes: this.#dropIndexes,
			}),
		);
	}

	/** Once, however many reads find it and however often it is retried. */
	#logOnce(reason: string, level: "info" | "warn"): void {
		if (this.#isLogged) return;
		this.#isLogged = true;
		this.#logger[level]({}, reason);
	}

	#logRebuilt({ entries }: RebuildResult): void {
		this.#isLogged = false;
		this.#logger.info(
			{ entries },
			`kv_store is rebuilt: ${entries} entries were missing`,
		);
	}

	#noteFailure(error: unknown): void {
		// The caller that stopped it is informed.
		if (isCancelled(error)) return;
		const state = sqlStateOf(error) ?? "";
		const mayNot = state === "42501" || state === readOnly;
		this.#notBefore = Date.now() + (mayNot ? pauseWithoutRightMs : pauseMs);
		// A standby's cache is its primary's to rebuild.
		if (state === readOnly) return;
		const message = error instanceof Error ? error.message : String(error);
		this.#logger.warn(
			{ sqlState: state },
			`kv_store is not rebuilt: ${message}`,
		);
	}
}

const rebuildOptions = optionalOptions<
	Pick<RebuildOptions, "onProgress" | "signal">
>({ onProgress: progressCallback, signal });

publicMethods<KvCache>()(
	KvCache,
	{
		status: async(),
		rebuild: async(rebuildOptions),
		ensureReady: async(rebuildOptions),
		verify: traced(
			async(
				optionalOptions<VerifyOptions>({
					repair: flag,
					sample: wholeNumber(1),
					limit: wholeNumber(0),
					onProgress: progressCallback,
					signal,
				}),
			),
			{ operation: "kv.verify", found: counts("compared", "differing") },
		),
		vacuum: async(),
	},
	["rebuildInBackground", "settle", "sources", "noticeEmptied", "catchUp"],
);

const rebuildSpan = {
	attributes: databaseAttributes("kv.rebuild"),
	// None: it was left to another process.
	found: (result: RebuildResult | undefined) =>
		result === undefined ? {} : { "remdb.entries": result.entries },
};

function stopped(): RemError {
	return new RemError("CANCELLED", "the rebuild was stopped", {
		hint: "what was copied remains; reads are answered from the tables, and the next rebuild continues from there",
	});
}

function isTimeout(error: unknown): error is RemError {
	return error instanceof RemError && error.code === "QUERY_TIMEOUT";
}

function isCancelled(error: unknown): boolean {
	return error instanceof RemError && error.code === "CANCELLED";
}

const readOnly = "25006";
const quietStates = new Set(["42P01", "3F000", "0A000"]);

function sqlStateOf(error: unknown): string | undefined {
	return error instanceof RemError ? error.sqlState : undefined;
}
