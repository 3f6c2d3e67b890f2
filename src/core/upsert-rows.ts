import type { Handle } from "../db/database.ts";
import { knownFields } from "../embed-sync/fields.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { isProviderError, RemError, withHint } from "../errors.ts";
import type { BulkReport } from "../indexer/bulk-load.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { batchUpsert } from "../store/batch-upsert.ts";
import type { MergeField } from "../store/merge.ts";
import type { UpsertCall } from "../store/prepare.ts";
import type { UpsertProgress, UpsertResult } from "../store/upsert-result.ts";
import { EdgeCount } from "./edge-count.ts";
import type { ServiceCore } from "./service-core.ts";

/** An upsert, whatever the entity. */
export interface UpsertRowsOptions {
	readonly entities: Iterable<unknown> | AsyncIterable<unknown>;
	readonly tenantId?: string | undefined;
	readonly userId?: string | null | undefined;
	/** User of the scope that the call is made in: rows are that user's, or shared. @default any user's */
	readonly boundUser?: string | null | undefined;
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

/** What a batch upsert did, also to the table's indexes where dropping them was considered. */
export interface BatchUpsertResult extends UpsertResult {
	/** With the option `bulk`, and for loads that are large without it. */
	readonly bulk?: BulkReport;
}

/**
 * @internal
 * The policy round a write of rows: which model embeds them, which indexes give
 * way to a bulk load, and what is to do behind it (statistics, the embedding
 * worker, indexes that pay now). The write itself is the store's.
 */
export async function upsertRows(
	core: ServiceCore,
	table: EntityTable,
	options: UpsertRowsOptions,
): Promise<BatchUpsertResult> {
	const count = new EdgeCount();
	const write = await planWrite(core, table, options);
	const result = await batchUpsert(
		write.call,
		count.of(options.entities),
	).finally(() => write.end());
	await write.note(result, count.edges);
	const { report } = write;
	return report === undefined ? result : { ...result, bulk: report };
}

/** @internal A write into one table, and what has to follow it. */
export interface PlannedWrite {
	readonly call: UpsertCall;
	/** The report of the bulk load, once it has ended. */
	readonly report: BulkReport | undefined;
	/** Call it after the write, also after one that failed. */
	end(): Promise<void>;
	/** Call it after a successful write, with the number of edges of the rows. */
	note(result: UpsertResult, edges: number): Promise<void>;
}

/** @internal */
export async function planWrite(
	core: ServiceCore,
	table: EntityTable,
	options: Omit<UpsertRowsOptions, "entities">,
	{ spansBuckets = false }: { readonly spansBuckets?: boolean } = {},
): Promise<PlannedWrite> {
	checkBulk(options);
	const { embeddings, indexer, embedder, settings } = core;
	const { tenantId, userId, boundUser, transaction } = options;
	const db = table.entity.tenantScoped
		? core.handle(tenantId, transaction)
		: core.source(transaction);
	const isOfOne = table.entity.tenantScoped && !spansBuckets;
	const near = isOfOne ? core.nearHandle(tenantId, transaction) : db;
	const embedding = await planEmbedding(core, { db, table }, options);
	const { space, embeds, queuesFailures } = embedding;
	const { bulk: isAsked } = options;
	const bulk =
		isAsked === false || transaction !== undefined
			? undefined
			: indexer.bulkLoad(table, space, isAsked !== true);
	const storeOptions: UpsertCall["options"] = {
		scope: {
			tenantId,
			userId,
			boundUser,
			defaultTenant: settings.defaultTenant,
		},
		provider: embedding.provider,
		space,
		isSpaceClear: embedding.isSpaceClear,
		embeddingCalls: embedder.calls(space),
		queuesFailures,
		merge: options.merge ?? [],
		atomic: options.atomic ?? true,
		beforeWrite: bulk && ((vectors) => bulk.dropIndexesForLoad(vectors)),
		onProgress: options.onProgress,
		signal: options.signal,
	};
	return {
		call: { db: near, table: embedding.table, options: storeOptions },
		get report() {
			return bulk?.report;
		},
		end: async () => bulk?.end(),
		note: async (result, edges) => {
			const { inserted, updated, embeddingsGenerated, embeddingsQueued } =
				result;
			await core.loadStatistics.note(db, {
				table,
				inserted,
				updated,
				tenantId: tenantId ?? settings.defaultTenant ?? undefined,
				isOpen: transaction !== undefined,
			});
			if (embeddingsQueued > 0) embeddings.wake();
			indexer.noteRows(
				table,
				embeds ? space : undefined,
				Math.max(
					inserted,
					embeddingsGenerated,
					inserted + updated > 0 ? edges : 0,
				),
			);
		},
	};
}

/** How the texts of a write get their vectors. */
interface EmbeddingPlan {
	/** The table with the fields that embed in the database at this moment. */
	readonly table: EntityTable;
	readonly space: VectorSpace | undefined;
	/** Whether the call or the configuration names the space: else the table's own was taken. */
	readonly isSpaceClear: boolean;
	readonly embeds: boolean;
	readonly queuesFailures: boolean;
	/** `undefined`: everything is queued. */
	readonly provider: EmbeddingProvider | undefined;
}

/** @internal */
export async function planEmbedding(
	core: ServiceCore,
	{ db, table }: { readonly db: Handle; readonly table: EntityTable },
	options: Pick<
		UpsertRowsOptions,
		| "generateEmbeddings"
		| "embeddingProvider"
		| "embeddingModel"
		| "onEmbeddingError"
	>,
): Promise<EmbeddingPlan> {
	if (table.entity.embedFields.length === 0)
		return {
			table,
			space: undefined,
			isSpaceClear: true,
			embeds: false,
			queuesFailures: false,
			provider: undefined,
		};
	const { models } = core.embeddings;
	const { embeddingProvider: provider, embeddingModel: model } = options;
	const space = await models.space(db, table, { provider, model });
	const embeds = options.generateEmbeddings ?? true;
	const queuesFailures = embeds && options.onEmbeddingError === "queue";
	return {
		table: knownFields(table, await models.fields(db)),
		space,
		isSpaceClear:
			provider !== undefined ||
			model !== undefined ||
			models.isConfigured(space),
		embeds,
		queuesFailures,
		provider: embeds
			? await openProvider(core, { table, space, queuesFailures })
			: undefined,
	};
}

interface Target {
	readonly table: EntityTable;
	readonly space: VectorSpace;
	readonly queuesFailures: boolean;
}

/** Without a provider that can be asked, everything is queued, if that is wanted. */
async function openProvider(
	{ embeddings }: ServiceCore,
	{ table, space, queuesFailures }: Target,
): Promise<EmbeddingProvider | undefined> {
	try {
		const { provider } = await embeddings.openFor(table, space);
		return provider;
	} catch (error) {
		if (!isProviderError(error)) throw error;
		if (queuesFailures) return undefined;
		throw withHint(error, "or pass generateEmbeddings: false");
	}
}

function checkBulk({
	bulk,
	transaction,
}: Pick<UpsertRowsOptions, "bulk" | "transaction">): void {
	if (!bulk || transaction === undefined) return;
	throw new RemError(
		"VALIDATION",
		"bulk is not possible inside a transaction",
		{
			hint: "an index is dropped outside of transactions, and would wait for this one; call batchUpsert on the service, or without bulk",
		},
	);
}
