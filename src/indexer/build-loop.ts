import type { Database } from "../db/database.ts";
import { outsideTransactions } from "../db/open-transaction.ts";
import { RemError } from "../errors.ts";
import type { DeclaredIndex } from "../schema/index-types.ts";
import { backoffMs } from "../util/backoff.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";
import { indexFailed, leftToOwner } from "./build-failure.ts";
import type { TableBuilderOptions } from "./build-memory.ts";
import type { QueuedBuild } from "./build-queue.ts";
import type { Declaration } from "./declared-indexes.ts";
import { TableBuilder } from "./table-builder.ts";

/** What there is to build, and what the models ask for. */
export interface IndexerView extends Declaration {
	readonly queue: readonly QueuedBuild[];
}

/** What this process can build and no other does. */
export function openBuilds(view: IndexerView): QueuedBuild[] {
	return queuedBuilds(view).filter(({ leftTo }) => leftTo === null);
}

/** What the models ask for and is in the queue, also what only another role may build. */
export function queuedBuilds({ queue, possible }: IndexerView): QueuedBuild[] {
	const names = new Set(possible.map(({ name }) => name));
	return queue.filter(
		({ state, indexName }) =>
			(state === "queued" || state === "building") && names.has(indexName),
	);
}

// How soon another process's progress is read, and how often an idle one looks.
const elsewhereMs = 1000;
const idleMs = 30_000;
// Until a build that this role was not permitted is tried again: rights may have been granted.
const refusedMs = 300_000;
// Pauses while the server cannot be reached: half a minute in all.
const unreachable = { firstMs: 500, maxMs: 15_000, jitter: 0 };
const maxUnreachable = 6;

/** Builds what is queued: a few tables at a time, each by a {@link TableBuilder}. */
export class BuildLoop {
	readonly #db: Database;
	readonly #look: () => Promise<IndexerView>;
	readonly #options: TableBuilderOptions;
	readonly #builders = new Set<TableBuilder>();
	/** Those of all indexers of the process. */
	readonly #all: Set<object>;
	readonly #changed = new Signal();
	/** Builds that this role was not permitted, by index. */
	readonly #refused = new ExpiringCache<RemError>({ maxAgeMs: refusedMs });
	/** Why the last builder failed. */
	#problem: unknown;
	/** Builders that failed in a row. */
	#failures = 0;
	#work: Promise<void> | undefined;
	#run: Promise<void> | undefined;
	#isStopping = false;

	constructor(
		db: Database,
		look: () => Promise<IndexerView>,
		options: TableBuilderOptions,
	) {
		this.#db = db;
		this.#look = look;
		this.#options = options;
		this.#all = options.building ?? this.#builders;
	}

	get isWorking(): boolean {
		return this.#work !== undefined;
	}

	get isStopping(): boolean {
		return this.#isStopping;
	}

