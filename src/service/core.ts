import type { Consistency, Database, Handle } from "../db/database.ts";
import { refuseInsideTransaction } from "../db/open-transaction.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { knownFields } from "../embed-sync/fields.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { isProviderError, RemError } from "../errors.ts";
import { BackgroundIndexer } from "../indexer/background-indexer.ts";
import { KvCache } from "../kv/kv-cache.ts";
import type { EntityTable, Registry } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { VectorFacts } from "../query/vector-facts.ts";
import { ident, join, sql } from "../sql.ts";
import { batchUpsert } from "../store/batch-upsert.ts";
import { gatherTenantStatistics } from "../store/first-statistics.ts";
import type { MergeField } from "../store/merge.ts";
import type { UpsertProgress } from "../store/upsert-result.ts";
import { quoted } from "../util/suggest.ts";
import type { BatchUpsertResult } from "./call-options.ts";
import { EdgeCount } from "./edge-count.ts";
import { Embedder } from "./embedder.ts";
import { Embeddings } from "./embeddings.ts";
import { heldDatabase } from "./held-database.ts";
import { RowCounts } from "./row-counts.ts";
import { SchemaLifecycle } from "./schema-lifecycle.ts";
import type { Settings } from "./settings.ts";
import { tenantHandle } from "./tenant-handle.ts";

