import { optional, optionalOptions, options } from "../calls/arguments.ts";
import { async, publicMethods, sync, traced } from "../calls/public-methods.ts";
import { type Database, limited } from "../db/database.ts";
import {
	outsideTransactions,
	refuseInsideTransaction,
} from "../db/open-transaction.ts";
import { RemError } from "../errors.ts";
import {
	anyText,
	flag,
	longestWaitMs,
	oneOf,
	record,
	wholeNumber,
} from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import { isSameSpace, type VectorSpace } from "../models/vector.ts";
import {
	type DeclaredIndex,
	definitionOf,
	type IndexType,
	indexTypeNames,
} from "../schema/index-types.ts";
import { quoted } from "../util/suggest.ts";
import { indexFailed, judgeFailure } from "./build-failure.ts";
import { isLeftover } from "./build-index.ts";
import {
	BuildLoop,
	type IndexerView,
	openBuilds,
	queuedBuilds,
} from "./build-loop.ts";
import type { TableBuilderOptions } from "./build-memory.ts";
import { enqueue, readQueue } from "./build-queue.ts";
import { BulkLoad } from "./bulk-load.ts";
import {
	declareIndexes,
	readVectorSpaces,
	serves,
	spacesOf,
} from "./declared-indexes.ts";
import { fillWords } from "./fill-words.ts";
import { indexesThatPay } from "./index-need.ts";
import { readIndexStates } from "./index-state.ts";
import { type IndexStatus, readIndexStatus } from "./index-status.ts";
import { LoadWatch } from "./load-watch.ts";

/** Which indexes a call is about. */
export interface IndexRequest {
	/** A registered entity's table, the table of its vectors, or `kv_store`. */
	readonly tableName: string;
	readonly indexType: IndexType;
}

export interface IndexerStatus {
	/** Whether this process is building, or waiting to. */
	readonly running: boolean;
	/** Every index that should be there, and invalid ones that no model declares. */
	readonly indexes: readonly IndexStatus[];
}

export interface BackgroundIndexerOptions extends TableBuilderOptions {
	/** The registered entities. */
	readonly tables: () => readonly EntityTable[];
	/** Where the service's own vectors are. */
	readonly space: () => VectorSpace | undefined;
	/** The error with what differs from the models, where something does. */
	readonly explain: (error: unknown) => Promise<unknown>;
}

export const indexRequest: OptionChecks<IndexRequest> = {
	tableName: required(anyText),
	indexType: required(oneOf(...indexTypeNames)),
};

const readOnly = "25006";
const cacheTable = "kv_store";

/**
 * Builds indexes while the application writes: what is missing, what a crash
 * left invalid and what is declared otherwise by now. The queue is a table, so
 * it outlives every process, and any process that knows the model may build.
 */
export class BackgroundIndexer {
	readonly #db: Database;
	/** For what looks and does not build. */
	readonly #limited: Database;
	readonly #options: BackgroundIndexerOptions;
	readonly #loop: BuildLoop;
	readonly #usedSpaces = new Map<string, VectorSpace[]>();
	readonly #checks = new Set<Promise<void>>();
	readonly #loads: LoadWatch;
	/** Tables of vectors that are loaded without their index: how many loads. */
	readonly #loading = new Map<string, number>();

