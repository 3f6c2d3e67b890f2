/// <reference lib="esnext.disposable" preserve="true" />

import {
	argument,
	optional,
	optionalOptions,
	optionalOptionsOf,
	options,
} from "../calls/arguments.ts";
import {
	async,
	publicMethods,
	rowsReturned,
	sync,
	traced,
} from "../calls/public-methods.ts";
import type { Embeddings } from "../core/embeddings.ts";
import type { SchemaLifecycle } from "../core/schema-lifecycle.ts";
import { ServiceCore } from "../core/service-core.ts";
import type { CitusNodes } from "../db/citus-nodes.ts";
import type {
	Capabilities,
	Database,
	DatabaseActivity,
	Handle,
	Result,
	TransactionOptions,
} from "../db/database.ts";
import { openEmbedded } from "../db/embedded.ts";
import {
	handleOfDatabase,
	insideTransaction,
	refuseInsideTransaction,
} from "../db/open-transaction.ts";
import { transactionTable } from "../db/options.ts";
import type { Replica } from "../db/replica.ts";
import { openNodes, openReplica, openServer } from "../db/server.ts";
import type { DoctorOptions } from "../doctor/check.ts";
import { type DoctorReport, examine } from "../doctor/doctor.ts";
import { asRemError, RemError, reading } from "../errors.ts";
import {
	type BackgroundIndexer,
	type IndexRequest,
	indexRequest,
} from "../indexer/background-indexer.ts";
import type { IsolationReport } from "../isolation/check-isolation.ts";
import type { KvCache } from "../kv/kv-cache.ts";
import {
	type MigrateOptions,
	type MigrateResult,
	migrateChecks,
} from "../migrate/migrate.ts";
import { callback, listOf, text } from "../models/checks.ts";
import { coreEntities } from "../models/core-entities.ts";
import { type Entity, model } from "../models/entity.ts";
import { checkDefinition, type Registry } from "../models/registry.ts";
import { findLanguage } from "../query/text-language.ts";
import type { ConnectOptions } from "../settings/connect-options.ts";
import { loadSettings, type Settings } from "../settings/settings.ts";
import type { SqlValue } from "../sql.ts";
import { preloadSqlGrammar } from "../sql-grammar.ts";
import type { ForgetOptions, ForgetReport } from "../store/forget-rows.ts";
import { loadTelemetry } from "../telemetry/api.ts";
import { observeQueues } from "../telemetry/metrics.ts";
import { keepAlive } from "../util/keep-alive.ts";
import { quoted } from "../util/suggest.ts";
import { type BoundScope, scopeChecks } from "../verbs/bound-scope.ts";
import { type Models, tableOfCall } from "../verbs/call-options.ts";
import { VerbMethods } from "../verbs/verb-methods.ts";
import type { Verbs } from "../verbs/verbs.ts";
import {
	figuresOfQueues,
	forgetChecks,
	forgetIn,
	lookAround,
	migrateCore,
	openCore,
	tryIsolation,
} from "./open-core.ts";
import { Placement } from "./placement.ts";
import { type AnyService, Repository } from "./repository.ts";
import { openScope, type ServiceScope } from "./scope.ts";

type CoreModels = typeof coreEntities;

/**
 * A database of entities, their vectors and the cache of their names.
 *
 * @example
 * const service = await PostgresService.connect({ connectionString: "memory:" })
 * await service.migrate()
 * await service.batchUpsert({ tableName: "resources", entities: [{ name: "doc-1", content: "…" }] })
 * await service.lookupEntity({ entityKey: "doc-1" })
 */
export class PostgresService<
	const M extends Models = CoreModels,
