/// <reference lib="esnext.disposable" preserve="true" />
import type {
	Capabilities,
	Database,
	Handle,
	Result,
	TransactionOptions,
} from "../db/database.ts";
import { openEmbedded } from "../db/embedded.ts";
import { limited } from "../db/limited.ts";
import {
	insideTransaction,
	refuseInsideTransaction,
} from "../db/open-transaction.ts";
import type { Replica } from "../db/replica.ts";
import { openReplica, openServer } from "../db/server.ts";
import { asRemError, RemError, reading } from "../errors.ts";
import {
	BackgroundIndexer,
	type IndexRequest,
} from "../indexer/background-indexer.ts";
import { KvCache } from "../kv/kv-cache.ts";
import type { MigrateOptions, MigrateResult } from "../migrate/migrate.ts";
import { coreEntities } from "../models/core-entities.ts";
import type { Entity } from "../models/entity.ts";
import {
	checkDefinition,
	type EntityTable,
	Registry,
} from "../models/registry.ts";
import type { Row } from "../models/types.ts";
import { type FuzzyHit, fuzzySearch } from "../query/fuzzy.ts";
import type { Traversal } from "../query/graph/traversal.ts";
import type { Match } from "../query/search.ts";
import { findLanguage } from "../query/text-language.ts";
import type { SqlValue } from "../sql.ts";
import { preloadSqlGrammar } from "../sql-grammar.ts";
import { loadTelemetry } from "../telemetry/api.ts";
import { observeQueues } from "../telemetry/metrics.ts";
import { keepAlive, keepAliveDuringCalls } from "../util/keep-alive.ts";
import { quoted } from "../util/suggest.ts";
import { guardMethods } from "./arguments/methods.ts";
import type { BoundScope } from "./bound-scope.ts";
import type {
	BatchUpsertOptions,
	BatchUpsertResult,
	EntityOf,
	ExplainedIf,
	FuzzySearchOptions,
	HybridRow,
	HybridSearchOptions,
	LookupOptions,
	Models,
	ReadOptions,
	TableName,
	VectorSearchOptions,
} from "./call-options.ts";
import type { ConnectOptions } from "./connect-options.ts";
import { ServiceCore } from "./core.ts";
import type { DoctorOptions } from "./doctor/check.ts";
import { type DoctorReport, examine } from "./doctor/doctor.ts";
import { Embeddings } from "./embeddings.ts";
import {
	Graph,
	type LinkCall,
	type LinkResult,
	type TraverseCall,
	type UnlinkCall,
} from "./graph.ts";
import {
	checkIsolation,
	type IsolationReport,
} from "./isolation/check-isolation.ts";
import { isolationCalls } from "./isolation/isolation-calls.ts";
import { isHeldByPolicies } from "./isolation/role-problems.ts";
import { readLocale } from "./locale.ts";
import { type Found, Lookups } from "./lookups.ts";
import type { QueryResult } from "./query-result.ts";
import { queueFigures } from "./queue-figures.ts";
import { Repository } from "./repository.ts";
import { type QueryReads, runQuery } from "./run-query.ts";
import { SchemaLifecycle } from "./schema-lifecycle.ts";
import { openScope, type ServiceScope } from "./scope.ts";
import { Searches } from "./searches.ts";
import { loadSettings, type Settings } from "./settings.ts";
import { traceVerbs } from "./traced-verbs.ts";

type CoreModels = typeof coreEntities;

/**
 * A database that holds entities, their vectors and the cache of their names.
 *
 * @example
 * const service = await PostgresService.connect({ connectionString: "memory:" })
 * await service.migrate()
 * await service.batchUpsert({ tableName: "resources", entities: [{ name: "doc-1", content: "…" }] })
 * await service.lookupEntity({ entityKey: "doc-1" })
 */
