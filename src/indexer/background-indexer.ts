import type { Database } from "../db/database.ts";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import {
	type DeclaredIndex,
	type IndexType,
	indexTypes,
} from "../schema/declared-index.ts";
import type { HnswOptions } from "../schema/hnsw.ts";
import { quoted } from "../util/suggest.ts";
import { indexFailed } from "./build-failure.ts";
import { enqueue, type QueuedBuild, readQueue } from "./build-queue.ts";
import { TableBuilder } from "./build-worker.ts";
import {
	type Declaration,
	declareIndexes,
	serves,
} from "./declared-indexes.ts";
import { indexesThatPay } from "./index-need.ts";
import { compareIndexes } from "./index-state.ts";
import { type IndexStatus, readIndexStatus } from "./index-status.ts";
import type { IndexerSettings } from "./settings.ts";
import { Signal } from "./signal.ts";

/** Which indexes a call is about. */
export interface IndexRequest {
	/** A registered entity's table, the table of its vectors, or `kv_store`. */
	readonly tableName: string;
	readonly indexType: IndexType;
}

export interface IndexerStatus {
	/** Whether this process is building, or waiting to. */
	readonly running: boolean;
	/** Every index that should be there, and invalid ones that nobody asked for. */
	readonly indexes: readonly IndexStatus[];
}

export interface BackgroundIndexerOptions {
	readonly schema: string;
	readonly hnsw: HnswOptions;
	readonly settings: IndexerSettings;
	readonly logger: Logger;
	/** The registered entities. */
	readonly tables: () => readonly EntityTable[];
	/** Where the service's own vectors are. */
	readonly space: () => VectorSpace | undefined;
}

const elsewhereMs = 1000;
const idleMs = 30_000;
const unreachableMs = [500, 1000, 2000, 4000, 8000, 15_000];

/**
 * Builds indexes while the application writes: what is missing, what a crash
 * left invalid and what is declared otherwise by now. The queue is a table, so
 * it outlives every process, and any process that knows the model may build.
 */
export class BackgroundIndexer {
	readonly #db: Database;
	readonly #options: BackgroundIndexerOptions;
	readonly #spaces: VectorSpace[] = [];
	readonly #builders = new Set<TableBuilder>();
	readonly #changed = new Signal();
	readonly #newRows = new Map<string, number>();
	readonly #checks = new Set<Promise<void>>();
	/** Why the last builder gave up. */
	#problem: unknown;
	/** Builders that gave up in a row. */
	#failures = 0;
	#work: Promise<void> | undefined;
	#run: Promise<void> | undefined;
	#isStopping = false;

	constructor(db: Database, options: BackgroundIndexerOptions) {
		this.#db = db;
		this.#options = options;
	}

	/**
	 * Puts the table's indexes of that type into the queue, also those that had
	 * failed, and starts building unless BACKGROUND_INDEX__ENABLED is false.
	 * Throws `UNKNOWN_ENTITY`, `VALIDATION`, or `INDEX_FAILED` for one that can
	 * never be.
	 *
	 * @example
	 * await service.indexer.queueIndex({ tableName: "documents", indexType: "hnsw" })
	 */
	async queueIndex(request: IndexRequest): Promise<void> {
		await this.#enqueue(this.#requested(request), true);
		this.#startIfEnabled();
	}

	/** Builds the table's indexes of that type now; throws `INDEX_FAILED` saying why one is not built. */
	async build(request: IndexRequest): Promise<void> {
		const indexes = this.#requested(request);
		await this.#enqueue(indexes, true);
		await this.#settle(indexes.map(({ name }) => name));
	}

