import type { Handle } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import { validatePatch } from "../models/validate-patch.ts";
import type { MergeField } from "../store/merge.ts";
import { updateRows as updateStored } from "../store/update-rows.ts";
import type { UpdateResult } from "../store/upsert-result.ts";
import type { ServiceCore } from "./service-core.ts";
import { planEmbedding } from "./upsert-rows.ts";

/** An update, whatever the entity. */
export interface UpdateRowsOptions {
	/** Which of the live rows; it names their tenant, where they have one. */
	readonly filter: Readonly<Record<string, unknown>>;
	readonly patch: Readonly<Record<string, unknown>>;
	/** `undefined` for entities without tenants. */
	readonly tenantId: string | undefined;
	readonly generateEmbeddings?: boolean | undefined;
	readonly onEmbeddingError?: "fail" | "queue" | undefined;
	readonly merge?: readonly MergeField[] | undefined;
	readonly transaction?: Handle | undefined;
}

/**
 * @internal
 * The policy round an update of rows: which model embeds the texts of the patch,
 * and what is to do behind it. A patch without texts asks no provider.
 */
export async function updateRows(
	core: ServiceCore,
	table: EntityTable,
	options: UpdateRowsOptions,
): Promise<UpdateResult> {
	const { embeddings, embedder, indexer, settings } = core;
	const { filter, tenantId, merge = [] } = options;
	const patch = validatePatch(table.entity, options.patch, {
		tenantId,
		defaultTenant: settings.defaultTenant,
	});
	const db = table.entity.tenantScoped
		? core.handle(tenantId, options.transaction)
		: core.source(options.transaction);
	const hasText = table.entity.embedFields.some(
		({ name }) => name in patch.supplied,
	);
	const embedding = await planEmbedding(
		core,
		{ db, table },
		{
			generateEmbeddings: hasText && (options.generateEmbeddings ?? true),
			onEmbeddingError: options.onEmbeddingError,
		},
	);
	const { space, embeds } = embedding;
	const result = await updateStored(
		db,
		embedding.table,
		{ filter, patch, tenantId },
		{
			scope: { tenantId, defaultTenant: settings.defaultTenant },
			provider: embedding.provider,
			space,
			isSpaceClear: embedding.isSpaceClear,
			embeddingCalls: embedder.calls(space),
			queuesFailures: embedding.queuesFailures,
			merge,
			atomic: true,
		},
	);
	if (result.embeddingsQueued > 0) embeddings.wake();
	const { graphEdges } = patch.supplied;
	const edges = Array.isArray(graphEdges) ? graphEdges.length : 0;
	indexer.noteRows(
		table,
		embeds ? space : undefined,
		Math.max(result.embeddingsGenerated, edges * result.updated),
	);
	return result;
}