export class PostgresService<const M extends Models = CoreModels> {
	/** @internal what repositories share with the service */
	readonly core: ServiceCore;
	readonly #replica: Replica | undefined;
	readonly #lookups: Lookups;
	readonly #searches: Searches;
	readonly #graph: Graph;
	#stopObserving = () => {};
	#stopPreloading = () => {};

	private constructor(core: ServiceCore, replica: Replica | undefined) {
		const isCore = reading(
			"new PostgresService",
			() => core instanceof ServiceCore,
		);
		if (!isCore)
			throw new RemError(
				"VALIDATION",
				"a service is not made with new: it has to connect",
				{
					hint: "await PostgresService.connect({ connectionString })",
				},
			);
		this.core = core;
		this.#replica = replica;
		this.#lookups = new Lookups(core, this.#fallback);
		this.#searches = new Searches(core, this.#fallback);
		this.#graph = new Graph(core, this.#fallback);
	}

	/**
	 * Opens the database and checks that it can hold what we build. Throws
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
		const { schema, language } = given;
		const models = options.models ?? coreEntities;
		models.forEach(checkDefinition);
		const db = await openDatabase(given);
		const replica = openReader(db, given);
		try {
			await checkLanguage(db, language);
			const rowSecurity = await isHeldByPolicies(db, given);
			const registry = new Registry(schema, models, { language, rowSecurity });
			const settings = { ...given, rowLevelSecurity: rowSecurity };
			const service = new PostgresService<M>(
				new ServiceCore(db, registry, settings, replica),
				replica,
			);
			service.#stopPreloading = preloadSqlGrammar();
			// What is about all tenants is the owner's to look after.
			if (rowSecurity) return service;
			// A crash may have emptied the cache since the last connection.
			await service.kv.noticeEmptied();
			await service.embeddings.tellMismatch();
			service.#stopObserving = observeQueues(() =>
				queueFigures(limited(db), schema),
			);
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

	/** The entities this service knows. */
	get registry(): Registry {
		return this.core.registry;
	}

	/** The cache of names: its state, and how to build it anew. */
	get kv(): KvCache {
		return this.core.kv;
	}

	/** Builds indexes in the background: its queue, and how every index stands. */
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

