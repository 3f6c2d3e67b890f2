import type { Database } from "../db/database.ts";
import type { Logger } from "../logger.ts";
import { isKvReady, type RebuildResult, rebuildKv } from "./rebuild.ts";
import { type KvSource, readKvSources } from "./sources.ts";

export interface KvStatus {
	/** Whether LOOKUP and FUZZY read the cache; if not, they read the primary tables. */
	readonly ready: boolean;
	/** Whether this process is rebuilding it. */
	readonly rebuilding: boolean;
}

const pauseAfterFailureMs = 30_000;

/** The cache's life: noticing that it was emptied, and filling it again, once at a time. */
export class KvCache {
	readonly #db: Database;
	readonly #schema: string;
	readonly #logger: Logger;
	#rebuilding: Promise<RebuildResult> | undefined;
	#notBefore = 0;

	constructor(db: Database, schema: string, logger: Logger) {
		this.#db = db;
		this.#schema = schema;
		this.#logger = logger;
	}

	async status(): Promise<KvStatus> {
		return {
			ready: await isKvReady(this.#db, this.#schema),
			rebuilding: this.#rebuilding !== undefined,
		};
	}

	/** Fills the cache from the primary tables; a rebuild that is under way here is joined. */
	rebuild(): Promise<RebuildResult> {
		this.#rebuilding ??= rebuildKv(this.#db, this.#schema).finally(() => {
			this.#rebuilding = undefined;
		});
		return this.#rebuilding;
	}

	/** Rebuilds if it was emptied. */
	async ensureReady(): Promise<void> {
		if (!(await isKvReady(this.#db, this.#schema))) await this.rebuild();
	}

	/** A read found the cache empty: it was answered otherwise, and this goes on by itself. */
	rebuildInBackground(): void {
		if (Date.now() < this.#notBefore) return;
		this.rebuild().catch((error: unknown) => {
			// It may lack the right to: then not every read need try.
			this.#notBefore = Date.now() + pauseAfterFailureMs;
			const message = error instanceof Error ? error.message : String(error);
			this.#logger.warn(`kv_store is not rebuilt: ${message}`);
		});
	}

	/** Waits for a rebuild that runs here, so that closing does not cut it off. */
	async settle(): Promise<void> {
		await this.#rebuilding?.catch(() => {
			// It was reported where it was started.
		});
	}

	sources(): Promise<KvSource[]> {
		return readKvSources(this.#db, this.#schema);
	}
}
