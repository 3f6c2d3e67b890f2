import { dropIndex, readIndexes } from "../db/catalogue/indexes.ts";
import { readForeignOwner } from "../db/catalogue/relations.ts";
import type { Database, Session } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import type { Logger } from "../logger.ts";
import type { DeclaredIndex } from "../schema/index-types.ts";
import { sql } from "../sql.ts";
import { tryLockTable, unlockTable } from "./build-queue.ts";
import { indexesThatPay } from "./index-need.ts";

/** What became of the HNSW indexes of a table that was loaded with `bulk`, or with a load for which dropping them was considered. */
export interface BulkReport {
	/** Dropped for the load, and queued to be rebuilt after it. */
	readonly dropped: readonly string[];
	/** Why they were dropped, or not, and what that means for searches. */
	readonly explanation: string;
}

interface BulkLoadOptions {
	readonly schema: string;
	readonly logger: Logger;
	/** Loads of fewer vectors are not large. */
	readonly minRows: number;
	/** Without the option `bulk`: indexes that searches use stay. */
	readonly isAutomatic: boolean;
	/** The table's indexes that can be dropped. */
	readonly indexes: readonly DeclaredIndex[];
	/** Puts those into the queue. */
	readonly enqueue: (indexes: readonly DeclaredIndex[]) => Promise<void>;
	/** Excludes this process's own builders from the table; false: one is building. */
	readonly blockBuilders: () => boolean;
	/** Allows them again, and starts them. */
	readonly releaseBuilders: () => void;
}

/**
 * A load is large when it brings at least so many vectors for each that the
 * index has. Measured with 1,000 vectors of 1,536 dimensions in the index: 500
 * more took 0.41 of the time with the build behind them, 1,000 more 0.35.
 */
const largeShare = 0.5;
// Dropping waits for every transaction that uses the table.
const dropTimeout = { asked: "10s", automatic: "1s" };
/** An index that was searched within that time is in use. */
const recently = "10 minutes";

/**
 * The time of a load in which its table has no HNSW index. The table's lock
 * excludes builders and ends with this process: if the load dies, the index is
 * missing and in the queue, as any other that has to be built.
 */
export class BulkLoad {
	readonly #db: Database;
	readonly #tableName: string;
	readonly #options: BulkLoadOptions;
	#report: BulkReport;
	#session: Session | undefined;
	#isBlocked = false;
	#isDecided = false;
	/** Whether the size of the load alone made dropping worth a look. */
	#isConsidered = false;
	/** The largest number of vectors of a field at the last check. */
	#counted = 0;

	constructor(db: Database, tableName: string, options: BulkLoadOptions) {
		this.#db = db;
		this.#tableName = tableName;
		this.#options = options;
		this.#report = notDropped(`"${tableName}" has no HNSW index`);
	}