	/**
	 * The service as one tenant, and perhaps one user, sees it. Hand this to code
	 * that must not reach further: another tenant in a call is `TENANT_MISMATCH`.
	 *
	 * @example
	 * const acme = service.scope({ tenantId: "acme-corp", userId: "user123" })
	 * await acme.lookupEntity({ entityKey: "sarah-chen" })
	 */
	scope(scope: BoundScope): ServiceScope<PostgresService<M>, M> {
		return openScope<PostgresService<M>, M>(this, scope);
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
	 * reads are complete meanwhile. `kv.ensureReady()` waits for it.
	 */
	async migrate(options: MigrateOptions = {}): Promise<MigrateResult> {
		const result = await this.schema.migrate(options);
		if (options.to === undefined) await this.#warnOfLocale();
		await this.kv.catchUp();
		await this.embeddings.adopt();
		this.indexer.check();
		return result;
	}

	async #warnOfLocale(): Promise<void> {
		const { problems } = await readLocale(this.core.db);
		for (const { found, remedy } of problems)
			this.core.settings.logger.warn({ remedy }, found);
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
	 * Validates, embeds what changed, and writes entities and vectors; LOOKUP and
	 * FUZZY find them when it returns. Throws `VALIDATION` and its kin naming
	 * every bad entity (nothing is written), `DUPLICATE_KEY`, `PROVIDER_…`.
	 *
	 * @example
	 * await service.batchUpsert({ tableName: "documents", entities: [{ name: "doc-1", content: "…" }] })
	 * // { inserted: 1, updated: 0, unchanged: 0, embeddingsGenerated: 1, kvEntries: 1, … }
	 */
	async batchUpsert<T extends TableName<M>>(
		options: BatchUpsertOptions<M, T>,
	): Promise<BatchUpsertResult> {
		const table = this.registry.get(options.tableName);
		checkEntityKeyField(table, options.entityKeyField);
		return this.core.upsert(table, options.entities, options);
	}

	/**
	 * The entity of that name, whatever its spelling and table: the best match
	 * where there are several (exact spelling, the caller's own, shared, latest).
	 */
	async lookupEntity<
		T extends string = string,
		Hydrate extends boolean = false,
	>(
		options: LookupOptions<T, Hydrate> & { readonly entityKey: string },
	): Promise<Found<M, T, Hydrate> | undefined> {
		const [best] = await this.#lookups.find([options.entityKey], options);
		return best as Found<M, T, Hydrate> | undefined;
	}

	/** Every entity of every name, in one statement, in the order of the names, best match first. */
	async lookupEntities<
		T extends string = string,
		Hydrate extends boolean = false,
	>(
		options: LookupOptions<T, Hydrate> & {
			readonly entityKeys: readonly string[];
		},
	): Promise<Found<M, T, Hydrate>[]> {
		const found = await this.#lookups.find(options.entityKeys, options);
		return found as Found<M, T, Hydrate>[];
	}

	/** Entities whose names (or summaries) are like the query, best first; `score` is pg_trgm's. */
	async fuzzySearch(options: FuzzySearchOptions): Promise<FuzzyHit[]> {
		if (options.entityType !== undefined) this.registry.get(options.entityType);
		const { schema, rowLevelSecurity } = this.core.settings;
		const { tenantId, transaction, consistency } = options;
		return fuzzySearch(
			this.core.handle(tenantId, transaction, consistency),
			{ schema, hasRowSecurity: rowLevelSecurity },
			{ ...options, tenantId: this.core.tenant(options.tenantId) },
			this.#fallback,
		);
	}

	/**
	 * Rows of the table nearest in meaning to a text or a vector, nearest first:
	 * always min(limit, rows there are). With `explain: true` the list tells in
	 * its property `explain` how it was found.
	 */
	async vectorSearch<T extends TableName<M>, X extends boolean = false>(
		options: VectorSearchOptions<M, T> & { readonly explain?: X },
	): Promise<(Row<EntityOf<M, T>> & Match)[] & ExplainedIf<X>> {
		return (await this.#searches.byVector(options)) as never;
	}

	/**
	 * Rows of the table that a query finds by meaning, by its words and by being
	 * nearly their name, the three lists fused by reciprocal rank, best first.
	 *
	 * @example
	 * await service.hybridSearch({ tableName: "documents", query: "deploy kubernetes", limit: 5 })
	 * // [{ …, score: 0.0325, ranks: { vector: 2, text: 1 }, similarity: 0.61, matchedField: "content" }, …]
	 */
	async hybridSearch<T extends TableName<M>, X extends boolean = false>(
		options: HybridSearchOptions<M, T> & { readonly explain?: X },
	): Promise<HybridRow<EntityOf<M, T>>[] & ExplainedIf<X>> {
		return (await this.#searches.hybrid(options as never)) as never;
	}

	/**
	 * Builds the table's indexes of a type now, without stopping its writers;
	 * returns when they can be used. Throws `INDEX_FAILED` saying why one is not.
	 *
	 * @example
	 * await service.createIndexConcurrently({ tableName: "documents", indexType: "hnsw" })
	 */
	async createIndexConcurrently(request: IndexRequest): Promise<void> {
		await this.indexer.build(request);
		this.core.vectorFacts.forget();
	}

	/**
	 * Answers a query of the REM dialect: LOOKUP, FUZZY, SEARCH, TRAVERSE or SQL
	 * (docs/query-language.md). Whatever the text says, it reads rows of the scope
	 * only. Throws `QUERY_SYNTAX`, `FILTER_REFUSED`, `UNKNOWN_…` or `INPUT_LIMIT`,
	 * with `position`.
	 *
	 * @example
	 * const result = await service.query('SEARCH "deploy" IN documents WHERE year > 2020 LIMIT 5')
	 * if (result.kind === "search") console.log(result.rows[0]?.similarity)
	 */
	async query(text: string, scope: ReadOptions = {}): Promise<QueryResult> {
		const { tenantId, userId, transaction, consistency } = scope;
		return runQuery(
			{
				reads: this as unknown as QueryReads,
				registry: this.registry,
				db: this.core.handle(tenantId, transaction, consistency),
			},
			text,
			{
				tenantId: this.core.tenant(tenantId),
				userId,
				transaction,
				consistency,
			},
		);
	}

	/**
	 * What is within reach of an entity along its `graphEdges`, breadth first,
	 * each entity once with its depth, its path and the edge that led to it.
	 *
	 * @example
	 * await service.traverse({ from: "sarah-chen", edgeTypes: ["manages"], depth: 2 })
	 */
	async traverse(options: TraverseCall): Promise<Traversal> {
		return this.#graph.traverse(options);
	}

	/** Adds edges to an entity, or replaces those of the same `dst` and `rel_type`, in one statement. */
	async link(options: LinkCall): Promise<LinkResult> {
		return this.#graph.link(options);
	}

	/** Removes an entity's edges to a target, and returns how many. */
	async unlink(options: UnlinkCall): Promise<number> {
		return this.#graph.unlink(options);
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
	 * Tries whether tenants are kept apart: a row of a made-up tenant in every
	 * table, and another one that looks for it through every read and write, and
	 * with row level security through SQL without any condition. Leaves nothing.
	 *
	 * @example
	 * const { library, database } = await service.checkIsolation()
	 * if (library.length + database.problems.length > 0) throw new Error("not apart")
	 */
	checkIsolation(): Promise<IsolationReport> {
		return checkIsolation(
			{ db: limited(this.core.db), registry: this.registry },
			isolationCalls(this as never),
			this.core.embedder.spaceIfKnown(),
		);
	}

	/**
	 * Runs SQL of your own: without values a text of any number of statements,
	 * with values (`$1`, …) a single one. Nothing keeps it inside a tenant.
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
			(tx) => insideTransaction(db, async () => work(tx)),
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
		await this.core.db.close();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	get #fallback() {
		return {
			sources: (db: Handle) => this.kv.sources(db),
			onNotReady: () => this.kv.rebuildInBackground(),
		};
	}
}

// What is refused is traced as well: the checks are inside.
guardMethods(PostgresService.prototype, Repository.prototype);
traceVerbs(PostgresService.prototype);
for (const { prototype } of [
	PostgresService,
	Repository,
	Embeddings,
	BackgroundIndexer,
	KvCache,
	SchemaLifecycle,
])
	keepAliveDuringCalls(prototype);

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

/** The key belongs to the model: a call that names another one means another model. */
function checkEntityKeyField(
	{ entity }: EntityTable,
	given: string | readonly string[] | undefined,
): void {
	if (given === undefined) return;
	const own = entity.keyFields?.map(({ name }) => name) ?? [];
	if ([given].flat().join("\0") === own.join("\0")) return;
	throw new RemError(
		"VALIDATION",
		`the key of "${entity.tableName}" is ${own.join(", ") || "none"}, not ${[given].flat().join(", ")}`,
		{ hint: "leave entityKeyField out, or change it in defineEntity" },
	);
}

/** Of a user's own SQL nothing is known but what the database says. */
function asDatabaseError(error: unknown): unknown {
	const codes = ["SCHEMA_DRIFT", "DUPLICATE_KEY"];
	if (!(error instanceof RemError) || !codes.includes(error.code)) return error;
	const { message, cause, sqlState } = error;
	return new RemError("DATABASE", message, {
		cause,
		...(sqlState === undefined ? {} : { sqlState }),
	});
}
