import type { Database, Session } from "../db/database.ts";
import type { RemError } from "../errors.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
import { databaseAttributes, span } from "../telemetry/span.ts";
import { backoffMs } from "../util/backoff.ts";
import {
	type BuildFailure,
	indexFailed,
	judgeFailure,
	notPermitted,
} from "./build-failure.ts";
import { buildIndex, TableBusy } from "./build-index.ts";
import {
	memoryWarning,
	planMemory,
	type TableBuilderOptions,
} from "./build-memory.ts";
import { describeBlocker, readRunningBuilds } from "./build-progress.ts";
import {
	markBuilt,
	markFailed,
	markLeft,
	markPostponed,
	markProgress,
	markStarted,
	type QueuedBuild,
	readQueue,
	tryLockTable,
	unlockTable,
} from "./build-queue.ts";

// The first attempt, and those after 2, 4 and 8 seconds.
const maxAttempts = 4;
const busyTableMs = 1000;
const progressEveryMs = 1000;

/** Builds what is queued for one table, one index after the other, on a connection of its own. */
export class TableBuilder {
	readonly tableName: string;
	/** What this connection's role was not permitted to build, and why. */
	readonly refused = new Map<string, RemError>();
	readonly #db: Database;
	readonly #options: TableBuilderOptions;
	readonly #indexes: readonly DeclaredIndex[];
	#session: Session | undefined;
	#isStopping = false;

	constructor(
		db: Database,
		table: {
			readonly tableName: string;
			readonly indexes: readonly DeclaredIndex[];
		},
		options: TableBuilderOptions,
	) {
		this.#db = db;
		this.tableName = table.tableName;
		this.#indexes = table.indexes;
		this.#options = options;
	}

	/** Works until nothing of the table is due; not at all while another process does. */
	async work(): Promise<void> {
		const { schema } = this.#options;
		const session = await this.#db.openSession();
		session.unref();
		this.#session = session;
		try {
			if (!(await tryLockTable(session, schema, this.tableName))) return;
			try {
				await this.#buildAll(session);
			} finally {
				// The embedded database does not close the connection.
				await unlockTable(session, schema, this.tableName).catch(() => {
					// The connection is gone, and the lock with it.
				});
			}
		} finally {
			await session.close();
		}
	}

	/** Begins no further build. */
	stop(): void {
		this.#isStopping = true;
	}

	/** Leaves the running build to the server, which finishes it. */
	async detach(): Promise<void> {
		this.stop();
		await this.#session?.close();
	}