> extends VerbMethods<M> {
	/** @internal what repositories share with the service */
	readonly core: ServiceCore;
	readonly #replica: Replica | undefined;
	readonly #placement: Placement;
	#stopObserving = () => {};
	#stopPreloading = () => {};

	private constructor(core: ServiceCore, replica: Replica | undefined) {
		super(connected(core));
		this.core = core;
		this.#replica = replica;
		this.#placement = new Placement(this.core);
	}

	/**
	 * Opens the database and checks that it supports what we build. Throws
	 * `CONFIG_INVALID`, `CONNECTION_FAILED`, `SERVER_UNSUPPORTED`,
	 * `EXTENSION_MISSING` or `EMBEDDED_LOCKED`.
	 */
	static connect<const M extends Models = CoreModels>(
		options: ConnectOptions<M> = {},
	): Promise<PostgresService<M>> {
		return keepAlive(
			PostgresService.#connect(options).catch((error: unknown) => {
				throw asRemError(error, "connect");
			}),
		);
	}

	static async #connect<const M extends Models>(
		options: ConnectOptions<M>,
	): Promise<PostgresService<M>> {
		await loadTelemetry();
		const given = await loadSettings(options);
		const { language } = given;
		const models = options.models ?? coreEntities;
		models.forEach(checkDefinition);
		const db = await openDatabase(given);
		const replica = openReader(db, given);
		try {
			await checkLanguage(db, language);
			const nodes = openDirect(db, given);
			const core = await openCore({
				db,
				replica,
				nodes,
				models,
				settings: given,
			});
			const service = new PostgresService<M>(core, replica);
			service.#stopPreloading = preloadSqlGrammar();
			// What is about all tenants is the owner's to look after.
			if (core.settings.rowLevelSecurity) return service;
			await lookAround(core);
			service.#stopObserving = observeQueues(() => figuresOfQueues(core));
			return service;
		} catch (error) {
			await replica?.close();
			await db.close();
			throw error;
		}
	}

	/** What the engine can do. */
	get capabilities(): Capabilities {
		return this.core.db.capabilities;
	}

	/** Connections of this process, and its slowest statements of late; of the primary, not of a replica. */
	get activity(): DatabaseActivity {
		return this.core.db.activity;
	}

	/** The entities this service knows. */
	get registry(): Registry {
		return this.core.registry;
	}

	/** The cache of names: its state, and its rebuild. */
	get kv(): KvCache {
		return this.core.kv;
	}

	/** Builds indexes in the background: its queue, and the state of every index. */
	get indexer(): BackgroundIndexer {
		return this.core.indexer;
	}

	/** The models against the database: differences, the files that were applied, what a migration would do. */
	get schema(): SchemaLifecycle {
		return this.core.schema;
	}

	/** The embedding providers, the queue of texts that wait for vectors, and changes of model. */
	get embeddings(): Embeddings {
		return this.core.embeddings;
	}

	/** The buckets that tenants are spread over: their contents, and the nodes that they are on. */
	get buckets(): Placement {
		return this.#placement;
	}

	/**
	 * The service for one tenant, and optionally one user. Hand this to code
	 * that must not reach further: another tenant in a call is `TENANT_MISMATCH`.
	 *
	 * @example
	 * const acme = service.scope({ tenantId: "acme-corp", userId: "user123" })
	 * await acme.lookupEntity({ entityKey: "sarah-chen" })
	 */
	scope(scope: BoundScope): ServiceScope<M> {
		return openScope<M>(this, scope);
	}

	/** Simple reading and writing of one entity's rows. */
	repository<E extends M[number]>(entity: E): Repository<E> {
		return new Repository(entity, this);
	}

	/**
	 * Brings the database to the models. Safe to call again and from several
	 * processes. A change that would lose or rewrite something is `SCHEMA_DRIFT`;
	 * a table of that name that is not ours, `TABLE_CONFLICT`.
	 *
	 * Rows that the cache of names lacks afterwards are copied in the background;
	 * until then reads use the tables, and are complete. `kv.ensureReady()` waits for it.
	 */
	migrate(options: MigrateOptions = {}): Promise<MigrateResult> {
		return migrateCore(this.core, options);
	}

	/** Adds a model and brings the database to it. */
	async register(entity: Entity): Promise<MigrateResult> {
		const isKnown = this.registry.has(entity);
		this.registry.add(entity);
		try {
			return await this.migrate();
		} catch (error) {
			// Else every later migration would fail on it as well.
			if (!isKnown) this.registry.remove(entity);
			throw error;
		}
	}

	/**
	 * Builds the table's indexes of a type now, without stopping its writers;
	 * returns when they can be used. Throws `INDEX_FAILED` with the reason why one is not.
	 *
	 * @example
	 * await service.createIndexConcurrently({ tableName: "documents", indexType: "hnsw" })
	 */
	async createIndexConcurrently(request: IndexRequest): Promise<void> {
		await this.indexer.build(request);
	}

	/**
	 * Looks at everything that is known to go wrong: connection, versions, schema,
	 * migrations, the cache of names, indexes, embeddings, server settings. Each
	 * check is `ok`, `warning` or `failed`, with what was found and what to do.
	 * Changes nothing.
	 *
	 * @example
	 * const { state, checks } = await service.doctor()
	 * for (const { name, found, remedy } of checks) if (remedy) console.log(name, found, remedy)
	 */
	async doctor(options: DoctorOptions = {}): Promise<DoctorReport> {
		refuseInsideTransaction(this.core.db);
		return examine(this.core, options);
	}

	/**
	 * Tries whether tenants are isolated: a row of a made-up tenant in every
	 * table, and another one that looks for it through every read and write, and
	 * with row level security through SQL without any condition. Leaves nothing.
	 *
	 * @example
	 * const { library, database } = await service.checkIsolation()
	 * if (library.length + database.problems.length > 0) throw new Error("not apart")
	 */
	checkIsolation(): Promise<IsolationReport> {
		return tryIsolation(this.core);
	}

	/**
	 * Erases everything of a tenant, or of one user of it, for good: rows, also
	 * soft-deleted ones, with their vectors, words, names and queued texts. In
	 * batches of 500 rows, each committed: a call that was stopped is resumed by
	 * calling again. Returns counts for each table. Edges of other rows that name an
	 * erased row stay: they are part of those rows.
	 *
	 * @example
	 * const { rows, tables } = await service.forget({ tenantId: "acme-corp", userId: "user123" })
	 */
	async forget(options: ForgetOptions): Promise<ForgetReport> {
		return forgetIn(this.core, options);
	}

	/**
	 * Runs SQL of your own: without values a text of any number of statements,
	 * with values (`$1`, …) a single one. It is not restricted to a tenant.
	 */
	async execute<R = Record<string, unknown>>(
		text: string,
		values?: readonly SqlValue[],
	): Promise<Result<R>> {
		try {
			if (values !== undefined) {
				return await this.core.db.query<R>({ text, values });
			}
			const results = await this.core.db.script(text);
			return (results.at(-1) ?? { rows: [], rowCount: 0 }) as Result<R>;
		} catch (error) {
			throw asDatabaseError(error);
		}
	}

	/** Runs the work in one transaction; see {@link Handle.transaction}. */
	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options?: TransactionOptions,
	): Promise<T> {
		const { db } = this.core;
		return db.transaction(
			(tx) => insideTransaction(db, async () => work(handleOfDatabase(tx, db))),
			options,
		);
	}

	/** Lets what runs in the background finish, then closes. */
	async close(): Promise<void> {
		refuseInsideTransaction(this.core.db);
		this.#stopObserving();
		this.#stopPreloading();
		// A build that takes longer is left to the server.
		await this.indexer.stop({ waitMs: 1000 });
		await this.embeddings.stop();
		await this.kv.settle();
		await this.#replica?.close();
		await this.core.nodes?.close();
		await this.core.db.close();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}
}