	/** Builds whatever is queued, now and later, until `stop()`; resolves then. */
	run(): Promise<void> {
		this.#isStopping = false;
		this.#run ??= this.#runOn().finally(() => {
			this.#run = undefined;
		});
		return this.#run;
	}

	/**
	 * Begins nothing more, and waits for builds under way. On a server those that
	 * take longer than `waitMs` are left to it: it finishes them, and the next
	 * run finds them done. Nothing is cancelled.
	 */
	async stop({ waitMs = 10_000 }: { waitMs?: number } = {}): Promise<void> {
		this.#isStopping = true;
		for (const builder of this.#builders) builder.stop();
		this.#changed.raise();
		const ended = Promise.allSettled([this.#work, this.#run, ...this.#checks]);
		if (this.#db.capabilities.kind === "server") {
			const isOver = await within(waitMs, ended);
			if (!isOver)
				await Promise.all([...this.#builders].map((one) => one.letGo()));
		}
		await ended;
	}

	/** Builds what is queued now, waiting for second attempts; throws `INDEX_FAILED` for those that failed for good. */
	async drain(): Promise<void> {
		const queue = await readQueue(this.#db, this.#options.schema);
		await this.#settle(this.#open(queue).map(({ indexName }) => indexName));
	}

	/** Every index that should be there: its state, size, progress, and what it waits for. */
	async status(): Promise<IndexerStatus> {
		const queue = await readQueue(this.#db, this.#options.schema);
		return {
			running: this.#work !== undefined,
			indexes: await readIndexStatus(
				this.#db,
				this.#options.schema,
				this.#declaration(queue),
				queue,
				this.#options.settings.minRows,
			),
		};
	}

	/**
	 * Queues what is invalid, changed, or failed before. With `missing`, also what
	 * is not there yet, however small its table, as long as it is not empty.
	 * Returns the names.
	 */
	async repair({
		missing = false,
	}: {
		missing?: boolean;
	} = {}): Promise<string[]> {
		const queue = await readQueue(this.#db, this.#options.schema);
		const failed = new Set(
			this.#ofState(queue, "failed").map(({ indexName }) => indexName),
		);
		const { possible } = this.#declaration(queue);
		const work = await this.#workOf(possible, missing ? 1 : undefined);
		const all = possible.filter(
			(index) => failed.has(index.name) || work.includes(index),
		);
		await this.#enqueue(all, true);
		return all.map(({ name }) => name);
	}

	/**
	 * Looks in the background for what is missing where it pays, invalid or
	 * changed, of one table or of all, and builds it.
	 */
	check(table?: EntityTable): void {
		if (!this.#options.settings.enabled || this.#isStopping) return;
		const check = this.#checkNow(table)
			// On a standby, or before the first migration, indexes are somebody else's.
			.catch((error: unknown) => this.#warn("indexes are not checked", error))
			.finally(() => this.#checks.delete(check));
		this.#checks.add(check);
	}

	/** Rows or vectors were added: now and then, it is looked whether an index pays. */
	noteRows(table: EntityTable, space: VectorSpace | undefined, rows: number) {
		if (space !== undefined) this.#remember(space);
		const { tableName } = table.entity;
		const seen = (this.#newRows.get(tableName) ?? 0) + rows;
		const isEnough = seen >= Math.ceil(this.#options.settings.minRows / 4);
		this.#newRows.set(tableName, isEnough ? 0 : seen);
		if (isEnough) this.check(table);
	}

	async #checkNow(table: EntityTable | undefined): Promise<void> {
		const queue = await readQueue(this.#db, this.#options.schema);
		const { possible } = declareIndexes(
			table === undefined ? this.#options.tables() : [table],
			this.#knownSpaces(queue),
			this.#options.hnsw,
		);
		const { minRows } = this.#options.settings;
		const work = await this.#workOf(possible, minRows);
		await this.#enqueue(work, false);
		if (work.length > 0 || this.#open(queue).length > 0) this.#startIfEnabled();
	}

	/** What is invalid or changed; and what is missing, where it would have that many rows. */
	async #workOf(
		declared: readonly DeclaredIndex[],
		minRows: number | undefined,
	): Promise<DeclaredIndex[]> {
		const { schema } = this.#options;
		const { compared } = await compareIndexes(this.#db, schema, declared);
		const of = (...states: string[]) =>
			compared
				.filter(({ state }) => states.includes(state))
				.map((found) => found.declared);
		if (minRows === undefined) return of("invalid", "changed");
		const paying = await indexesThatPay(
			this.#db,
			schema,
			of("missing"),
			minRows,
		);
		return [...of("invalid", "changed"), ...paying];
	}

	async #enqueue(
		indexes: readonly DeclaredIndex[],
		again: boolean,
	): Promise<void> {
		await enqueue(this.#db, this.#options.schema, indexes, { again });
		this.#changed.raise();
	}

	#requested({ tableName, indexType }: IndexRequest): DeclaredIndex[] {
		if (!indexTypes.includes(indexType))
			throw new RemError(
				"VALIDATION",
				`unknown index type ${quoted(String(indexType))}`,
				{ hint: `expected one of ${indexTypes.join(", ")}` },
			);
		const tables = this.#options.tables();
		const table = tables.find(({ entity }) => entity.tableName === tableName);
		const isMeant = (index: DeclaredIndex) =>
			index.indexType === indexType && serves(index, tableName, table);
		const { possible, impossible } = this.#declaration([]);
		const refused = impossible.find(([index]) => isMeant(index));
		if (refused !== undefined)
			throw indexFailed(
				refused[0],
				{ message: refused[1], sqlState: "54000" },
				0,
			);
		const found = possible.filter(isMeant);
		if (found.length > 0) return found;
		throw new RemError(
			table === undefined ? "UNKNOWN_ENTITY" : "VALIDATION",
			table === undefined
				? `unknown entity ${quoted(String(tableName))}`
				: `"${tableName}" has no index of type ${indexType}`,
			{ hint: "`rem index status` lists the indexes of every table" },
		);
	}

	/** All that can be declared, also in spaces that another process has queued. */
	#declaration(queue: readonly QueuedBuild[]): Declaration {
		return declareIndexes(
			this.#options.tables(),
			this.#knownSpaces(queue),
			this.#options.hnsw,
		);
	}

	#knownSpaces(queue: readonly QueuedBuild[]): VectorSpace[] {
		return [...this.#ownSpaces(), ...queue.flatMap(({ space }) => space ?? [])];
	}

	#ownSpaces(): VectorSpace[] {
		const space = this.#options.space();
		return space === undefined ? this.#spaces : [space, ...this.#spaces];
	}

	#remember(space: VectorSpace): void {
		const isKnown = this.#ownSpaces().some(
			(known) =>
				known.provider === space.provider &&
				known.model === space.model &&
				known.dimensions === space.dimensions,
		);
		if (!isKnown) this.#spaces.push(space);
	}

	/** What this process can build and nobody has yet. */
	#open(queue: readonly QueuedBuild[]): QueuedBuild[] {
		return this.#ofState(queue, "queued", "building");
	}

	#ofState(
		queue: readonly QueuedBuild[],
		...states: readonly QueuedBuild["state"][]
	): QueuedBuild[] {
		const { possible } = this.#declaration(queue);
		const names = new Set(possible.map(({ name }) => name));
		return queue.filter(
			({ state, indexName }) => states.includes(state) && names.has(indexName),
		);
	}

	/** Waits until each is built, here or elsewhere, or has failed for good. */
	async #settle(names: readonly string[]): Promise<void> {
		const waited = new Set(names);
		this.#isStopping = false;
		// What is done in the background does not keep the process alive; who waits for it does.
		const alive = setInterval(() => {}, idleMs);
		try {
			for (;;) {
				const work = this.#start();
				const queue = await readQueue(this.#db, this.#options.schema);
				const left = queue.filter(
					({ indexName, state }) =>
						waited.has(indexName) &&
						(state === "queued" || state === "building"),
				);
				if (left.length === 0) return throwFailed(queue, waited);
				if (this.#isStopping)
					throw new RemError("CANCELLED", "the indexer was stopped");
				await Promise.race([work, this.#changed.wait(elsewhereMs)]);
			}
		} finally {
			clearInterval(alive);
		}
	}

	#startIfEnabled(): void {
		if (!this.#options.settings.enabled || this.#isStopping) return;
		this.#start().catch((error: unknown) =>
			this.#warn("indexes are not built", error),
		);
	}

	/** Works until the queue has nothing left for this process. */
	#start(): Promise<void> {
		if (this.#work === undefined) {
			this.#failures = 0;
			this.#work = this.#workOff().finally(() => {
				this.#work = undefined;
				this.#changed.raise();
			});
			// Whoever waits for it is told.
			this.#work.catch(() => {});
		}
		return this.#work;
	}

	async #runOn(): Promise<void> {
		while (!this.#isStopping) {
			await this.#start().catch((error: unknown) =>
				this.#warn("indexes are not built", error),
			);
			if (!this.#isStopping) await this.#changed.wait(idleMs);
		}
	}

	async #workOff(): Promise<void> {
		while (!this.#isStopping) {
			try {
				this.#throwProblem();
				const queue = await readQueue(this.#db, this.#options.schema);
				const open = this.#open(queue);
				this.#startBuilders(queue, open);
				if (open.length === 0 && this.#builders.size === 0) return;
				await this.#changed.wait(pauseMs(open));
			} catch (error) {
				// A server that restarts is back in a while; another mistake stays.
				const pause = unreachableMs[this.#failures++];
				if (pause === undefined || !isUnreachable(error)) throw error;
				await this.#changed.wait(pause);
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
		queue: readonly QueuedBuild[],
		open: readonly QueuedBuild[],
	): void {
		const busy = new Set([...this.#builders].map((one) => one.tableName));
		const { concurrency } = this.#options.settings;
		const most = this.#db.capabilities.kind === "server" ? concurrency : 1;
		for (const { tableName, dueInMs, isLocked } of open) {
			if (this.#builders.size >= most) return;
			if (dueInMs > 0 || isLocked || busy.has(tableName)) continue;
			busy.add(tableName);
			this.#startBuilder(tableName, queue);
		}
	}

	#startBuilder(tableName: string, queue: readonly QueuedBuild[]): void {
		const builder = new TableBuilder(
			this.#db,
			tableName,
			(build) =>
				this.#declaration([...queue, build]).possible.find(
					({ name }) => name === build.indexName,
				),
			this.#options,
		);
		this.#builders.add(builder);
		builder
			.work()
			.then(
				() => {
					this.#failures = 0;
				},
				(error: unknown) => {
					this.#problem = error;
				},
			)
			.finally(() => {
				this.#builders.delete(builder);
				this.#changed.raise();
			});
	}

	#warn(what: string, error: unknown): void {
		if (this.#isStopping) return;
		const message = error instanceof Error ? error.message : String(error);
		this.#options.logger.warn(`${what}: ${message}`);
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
): void {
	const errors = queue
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