/** Options of an upsert, whatever the entity. */
export interface CoreUpsertOptions {
	readonly tenantId?: string | undefined;
	readonly userId?: string | null | undefined;
	readonly generateEmbeddings?: boolean | undefined;
	readonly embeddingProvider?: string | undefined;
	readonly embeddingModel?: string | undefined;
	readonly onEmbeddingError?: "fail" | "queue" | undefined;
	readonly merge?: readonly MergeField[] | undefined;
	readonly atomic?: true | "chunk" | undefined;
	readonly bulk?: boolean | undefined;
	readonly onProgress?: ((progress: UpsertProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
	readonly transaction?: Handle | undefined;
}

const rowsPerAnalyze = 1000;

/** What a service and its repositories share: the parts, and the rules of every call. */
export class ServiceCore {
	readonly db: Database;
	/** A replica; without one, the database itself. */
	readonly replica: Handle;
	readonly registry: Registry;
	readonly settings: Settings;
	readonly embedder: Embedder;
	readonly embeddings: Embeddings;
	readonly kv: KvCache;
	/** What searches know of indexes and of the sizes of their scopes. */
	readonly vectorFacts = new VectorFacts();
	readonly indexer: BackgroundIndexer;
	readonly schema: SchemaLifecycle;
	#newRows = 0;
	readonly #tenantRows = new RowCounts();

	constructor(
		db: Database,
		registry: Registry,
		settings: Settings,
		replica: Handle = db,
	) {
		this.db = db;
		this.replica = replica;
		this.registry = registry;
		this.settings = settings;
		this.embedder = new Embedder(settings);
		// What these do is about all tenants.
		const all = settings.rowLevelSecurity ? heldDatabase(db) : db;
		this.kv = new KvCache(all, settings.schema, settings.logger);
		this.embeddings = new Embeddings({
			db: all,
			registry,
			settings,
			embedder: this.embedder,
			onStored: (table, space, vectors) =>
				this.indexer.noteRows(table, space, vectors),
		});
		this.indexer = new BackgroundIndexer(all, {
			schema: settings.schema,
			hnsw: settings.hnsw,
			settings: {
				...settings.backgroundIndex,
				enabled: settings.backgroundIndex.enabled && !settings.rowLevelSecurity,
			},
			logger: settings.logger,
			tables: () => registry.all(),
			space: () => this.embedder.spaceIfKnown(),
		});
		this.schema = new SchemaLifecycle(all, {
			schema: settings.schema,
			kvPersistence: settings.kvPersistence,
			hnsw: settings.hnsw,
			tables: () => registry.all(),
			space: () => this.embedder.spaceIfKnown(),
		});
	}

	async upsert(
		table: EntityTable,
		entities: Iterable<unknown> | AsyncIterable<unknown>,
		options: CoreUpsertOptions,
	): Promise<BatchUpsertResult> {
		const choice = {
			provider: options.embeddingProvider,
			model: options.embeddingModel,
		};
		if (options.bulk && options.transaction !== undefined)
			throw new RemError(
				"VALIDATION",
				"bulk is not possible inside a transaction",
				{
					hint: "an index is dropped outside of transactions, and would wait for this one; call batchUpsert on the service, or without bulk",
				},
			);
		const db = table.entity.tenantScoped
			? this.handle(options.tenantId, options.transaction)
			: (options.transaction ?? this.db);
		const hasTexts = table.entity.embedFields.length > 0;
		const embeds = hasTexts && (options.generateEmbeddings ?? true);
		const queuesFailures = embeds && options.onEmbeddingError === "queue";
		const space = hasTexts
			? await this.embeddings.models.space(db, table, choice)
			: undefined;
		const bulk = options.bulk ? this.indexer.bulkLoad(table, space) : undefined;
		const written = hasTexts
			? knownFields(table, await this.embeddings.models.fields(db))
			: table;
		const count = new EdgeCount();
		const result = await batchUpsert(db, written, count.of(entities), {
			scope: {
				tenantId: options.tenantId,
				userId: options.userId,
				defaultTenant: this.settings.defaultTenant,
			},
			provider:
				embeds && space !== undefined
					? this.#provider(space, queuesFailures)
					: undefined,
			space,
			isSpaceClear:
				choice.provider !== undefined ||
				choice.model !== undefined ||
				space === undefined ||
				this.embeddings.models.isConfigured(space),
			embeddingCalls: this.embedder.calls(space),
			queuesFailures,
			merge: options.merge ?? [],
			atomic: options.atomic ?? true,
			beforeWrite: bulk && ((vectors) => bulk.dropIndexesForLoad(vectors)),
			onProgress: options.onProgress,
			signal: options.signal,
		}).finally(() => bulk?.end());
		this.#newRows += result.inserted;
		await this.#analyze(db, table);
		await this.#analyzeNewTenant(table, options, result.inserted);
		if (result.embeddingsQueued > 0) this.embeddings.wake();
		const newEdges = result.inserted + result.updated > 0 ? count.edges : 0;
		const newRows = Math.max(
			result.inserted,
			result.embeddingsGenerated,
			newEdges,
		);
		this.indexer.noteRows(table, embeds ? space : undefined, newRows);
		return bulk === undefined ? result : { ...result, bulk: bulk.report };
	}

	/** Without a provider that can be asked, everything is queued, if that is wanted. */
	#provider(
		space: VectorSpace,
		queuesFailures: boolean,
	): EmbeddingProvider | undefined {
		try {
			return this.embeddings.open(space).provider;
		} catch (error) {
			if (queuesFailures && isProviderError(error)) return undefined;
			throw error;
		}
	}

	/** Where no autovacuum does it: a plan made for an empty table is a slow one when it is full. */
	async #analyze(db: Handle, table: EntityTable): Promise<void> {
		if (this.db.capabilities.autovacuum || this.#newRows < rowsPerAnalyze)
			return;
		this.#newRows = 0;
		const { schema, entity } = table;
		const tables = [
			tableRef(table),
			...(entity.createEmbeddings ? [embeddingsRef(table)] : []),
			...(entity.createKvTrigger ? [ident(schema, "kv_store")] : []),
		];
		await db.query(sql`ANALYZE ${join(tables)}`);
	}

	/**
	 * Where autovacuum does it, it comes late for a tenant that is new in a large
	 * table. Its rows are counted over all calls: they may come one by one.
	 */
	async #analyzeNewTenant(
		table: EntityTable,
		{
			tenantId = this.settings.defaultTenant ?? undefined,
			transaction,
		}: CoreUpsertOptions,
		inserted: number,
	): Promise<void> {
		const isSeen = this.db.capabilities.autovacuum && table.entity.tenantScoped;
		if (!isSeen || inserted === 0 || tenantId === undefined) return;
		const name = JSON.stringify([table.entity.tableName, tenantId]);
		const rows = this.#tenantRows.add(name, inserted);
		// A transaction's rows are not seen by others yet; a later call looks.
		if (rows < rowsPerAnalyze || transaction !== undefined) return;
		this.#tenantRows.delete(name);
		await gatherTenantStatistics(this.db, table, tenantId, rows).catch(
			(error: unknown) => {
				// What was loaded is committed: it is only planned for less well.
				const { code, sqlState } = error as RemError;
				this.settings.logger.warn(
					{ code, sqlState },
					`"${table.entity.tableName}" could not be analysed after a load`,
				);
			},
		);
	}

	/**
	 * What a call about a tenant's rows sends its statements to: the caller's
	 * transaction, the replica or the database, and with row level security any
	 * of them telling it the tenant. Without a tenant it is the default one's.
	 */
	handle(
		tenantId: string | undefined,
		transaction?: Handle,
		consistency?: Consistency,
	): Handle {
		const handle = this.source(transaction, consistency);
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
		if (transaction !== undefined) return transaction;
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