publicMethods<Omit<PostgresService<Models>, keyof Verbs<Models>>>()(
	PostgresService,
	{
		scope: sync(options(scopeChecks)),
		repository: sync(argument("entity", model)),
		migrate: traced(async(optionalOptions(migrateChecks)), {
			operation: "migrate",
			found: ({ applied }: MigrateResult) => ({
				"remdb.applied": applied.length,
			}),
		}),
		register: async(argument("entity", model)),
		createIndexConcurrently: traced(async(options(indexRequest)), {
			operation: "createIndexConcurrently",
			table: (service: AnyService, request: IndexRequest) =>
				tableOfCall(service.core, request),
		}),
		doctor: traced(
			async(optionalOptions<DoctorOptions>({ migrations: text })),
			{
				operation: "doctor",
			},
		),
		checkIsolation: async(),
		forget: traced(async(options(forgetChecks)), {
			operation: "forget",
		}),
		execute: traced(
			async(argument("text", text), optional("values", sqlValues)),
			{
				operation: "execute",
				found: ({ rowCount }: Result) => rowsReturned(rowCount),
			},
		),
		transaction: {
			...async(argument("work", callback), optionalOptionsOf(transactionTable)),
			runsWork: true,
			span: { operation: "transaction" },
		},
		close: async(),
	},
);

