import type { Handle } from "../db/database.ts";
import { insideTransaction } from "../db/open-transaction.ts";
import { stoppable } from "../db/stoppable.ts";
import { RemError } from "../errors.ts";
import { isSameSpace } from "../models/vector.ts";
import { planSettings } from "../store/batch-upsert.ts";
import type {
	ExportText,
	ImportedCount,
	ImportProgress,
	ImportResult,
} from "../store/export-result.ts";
import { importRows } from "../store/import-rows.ts";
import {
	type ImportedTable,
	type OpenedExport,
	openExport,
} from "../store/read-export.ts";
import { importInParts } from "./import-parts.ts";
import type { ServiceCore } from "./service-core.ts";

export interface ImportCall {
	readonly text: string | ExportText;
	readonly vectors?: "use" | "skip";
	readonly commitEvery?: number;
	readonly tenantId?: string;
	readonly userId?: string | null;
	readonly fromTenant?: string;
	readonly newIds?: boolean;
	readonly transaction?: Handle;
	readonly onProgress?: (progress: ImportProgress) => void;
	readonly signal?: AbortSignal;
}

/**
 * @internal
 * The policy round an import: whose rows they may be, whether the vectors are of
 * the model in use here, and what is to do behind it (statistics, the embedding
 * worker, indexes that pay now). The write itself is the store's.
 */
export async function importInto(
	core: ServiceCore,
	call: ImportCall,
): Promise<ImportResult> {
	const { text, userId, transaction, signal } = call;
	const tenantId = core.settings.rowLevelSecurity
		? core.tenant(call.tenantId)
		: call.tenantId;
	const opened = await openExport(text, core.registry, { ...call, tenantId });
	const skipsVectors = call.vectors === "skip";
	const source = core.handle(tenantId, transaction);
	const db = stoppable(source, signal);
	return importInParts(opened, call, async (part, onProgress) => {
		const result = await db.transaction(
			(tx) =>
				// The embedded database has one connection: a text that is read from it
				// by the service would wait for the import, which waits for it.
				insideTransaction(core.db, async () => {
					if (!skipsVectors)
						for (const table of part.tables) await checkModel(core, tx, table);
					return importRows(tx, part, {
						skipsVectors,
						userId,
						onProgress,
						signal,
					});
				}),
			{ settings: planSettings, isLimited: true },
		);
		await noteRows(core, source, { opened: part, result, call });
		return result;
	});
}

/** @internal Vectors of the export's active model must be of the model that is active here. */
export async function checkModel(
	{ embeddings }: ServiceCore,
	tx: Handle,
	{ table, models }: ImportedTable,
): Promise<void> {
	const own = models.find(({ state }) => state === "active");
	if (own === undefined) return;
	const space = await embeddings.models.space(tx, table);
	if (isSameSpace(own, space)) return;
	const isLength = own.provider === space.provider && own.model === space.model;
	throw new RemError(
		isLength ? "DIMENSION_MISMATCH" : "PROVIDER_NOT_CONFIGURED",
		`the vectors of "${table.entity.tableName}" in the export are of ${own.provider}/${own.model} (${own.dimensions} dimensions), the table's here of ${space.provider}/${space.model} (${space.dimensions})`,
		{
			hint: `nothing was written; configure that model (EMBEDDING__PROVIDER, EMBEDDING__MODEL, EMBEDDING__DIMENSIONS), or leave the vectors out and embed the texts again: vectors: "skip", rem load --skip-vectors`,
		},
	);
}

interface Imported {
	readonly opened: OpenedExport;
	readonly result: ImportResult;
	readonly call: ImportCall;
}

async function noteRows(
	core: ServiceCore,
	db: Handle,
	{ opened, result, call }: Imported,
): Promise<void> {
	for (const imported of opened.tables) {
		const count = result.tables[imported.table.entity.tableName];
		if (count !== undefined)
			await noteImported(core, db, { imported, count, call });
	}
	wakeAfterImport(core, result);
}

/** @internal What has to follow the import of a table's rows. */
export async function noteImported(
	{ indexer, loadStatistics }: ServiceCore,
	db: Handle,
	{
		imported: { table, models },
		count,
		call,
	}: {
		readonly imported: ImportedTable;
		readonly count: ImportedCount;
		readonly call: ImportCall;
	},
): Promise<void> {
	await loadStatistics.note(db, {
		table,
		inserted: count.inserted,
		updated: count.updated,
		tenantId: call.tenantId,
		isOpen: call.transaction !== undefined,
	});
	const space =
		call.vectors === "skip"
			? undefined
			: models.find(({ state }) => state === "active");
	indexer.noteRows(
		table,
		space,
		Math.max(count.inserted, count.vectors, count.edges),
	);
}

/** @internal */
export function wakeAfterImport(
	{ embeddings }: ServiceCore,
	{ embeddingsQueued }: Pick<ImportResult, "embeddingsQueued">,
): void {
	embeddings.models.forget();
	if (embeddingsQueued > 0) embeddings.wake();
}