	/** @internal */
	constructor(db: Database, options: BackgroundIndexerOptions) {
		this.#db = db;
		this.#limited = limited(db);
		this.#options = options;
		this.#loads = new LoadWatch(
			Math.ceil(options.settings.minRows / 4),
			(table) => this.check(table),
		);
		// What builds in the background waits for tables that are locked.
		this.#loop = new BuildLoop(db, () => this.#look({ db }), options);
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
	queueIndex(request: IndexRequest): Promise<void> {
		return this.#explained(async () => {
			await this.#enqueue(await this.#requested(request), true);
			this.#startIfEnabled();
		});
	}

	/** Builds the table's indexes of that type now; throws `INDEX_FAILED` with the reason why one is not built. */
	build(request: IndexRequest): Promise<void> {
		return this.#explained(async () => {
			const indexes = await this.#requested(request);
			await this.#enqueue(indexes, true);
			await this.#loop.settle(indexes.map(({ name }) => name));
		});
	}

	/** Builds whatever is queued, now and later, until `stop()`; resolves then. */
	run(): Promise<void> {
		return this.#explained(async () => {
			refuseInsideTransaction(this.#db);
			await this.#loop.run();
		});
	}

	/** @internal Builds what is queued, once. */
	workOff(): Promise<void> {
		return this.#loop.start();
	}

	/**
	 * Begins nothing more, and waits for builds under way. On a server those that
	 * take longer than `waitMs` are left to it: it finishes them, and the next
	 * run finds them done. Nothing is cancelled.
	 */
	async stop({ waitMs = 10_000 }: { waitMs?: number } = {}): Promise<void> {
		refuseInsideTransaction(this.#db);
		await this.#loop.stop(waitMs);
		await Promise.allSettled(this.#checks);
		await this.#queueAfterLoads();
	}

	/**
	 * Builds what is queued now and what rows written so far need, waiting for
	 * second attempts. Throws `INDEX_FAILED` for those that failed for good, and
	 * for those that only the owner of their table may build.
	 */
	drain(): Promise<void> {
		return this.#explained(async () => {
			// What was loaded last is checked now: nothing of it is queued later.
			await this.#queueAfterLoads();
			await Promise.allSettled(this.#checks);
			await this.#fillWords();
			const open = queuedBuilds(await this.#look());
			await this.#loop.settle(open.map(({ indexName }) => indexName));
		});
	}

	/** Every index that should be there: its state, size, progress, and what it waits for. */
	status(): Promise<IndexerStatus> {
		const { schema, settings } = this.#options;
		return this.#explained(async () => ({
			running: this.#loop.isWorking,
			indexes: await readIndexStatus(this.#limited, await this.#look(), {
				schema,
				minRows: settings.minRows,
				explain: this.#options.explain,
			}),
		}));
	}

	/**
	 * Queues what is invalid, changed, or failed before. With `missing`, also what
	 * is not there yet, however small its table, as long as it is not empty.
	 * Returns the names.
	 */
	repair(options: { missing?: boolean } = {}): Promise<string[]> {
		return this.#explained(() => this.#repair(options));
	}

	async #repair({ missing = false }: { missing?: boolean }): Promise<string[]> {
		const { queue, possible } = await this.#look();
		const failed = new Set(
			queue.flatMap(({ indexName, state }) =>
				state === "failed" ? indexName : [],
			),
		);
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
		this.checkAfter(Promise.resolve(), table);
	}

	/** @internal The same, once `turn` has ended; resolves when it is checked. {@link drain} and {@link stop} wait for it from now on. */
	checkAfter(turn: Promise<void>, table?: EntityTable): Promise<void> {
		if (!this.#options.settings.enabled || this.#loop.isStopping) return turn;
		const check = outsideTransactions(async () => {
			await turn;
			if (!this.#loop.isStopping) await this.#checkNow(table);
		})
			// On a standby, or before the first migration, another server or process builds indexes.
			.catch(async (error: unknown) =>
				this.#warn(
					"indexes are not checked",
					await this.#options.explain(error),
				),
			)
			.finally(() => this.#checks.delete(check));
		this.#checks.add(check);
		return check;
	}

	/**
	 * @internal
	 * Rows or vectors were added: after some, and once the load is over, it is
	 * checked whether an index pays. With an index during it the rest of the load
	 * would be 20 times slower.
	 */
	noteRows(table: EntityTable, space: VectorSpace | undefined, rows: number) {
		if (space !== undefined) this.#remember(table, space);
		if (this.#options.settings.enabled) this.#loads.note(table, rows);
	}

	/**
	 * @internal
	 * A load that may drop the table's HNSW indexes where it is large against
	 * them; they are built again when it has ended.
	 */
	bulkLoad(
		table: EntityTable,
		space: VectorSpace | undefined,
		isAutomatic: boolean,
	): BulkLoad | undefined {
		const { hnsw, settings } = this.#options;
		if (isAutomatic && !settings.enabled) return undefined;
		const { possible } = declareIndexes(
			[table],
			() => (space === undefined ? [] : [space]),
			hnsw,
		);
		const indexes = possible.filter(
			(index) => definitionOf(index).vectors !== undefined,
		);
		const { embeddingsTableName } = table.entity;
		return this.#openLoad(embeddingsTableName, { isAutomatic, indexes });
	}

	/**
	 * @internal
	 * Before the cache is filled: what FUZZY searches contents by would take seven
	 * times as long as the rest. Those indexes are dropped, and built again once
	 * what is returned is called. Where no indexer runs they stay.
	 */
	async dropCacheIndexes(): Promise<() => Promise<void>> {
		const { hnsw, settings, tables } = this.#options;
		if (!settings.enabled) return async () => {};
		const { possible } = declareIndexes(tables(), () => [], hnsw);
		const load = this.#openLoad(cacheTable, {
			isAutomatic: true,
			indexes: possible.filter(({ tableName }) => tableName === cacheTable),
		});
		await load.dropIndexesToFill();
		return () => load.end();
	}

	#explained<T>(work: () => Promise<T>): Promise<T> {
		return work().catch(async (error: unknown) => {
			throw await this.#options.explain(error);
		});
	}

	#openLoad(
		tableName: string,
		load: {
			readonly isAutomatic: boolean;
			readonly indexes: readonly DeclaredIndex[];
		},
	): BulkLoad {
		const { schema, logger, settings } = this.#options;
		return new BulkLoad(this.#db, tableName, {
			...load,
			schema,
			logger,
			minRows: settings.minRows,
			enqueue: (indexes) => this.#enqueue(indexes, true),
			blockBuilders: () => this.#blockBuilders(tableName),
			releaseBuilders: () => this.#releaseBuilders(tableName),
		});
	}

	#blockBuilders(tableName: string): boolean {
		if (this.#loop.isBuildingOn(tableName)) return false;
		this.#loading.set(tableName, (this.#loading.get(tableName) ?? 0) + 1);
		return true;
	}

	#releaseBuilders(tableName: string): void {
		const loads = (this.#loading.get(tableName) ?? 0) - 1;
		if (loads > 0) this.#loading.set(tableName, loads);
		else this.#loading.delete(tableName);
		this.#loop.notify();
		this.#startIfEnabled();
	}

	/** What was loaded last goes into the queue, for the next run of any process. */
	#queueAfterLoads(): Promise<void> {
		return this.#loads.end((table) =>
			this.#checkNow(table).catch(() => {
				// The next migration looks again.
			}),
		);
	}

	/** Rows that were there before their triggers get their words. */
	async #fillWords(tables = this.#options.tables()): Promise<void> {
		const hasFilled = await fillWords(
			this.#db,
			tables,
			() => this.#loop.isStopping,
		);
		if (!hasFilled) return;
		this.#options.onBuilt();
		this.#options.logger.info({}, "the words of existing rows are stored");
	}

	async #checkNow(table: EntityTable | undefined): Promise<void> {
		await this.#fillWords(table && [table]);
		const view = await this.#look({ table });
		const { minRows } = this.#options.settings;
		const wanted = view.possible.filter((index) => !this.#stopsAllElse(index));
		const work = await this.#workOf(wanted, minRows);
		await this.#enqueue(work, false);
		if (work.length > 0 || openBuilds(view).length > 0) this.#startIfEnabled();
	}

	/** On the embedded database's only connection a graph of 5,000 vectors stops all else for half a minute: that must be asked for. */
	#stopsAllElse(index: DeclaredIndex): boolean {
		return (
			definitionOf(index).vectors !== undefined &&
			this.#db.capabilities.kind === "embedded"
		);
	}

	/** What is invalid or changed; and what is missing, where it would have that many rows. */
	async #workOf(
		declared: readonly DeclaredIndex[],
		minRows: number | undefined,
	): Promise<DeclaredIndex[]> {
		const { schema } = this.#options;
		const { compared, others } = await readIndexStates(
			this.#limited,
			schema,
			declared,
		);
		const missing = compared.filter(({ state }) => state === "missing");
		const broken = compared.filter(
			({ state, declared: { name } }) =>
				state === "invalid" ||
				state === "changed" ||
				others.some((other) => isLeftover(name, other.name, other.isValid)),
		);
		const found = broken.map((index) => index.declared);
		if (minRows === undefined) return found;
		const names = missing.map((index) => index.declared);
		const paying = await indexesThatPay(this.#limited, names, {
			schema,
			minRows,
		});
		return [...found, ...paying.filter((index) => !found.includes(index))];
	}

	async #enqueue(
		indexes: readonly DeclaredIndex[],
		again: boolean,
	): Promise<void> {
		try {
			await enqueue(this.#db, this.#options.schema, { indexes, again });
		} catch (error) {
			const failure = judgeFailure(error);
			const [first] = indexes;
			if (failure.sqlState !== readOnly || first === undefined) throw error;
			throw indexFailed(first, failure, 0);
		}
		this.#loop.notify();
	}

	async #requested({
		tableName,
		indexType,
	}: IndexRequest): Promise<DeclaredIndex[]> {
		if (!indexTypeNames.includes(indexType))
			throw new RemError(
				"VALIDATION",
				`unknown index type ${quoted(String(indexType))}`,
				{ hint: `expected one of ${indexTypeNames.join(", ")}` },
			);
		const tables = this.#options.tables();
		const table = tables.find(({ entity }) => entity.tableName === tableName);
		const isMeant = (index: DeclaredIndex) =>
			index.indexType === indexType && serves(index, tableName, table);
		const { possible, impossible } = await this.#look();
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

	/** The queue, and all that the models ask for, of one entity or of all. */
	async #look({
		table,
		db = this.#limited,
	}: {
		readonly table?: EntityTable | undefined;
		readonly db?: Database;
	} = {}): Promise<IndexerView> {
		const { schema, hnsw, tables, space } = this.#options;
		const queue = (await readQueue(db, schema)).map((build) => ({
			...build,
			isLocked: build.isLocked || this.#loading.has(build.tableName),
		}));
		const known = {
			written: await readVectorSpaces(db, schema),
			usual: space(),
			used: this.#usedSpaces,
			queue,
		};
		const declaration = declareIndexes(
			table === undefined ? tables() : [table],
			(entity) => spacesOf(entity, known),
			hnsw,
		);
		return { queue, ...declaration };
	}

	#remember({ entity }: EntityTable, space: VectorSpace): void {
		const used = this.#usedSpaces.get(entity.tableName) ?? [];
		const isKnown = used.some((one) => isSameSpace(one, space));
		if (!isKnown) this.#usedSpaces.set(entity.tableName, [...used, space]);
	}

	#startIfEnabled(): void {
		if (!this.#options.settings.enabled || this.#loop.isStopping) return;
		this.#loop
			.start()
			.catch((error: unknown) => this.#warn("indexes are not built", error));
	}

	#warn(problem: string, error: unknown): void {
		if (this.#loop.isStopping) return;
		const message = error instanceof Error ? error.message : String(error);
		this.#options.logger.warn({}, `${problem}: ${message}`);
	}
}

publicMethods<BackgroundIndexer>()(
	BackgroundIndexer,
	{
		queueIndex: async(options(indexRequest)),
		build: traced(async(options(indexRequest)), { operation: "index.build" }),
		run: async(),
		stop: async(
			optionalOptions<{ waitMs?: number }>({
				waitMs: wholeNumber(0, longestWaitMs),
			}),
		),
		drain: async(),
		status: async(),
		repair: async(optionalOptions<{ missing?: boolean }>({ missing: flag })),
		check: sync(optional("table", record)),
	},
	["noteRows", "bulkLoad", "dropCacheIndexes", "workOff", "checkAfter"],
);