function connected(core: unknown): ServiceCore {
	const given = reading("new PostgresService", () =>
		core instanceof ServiceCore ? core : undefined,
	);
	if (given !== undefined) return given;
	throw new RemError(
		"VALIDATION",
		"a service is not made with new: it has to connect",
		{ hint: "await PostgresService.connect({ connectionString })" },
	);
}

function openDatabase(settings: Settings): Promise<Database> {
	const { database, connectTimeoutMs, logger } = settings;
	return database.kind === "embedded"
		? openEmbedded(database.folder, { connectTimeoutMs, logger })
		: openServer(database.address, {
				...settings,
				directAddress: database.directAddress,
			});
}

/** Every server has `english`: one of another name is looked for, before an index fails on it. */
async function checkLanguage(db: Database, language: string): Promise<void> {
	if (language === "english") return;
	const { isKnown, hint } = await findLanguage(db, language);
	if (isKnown) return;
	throw new RemError(
		"CONFIG_INVALID",
		`language (FULL_TEXT__LANGUAGE): the database has no text search configuration ${quoted(language)}`,
		{ hint },
	);
}

/** The embedded database has no replica. */
function openReader(db: Database, settings: Settings): Replica | undefined {
	const { database, readWaitMs: waitMs } = settings;
	return database.kind === "embedded" || database.readAddress === undefined
		? undefined
		: openReplica(db, database.readAddress, { ...settings, waitMs });
}

/** The nodes of a Citus cluster, where calls are to be sent to them directly. */
function openDirect(db: Database, settings: Settings): CitusNodes | undefined {
	const { database } = settings;
	return database.kind === "embedded" || database.nodeAddress === undefined
		? undefined
		: openNodes(db, database.nodeAddress, settings);
}

/** About a user's own SQL only the database's error is known. */
function asDatabaseError(error: unknown): unknown {
	const codes = ["SCHEMA_DRIFT", "DUPLICATE_KEY"];
	if (!(error instanceof RemError) || !codes.includes(error.code)) return error;
	const { message, cause, sqlState } = error;
	return new RemError("DATABASE", message, {
		cause,
		...(sqlState === undefined ? {} : { sqlState }),
	});
}

// The protocol counts them in 16 bits.
const maxValues = 65_535;

function sqlValues(value: unknown): string | undefined {
	return Array.isArray(value) && value.length > maxValues
		? `must have at most ${maxValues} items, not ${value.length}`
		: listOf(sqlValue)(value);
}

/** What the driver cannot write would fail halfway, and take the connection with it. */
function sqlValue(value: unknown): string | undefined {
	if (typeof value === "string") return text(value);
	if (typeof value === "function" || typeof value === "symbol")
		return `cannot be a ${typeof value}`;
	if (typeof value !== "object" || value === null || Buffer.isBuffer(value))
		return undefined;
	try {
		JSON.stringify(value);
		return undefined;
	} catch {
		return "must be a value that JSON can represent";
	}
}