	/** Whether this process works on the table. */
	isBuildingOn(tableName: string): boolean {
		return [...this.#builders].some((one) => one.tableName === tableName);
	}

	/** Something was queued. */
	notify(): void {
		this.#changed.raise();
	}

	/** Until `stop()`. */
	run(): Promise<void> {
		this.#isStopping = false;
		this.#run ??= this.#runOn().finally(() => {
			this.#run = undefined;
		});
		return this.#run;
	}

	async stop(waitMs: number): Promise<void> {
		this.#isStopping = true;
		for (const builder of this.#builders) builder.stop();
		this.#changed.raise();
		const ended = Promise.allSettled([this.#work, this.#run]);
		if (this.#db.capabilities.kind === "server") {
			const isOver = await within(waitMs, ended);
			if (!isOver)
				await Promise.all([...this.#builders].map((one) => one.detach()));
		}
		await ended;
	}

	/** Waits until each is built, here or elsewhere, or has failed for good. */
	async settle(names: readonly string[]): Promise<void> {
		const waited = new Set(names);
		this.#isStopping = false;
		for (;;) {
			const work = this.start();
			const queue = await this.#queueIfReachable();
			const open = queue?.filter(
				({ indexName, state }) =>
					waited.has(indexName) && (state === "queued" || state === "building"),
			);
			const refusals = open?.flatMap((build) => this.#refusal(build) ?? []);
			// What another role has to build is not waited for, unless it is building it.
			if (queue !== undefined && open?.length === refusals?.length)
				return throwFailed(queue, waited, refusals);
			if (this.#isStopping)
				throw new RemError("CANCELLED", "the indexer was stopped");
			await Promise.race([work, this.#changed.wait(elsewhereMs)]);
		}
	}

	/** Why this process does not build it. */
	#refusal({
		indexName,
		tableName,
		isLocked,
		leftTo,
	}: QueuedBuild): RemError | undefined {
		if (isLocked) return undefined;
		if (leftTo !== null)
			return leftToOwner({ name: indexName, tableName }, leftTo);
		return this.#refused.get(indexName);
	}

	/** While the server restarts, the work continues to try, and logs when it stops. */
	async #queueIfReachable(): Promise<readonly QueuedBuild[] | undefined> {
		try {
			return (await this.#look()).queue;
		} catch (error) {
			if (isUnreachable(error)) return undefined;
			throw error;
		}
	}

	/** Works until the queue has nothing left for this process. */
	start(): Promise<void> {
		if (this.#work === undefined) {
			this.#failures = 0;
			this.#work = outsideTransactions(() => this.#workOff()).finally(() => {
				this.#work = undefined;
				this.#changed.raise();
			});
			// The waiting callers get the error.
			this.#work.catch(() => {});
		}
		return this.#work;
	}

	async #runOn(): Promise<void> {
		while (!this.#isStopping) {
			await this.start().catch((error: unknown) => this.#warn(error));
			if (!this.#isStopping) await this.#changed.wait(idleMs);
		}
	}

	async #workOff(): Promise<void> {
		while (!this.#isStopping) {
			try {
				this.#throwProblem();
				const view = await this.#look();
				const open = openBuilds(view).filter(
					(build) => this.#refusal(build) === undefined,
				);
				this.#startBuilders(view.possible, open);
				if (open.length === 0 && this.#builders.size === 0) return;
				await this.#changed.wait(pauseMs(open));
			} catch (error) {
				// A server that restarts is back soon; another failure stays.
				const failures = this.#failures++;
				if (failures >= maxUnreachable || !isUnreachable(error)) throw error;
				await this.#changed.wait(backoffMs(failures, unreachable));
			}
		}
		while (this.#builders.size > 0) await this.#changed.wait(idleMs);
	}

	#throwProblem(): void {
		const problem = this.#problem;
		this.#problem = undefined;
		if (problem !== undefined) throw problem;
	}

	#startBuilders(
		possible: readonly DeclaredIndex[],
		open: readonly QueuedBuild[],
	): void {
		const busy = new Set([...this.#builders].map((one) => one.tableName));
		const { concurrency } = this.#options.settings;
		const maxBuilders =
			this.#db.capabilities.kind === "server" ? concurrency : 1;
		for (const { tableName, dueInMs, isLocked } of open) {
			if (this.#all.size >= maxBuilders) return;
			if (dueInMs > 0 || isLocked || busy.has(tableName)) continue;
			busy.add(tableName);
			this.#startBuilder(tableName, possible);
		}
	}

	#startBuilder(tableName: string, possible: readonly DeclaredIndex[]): void {
		const indexes = possible.filter((index) => index.tableName === tableName);
		const table = { tableName, indexes };
		const builder = new TableBuilder(this.#db, table, this.#options);
		this.#builders.add(builder);
		this.#all.add(builder);
		builder
			.work()
			.then(
				() => {
					this.#failures = 0;
					for (const [name, error] of builder.refused)
						this.#refused.set(name, error);
				},
				(error: unknown) => {
					this.#problem = error;
				},
			)
			.finally(() => {
				this.#builders.delete(builder);
				this.#all.delete(builder);
				this.#changed.raise();
			});
	}

	#warn(error: unknown): void {
		const message = error instanceof Error ? error.message : String(error);
		this.#options.logger.warn({}, `indexes are not built: ${message}`);
	}
}

/** Until the next one is due, at most a second: another process may have ended its own. */
function pauseMs(open: readonly QueuedBuild[]): number {
	const due = open.map(({ dueInMs }) => dueInMs).filter((ms) => ms > 0);
	return Math.min(elsewhereMs, ...due);
}

function isUnreachable(error: unknown): boolean {
	return (
		error instanceof RemError &&
		["CONNECTION_FAILED", "OUTCOME_UNKNOWN", "POOL_TIMEOUT"].includes(
			error.code,
		)
	);
}

function throwFailed(
	queue: readonly QueuedBuild[],
	waited: ReadonlySet<string>,
	refusals: readonly RemError[] = [],
): void {
	const failed = queue
		.filter(
			({ indexName, state }) => waited.has(indexName) && state === "failed",
		)
		.map(({ indexName, tableName, error, sqlState, attempts }) =>
			indexFailed(
				{ name: indexName, tableName },
				{ message: error ?? "", sqlState: sqlState ?? undefined },
				attempts,
			),
		);
	const errors = [...failed, ...refusals];
	const [first] = errors;
	if (first === undefined || errors.length === 1) {
		if (first !== undefined) throw first;
		return;
	}
	throw new RemError(
		"INDEX_FAILED",
		`${errors.length} indexes are not built; the first: ${first.message}`,
		{
			...(first.hint === undefined ? {} : { hint: first.hint }),
			...(first.sqlState === undefined ? {} : { sqlState: first.sqlState }),
			issues: errors.map(({ message }) => ({ message })),
		},
	);
}

/** Whether the work was over in time. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<false>((resolve) => {
		timer = setTimeout(() => resolve(false), ms);
	});
	try {
		return await Promise.race([work.then(() => true), late]);
	} finally {
		clearTimeout(timer);
	}
}

/** Something has changed: every waiting caller checks again. */
class Signal {
	#waiting = new Set<() => void>();

	raise(): void {
		const waiting = this.#waiting;
		this.#waiting = new Set();
		for (const resume of waiting) resume();
	}

	/** Until it is raised, at most so long; does not keep the process alive. */
	wait(ms: number): Promise<void> {
		return new Promise((resolve) => {
			const resume = () => {
				clearTimeout(timer);
				this.#waiting.delete(resume);
				resolve();
			};
			const timer = setTimeout(resume, ms);
			timer.unref();
			this.#waiting.add(resume);
		});
	}
}
