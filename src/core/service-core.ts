import { argument } from "../calls/arguments.ts";
import { publicMethods, sync } from "../calls/public-methods.ts";
import type { CitusNodes } from "../db/citus-nodes.ts";
import type { Consistency, Database, Handle } from "../db/database.ts";
import {
	refuseHandleOfAnother,
	refuseInsideTransaction,
} from "../db/open-transaction.ts";
import type { EmbeddingWorker } from "../embed-sync/worker.ts";
import { RemError } from "../errors.ts";
import { BackgroundIndexer } from "../indexer/background-indexer.ts";
import { KvCache, type RebuildTurns } from "../kv/kv-cache.ts";
import { anyText } from "../models/checks.ts";
import { model } from "../models/entity.ts";
import { Registry } from "../models/registry.ts";
import type { CacheFallback } from "../query/cached-read.ts";
import { VectorStatistics } from "../query/vector-statistics.ts";
import type { Settings } from "../settings/settings.ts";
import { explainDrift } from "../store/explain-drift.ts";
import { quoted } from "../util/suggest.ts";
import { Embedder } from "./embedder.ts";
import { Embeddings } from "./embeddings.ts";
import { LoadStatistics } from "./load-statistics.ts";
import { refusingDatabase } from "./refusing-database.ts";
import { SchemaLifecycle } from "./schema-lifecycle.ts";
import { tenantHandle } from "./tenant-handle.ts";

/** What a service and its repositories share: the parts, and the rules of every call. */
export class ServiceCore {
	readonly db: Database;
	/** A replica; without one, the database itself. */
	readonly replica: Handle;
	/** The node of a Citus cluster that has the schema, if calls are sent to it directly. */
	readonly node: Handle | undefined;
	/** The nodes of the cluster, where calls are sent to them directly. */
	readonly nodes: CitusNodes | undefined;
	readonly registry: Registry;
	readonly settings: Settings;
	readonly embedder: Embedder;
	readonly embeddings: Embeddings;
	readonly kv: KvCache;
	/** What searches know of indexes and of the sizes of their scopes. */
	readonly vectorStatistics = new VectorStatistics();
	readonly indexer: BackgroundIndexer;
	readonly schema: SchemaLifecycle;
	/** What reads do when the cache of names cannot answer. */
	readonly cacheFallback: CacheFallback;
	readonly loadStatistics: LoadStatistics;

	constructor({
		db,
		registry,
		settings,
		replica = db,
		nodes,
		embedder = new Embedder(settings),
		worker,
		building,
		rebuildTurns,
		searchPath,
	}: {
		readonly db: Database;
		readonly registry: Registry;
		readonly settings: Settings;
		readonly replica?: Handle | undefined;
		/** The nodes of a Citus cluster that calls are sent to directly. @default none */
		readonly nodes?: CitusNodes | undefined;
		/** The providers, where several cores share them. @default its own */
		readonly embedder?: Embedder;
		/** The embedding worker, where several cores share one. @default its own */
		readonly worker?: EmbeddingWorker;
		/** The running index builders, where several cores share them. @default its own */
		readonly building?: Set<object>;
		/** The turns of background rebuilds of the cache, where several cores share them. @default its own */
		readonly rebuildTurns?: RebuildTurns;
		/** Schemas in which names of the user's migration files are looked for first. @default the role's own */
		readonly searchPath?: readonly string[];
	}) {
		this.db = db;
		this.replica = replica;
		this.nodes = nodes;
		this.node = nodes?.of(settings.schema);
		this.registry = registry;
		this.settings = settings;
		this.embedder = embedder;
		this.loadStatistics = new LoadStatistics(db, settings.logger);
		// What these do is about all tenants.
		const all = settings.rowLevelSecurity ? refusingDatabase(db) : db;
		this.kv = new KvCache(all, {
			schema: settings.schema,
			logger: settings.logger,
			dropIndexes: () => this.indexer.dropCacheIndexes(),
			turns: rebuildTurns,
		});
		this.embeddings = new Embeddings({
			db: all,
			registry,
			settings,
			embedder: this.embedder,
			worker,
			onStored: (table, space, vectors) =>
				this.indexer.noteRows(table, space, vectors),
		});
		this.cacheFallback = {
			marker: db.capabilities.citus ? "entry" : "file",
			sources: (handle) => this.kv.sources(handle),
			onNotReady: () => this.kv.rebuildInBackground(),
		};
		this.indexer = new BackgroundIndexer(all, {
			schema: settings.schema,
			hnsw: settings.hnsw,
			settings: {
				...settings.backgroundIndex,
				enabled: settings.backgroundIndex.enabled && !settings.rowLevelSecurity,
			},
			logger: settings.logger,
			building,
			onBuilt: () => this.vectorStatistics.forget(),
			tables: () => registry.all(),
			space: () => this.embedder.spaceIfKnown(),
			explain: (error) => explainDrift(all, registry.all(), error),
		});
		this.schema = new SchemaLifecycle(all, {
			schema: settings.schema,
			kvPersistence: settings.kvPersistence,
			hnsw: settings.hnsw,
			logger: settings.logger,
			searchPath,
			tables: () => registry.all(),
			space: () => this.embedder.spaceIfKnown(),
		});
	}

	/**
	 * What a call about a tenant's rows sends its statements to: the caller's
	 * transaction, the replica or the database, and with row level security any
	 * of them setting the tenant. Without a tenant it is the default one's.
	 */
	handle(
		tenantId: string | undefined,
		transaction?: Handle,
		consistency?: Consistency,
	): Handle {
		return this.#ofTenant(tenantId, this.source(transaction, consistency));
	}

	/**
	 * The same for statements that read and write tables of this schema alone: on
	 * Citus they may go to its node directly. A node's catalogue is not the
	 * coordinator's: it lacks comments, among others.
	 */
	nearHandle(tenantId: string | undefined, transaction?: Handle): Handle {
		const source = this.source(transaction);
		const near = source === this.db ? (this.node ?? source) : source;
		return this.#ofTenant(tenantId, near);
	}

	#ofTenant(tenantId: string | undefined, handle: Handle): Handle {
		return this.settings.rowLevelSecurity
			? tenantHandle(handle, this.tenant(tenantId))
			: handle;
	}

	/** The caller's transaction; else the replica, where the read allows it, or the database. */
	source(
		transaction: Handle | undefined,
		consistency: Consistency = "primary",
	): Handle {
		if (consistency !== "primary" && consistency !== "replica")
			throw new RemError(
				"VALIDATION",
				`consistency is ${quoted(String(consistency))}, expected primary or replica`,
			);
		if (transaction !== undefined) {
			refuseHandleOfAnother(this.db, transaction);
			return transaction;
		}
		refuseInsideTransaction(this.db);
		return consistency === "replica" ? this.replica : this.db;
	}

	/** The call's tenant, or the default one; `TENANT_REQUIRED` where there is no default. */
	tenant(tenantId: string | undefined): string {
		const tenant = tenantId ?? this.settings.defaultTenant;
		if (tenant !== null) return tenant;
		throw new RemError("TENANT_REQUIRED", "the call names no tenant", {
			hint: "pass tenantId: the service was connected with strictTenancy",
		});
	}
}

publicMethods<Registry>()(
	Registry,
	{
		add: sync(argument("entity", model)),
		remove: sync(argument("entity", model)),
		has: sync(argument("entity", model)),
		get: sync(argument("tableName", anyText)),
		all: sync(),
	},
	["copy"],
);