	/** `undefined`: the option `bulk` was not given, and the load was too small to consider. */
	get report(): BulkReport | undefined {
		if (this.#options.isAutomatic && !this.#isConsidered) return undefined;
		return this.#report;
	}

	/** Drops the indexes for which the load is large; `vectors` by field. */
	async dropIndexesForLoad(
		vectors: ReadonlyMap<string, number>,
	): Promise<void> {
		if (this.#isDecided || this.#options.indexes.length === 0) return;
		const maxVectors = Math.max(0, ...vectors.values());
		if (maxVectors < this.#options.minRows) {
			this.#report = notDropped(
				`a load of ${maxVectors} vectors is not large (BACKGROUND_INDEX__MIN_ROWS is ${this.#options.minRows})`,
			);
			return;
		}
		// A stream is looked at again when it has doubled: looking counts vectors.
		if (maxVectors < 2 * this.#counted) return;
		this.#counted = maxVectors;
		const large = await this.#findLarge(vectors);
		if (large.length > 0)
			await this.#drop(large, whyDropped(large, maxVectors));
	}

	/** Drops all of them, of a table that is filled from the beginning. */
	async dropIndexesToFill(): Promise<void> {
		const there = await this.#findThere();
		if (there.length === 0) return;
		this.#isConsidered = true;
		await this.#drop(there, whyDroppedToFill(there, this.#tableName));
	}

	/** Lets the indexes be built again, whatever became of the load. */
	async end(): Promise<void> {
		this.#isDecided = true;
		const session = this.#session;
		this.#session = undefined;
		if (session !== undefined) {
			await unlockTable(session, this.#options.schema, this.#tableName).catch(
				() => {
					// The connection is gone, and the lock with it.
				},
			);
			await session.close();
		}
		if (!this.#isBlocked) return;
		this.#isBlocked = false;
		this.#options.releaseBuilders();
	}

	async #findLarge(
		vectors: ReadonlyMap<string, number>,
	): Promise<DeclaredIndex[]> {
		const { schema } = this.#options;
		const there = await this.#findThere();
		if (there.length > 0) this.#isConsidered = true;
		const large: DeclaredIndex[] = [];
		for (const index of there) {
			const count = vectors.get(index.vectors?.field ?? "") ?? 0;
			const limit = Math.floor(count / largeShare) + 1;
			const beyond = await indexesThatPay(this.#db, [index], {
				schema,
				minRows: limit,
			});
			if (beyond.length === 0) large.push(index);
		}
		if (there.length > 0)
			this.#report = notDropped(
				`${Math.max(...vectors.values())} vectors are few against those in the indexes of "${this.#tableName}"`,
			);
		const used = this.#options.isAutomatic ? await this.#findUsed(large) : [];
		if (used.length === 0) return large;
		this.#report = notDropped(
			`searches have used ${used.join(", ")} in the last ${recently}, and would be slower until they are rebuilt; \`bulk\` drops them all the same`,
		);
		return [];
	}

	async #findThere(): Promise<DeclaredIndex[]> {
		const { schema, indexes } = this.#options;
		const live = await readIndexes(this.#db, schema, [this.#tableName]);
		const names = new Set(live.map(({ name }) => name));
		return indexes.filter(({ name }) => names.has(name));
	}

	/** Those that searches have used recently, on a server that records it. */
	async #findUsed(indexes: readonly DeclaredIndex[]): Promise<string[]> {
		const names = encodeArray(
			"text",
			indexes.map(({ name }) => name),
		);
		const { rows } = await this.#db.query<{ name: string }>(
			sql`SELECT indexrelname AS name FROM pg_stat_user_indexes
WHERE schemaname = ${this.#options.schema} AND indexrelname = ANY (${names}::text[])
  AND last_idx_scan > now() - ${recently}::interval
ORDER BY indexrelname`,
			{ idempotent: true },
		);
		return rows.map(({ name }) => name);
	}

	async #drop(
		indexes: readonly DeclaredIndex[],
		explanation: string,
	): Promise<void> {
		this.#isDecided = true;
		const names = indexes.map(({ name }) => name);
		const { schema, isAutomatic } = this.#options;
		const owner = await readForeignOwner(this.#db, schema, this.#tableName);
		if (owner !== null) {
			this.#report = notDropped(
				`only role "${owner}", which owns "${this.#tableName}", may drop them`,
			);
			return;
		}
		const session = await this.#takeTable();
		if (session === undefined) {
			this.#report = notDropped(
				`an index is being built on "${this.#tableName}" right now`,
			);
			return;
		}
		await this.#options.enqueue(indexes);
		try {
			await session.script(
				`SET lock_timeout = '${isAutomatic ? dropTimeout.automatic : dropTimeout.asked}'`,
			);
			for (const name of names) await dropIndex(session, schema, name);
			this.#report = { dropped: names, explanation };
			this.#options.logger.info(
				{ tableName: this.#tableName },
				this.#report.explanation,
			);
		} catch (error) {
			// What it left is invalid and in the queue; the load is only slower.
			const message = error instanceof Error ? error.message : String(error);
			this.#report = notDropped(`they cannot be dropped: ${message}`);
			this.#options.logger.warn(
				{ tableName: this.#tableName },
				this.#report.explanation,
			);
		} finally {
			await session.script("RESET lock_timeout").catch(() => {
				// The connection is gone, and its settings with it.
			});
		}
	}

	/** Takes the table from every builder of every process, until the end. */
	async #takeTable(): Promise<Session | undefined> {
		if (!this.#options.blockBuilders()) return undefined;
		this.#isBlocked = true;
		const session = await this.#db.openSession({ isBackground: true });
		this.#session = session;
		if (await tryLockTable(session, this.#options.schema, this.#tableName))
			return session;
		this.#session = undefined;
		await session.close();
		return undefined;
	}
}

function notDropped(reason: string): BulkReport {
	return {
		dropped: [],
		explanation: `bulk: indexes are not dropped: ${reason}`,
	};
}

function whyDropped(
	indexes: readonly DeclaredIndex[],
	maxVectors: number,
): string {
	return `bulk: dropped ${namesOf(indexes)} for a load of ${maxVectors} vectors: writing into the graph costs several times as much as rebuilding it; until it is rebuilt after the load, searches compare every vector: exact, and slower`;
}

function whyDroppedToFill(
	indexes: readonly DeclaredIndex[],
	tableName: string,
): string {
	return `dropped ${namesOf(indexes)} while "${tableName}" is filled: it takes a fraction of the time without them; until they are built again, searches by content read a bounded number of entries`;
}

function namesOf(indexes: readonly DeclaredIndex[]): string {
	return indexes.map(({ name }) => name).join(", ");
}