	async #buildAll(session: Session): Promise<void> {
		while (!this.#isStopping) {
			const next = await this.#nextDue();
			if (next === undefined) return;
			await this.#buildOne(session, ...next);
		}
	}

	async #nextDue(): Promise<[QueuedBuild, DeclaredIndex] | undefined> {
		const queue = await readQueue(this.#db, this.#options.schema);
		for (const build of queue) {
			const isDue =
				(build.state === "building" || build.state === "queued") &&
				build.dueInMs === 0;
			const index = this.#indexes.find(({ name }) => name === build.indexName);
			if (isDue && index !== undefined && !this.refused.has(index.name))
				return [build, index];
		}
		return undefined;
	}

	async #buildOne(
		session: Session,
		build: QueuedBuild,
		index: DeclaredIndex,
	): Promise<void> {
		const { schema, logger, settings } = this.#options;
		const started = performance.now();
		const attempts = build.attempts + 1;
		try {
			if (attempts > maxAttempts) throw new Error(diedSilently);
			await markStarted(this.#db, schema, build);
			const watch = this.#watch(build, session.processId);
			try {
				const limits = await this.#limits(build, index);
				await span(`index.buildOne ${build.tableName}`, spanOf(build), () =>
					buildIndex(session, index, { schema, ...limits }),
				);
			} finally {
				await watch.end();
			}
			await markBuilt(this.#db, schema, build);
			this.#options.onBuilt();
			const seconds = ((performance.now() - started) / 1000).toFixed(1);
			logger.info(
				about(build),
				`index "${index.name}" is built (${seconds} s)`,
			);
		} catch (error) {
			if (this.#isStopping) return; // The next run reads its state.
			if (error instanceof TableBusy) return this.#postpone(build);
			const failure = judgeFailure(error);
			if (failure.isConflict) {
				logger.info(
					about(build),
					`index "${index.name}": it and another command on the table waited for each other (SQLSTATE 40P01); next attempt in ${busyTableMs / 1000} s`,
				);
				return this.#postpone(build);
			}
			if (failure.sqlState === notPermitted)
				return this.#leave(build, index, failure);
			const isFinal = !failure.isTransient || attempts >= maxAttempts;
			const retryMs = backoffMs(build.attempts, {
				firstMs: settings.retryMs,
				jitter: 0,
			});
			await markFailed(this.#db, schema, {
				...build,
				...failure,
				retryMs: isFinal ? undefined : retryMs,
			});
			if (isFinal)
				logger.error(
					about(build),
					indexFailed(index, failure, attempts).message,
				);
			else
				logger.warn(
					about(build),
					`index "${index.name}": ${failure.message}; next attempt in ${retryMs / 1000} s`,
				);
		}
	}

	#postpone({ indexName }: QueuedBuild): Promise<void> {
		return markPostponed(this.#db, this.#options.schema, {
			indexName,
			delayMs: busyTableMs,
		});
	}

	/** Another role may build it: the owner's worker does. */
	async #leave(
		build: QueuedBuild,
		index: DeclaredIndex,
		failure: BuildFailure,
	): Promise<void> {
		const error = indexFailed(index, failure, 0);
		this.refused.set(index.name, error);
		await markLeft(this.#db, this.#options.schema, { ...build, ...failure });
		this.#options.logger.warn(
			about(build),
			`${error.message}; it is left to a worker of another role`,
		);
	}

	async #limits(build: QueuedBuild, index: DeclaredIndex) {
		const { schema, hnsw, settings, logger } = this.#options;
		const memory =
			definitionOf(index).vectors === undefined
				? undefined
				: await planMemory(this.#db, index, {
						schema,
						hnsw,
						memoryMb: settings.memoryMb,
					});
		const warning = memory && memoryWarning(index, memory);
		if (warning !== undefined) logger.warn(about(build), warning);
		return {
			lockTimeoutMs: settings.lockTimeoutMs,
			memoryMb: memory?.grantedMb,
			parallelWorkers: build.withoutWorkers ? 0 : settings.parallelWorkers,
		};
	}

	/** Stores the progress for roles that cannot read it in the server's view, and logs once which transaction it waits for. */
	#watch(build: QueuedBuild, processId: number | undefined) {
		// The embedded database answers when the build is done.
		if (processId === undefined) return { end: async () => {} };
		const { schema, logger } = this.#options;
		let reported: number | undefined;
		let looking: Promise<void> = Promise.resolve();
		const look = async () => {
			const running = await readRunningBuilds(this.#db, schema);
			const own = running.find((other) => other.processId === processId);
			if (own === undefined) return;
			const { indexName } = build;
			const { percent } = own;
			await markProgress(this.#db, schema, { indexName, percent });
			const { waitsFor } = own;
			if (waitsFor === null || waitsFor.processId === reported) return;
			reported = waitsFor.processId;
			logger.info(
				about(build),
				`index "${build.indexName}" waits for ${describeBlocker(waitsFor)}`,
			);
		};
		const timer = setInterval(() => {
			looking = looking.then(look).catch(() => {
				// The build itself reports what is wrong.
			});
		}, progressEveryMs);
		timer.unref();
		return {
			end: async () => {
				clearInterval(timer);
				await looking;
			},
		};
	}
}

const diedSilently =
	"each of its builders ended without an error, or the server did";

function about({ tableName, indexName }: QueuedBuild) {
	return { tableName, indexName };
}

/** A root span: the call that queued the index has returned. */
function spanOf({ tableName, indexType }: QueuedBuild) {
	return {
		attributes: {
			...databaseAttributes("index.buildOne", tableName),
			"remdb.index.type": indexType,
		},
		root: true,
	};
}
