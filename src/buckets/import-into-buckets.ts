import {
	checkModel,
	type ImportCall,
	importInto,
	noteImported,
	wakeAfterImport,
} from "../core/import-into.ts";
import { importInParts } from "../core/import-parts.ts";
import { insideTransaction } from "../db/open-transaction.ts";
import { stoppable } from "../db/stoppable.ts";
import { planSettings } from "../store/batch-upsert.ts";
import type { ImportedCount, ImportResult } from "../store/export-result.ts";
import { importRows } from "../store/import-rows.ts";
import {
	type ImportedRow,
	type ImportedTable,
	type OpenedExport,
	openExport,
} from "../store/read-export.ts";
import { elementAt } from "../util/present.ts";
import type { Buckets } from "./buckets.ts";

/** Rows that are read before they are grouped by bucket and written. */
const windowRows = 4000;

/** Writes each row into the bucket of its tenant, and rows without tenants into all, in one transaction. */
export async function importIntoBuckets(
	buckets: Buckets,
	call: ImportCall,
): Promise<ImportResult> {
	const { text, userId, transaction, signal } = call;
	const tenantId = buckets.settings.rowLevelSecurity
		? buckets.tenant(call.tenantId)
		: call.tenantId;
	if (tenantId !== undefined && buckets.allHaveTenants)
		return importInto(buckets.of(tenantId), { ...call, tenantId });
	const opened = await openExport(text, buckets.registry, {
		...call,
		tenantId,
	});
	const places = placesOf(buckets, opened.tables);
	const skipsVectors = call.vectors === "skip";
	const source = buckets.handle(tenantId, transaction);
	const db = stoppable(source, signal);
	return importInParts(opened, call, async (part, onProgress) => {
		const written = new Map<ImportedTable, ImportedCount>();
		const result = await db.transaction(
			(tx) =>
				insideTransaction(buckets.db, async () => {
					if (!skipsVectors)
						for (const { inBuckets } of places)
							for (const [at, table] of inBuckets.entries())
								await checkModel(buckets.at(at), tx, table);
					const tables = places.flatMap(({ inBuckets }) => inBuckets);
					const rows = byBucket(buckets, part.rows, places);
					return importRows(
						tx,
						{ ...part, tables, rows },
						{
							skipsVectors,
							userId,
							onProgress,
							signal,
							onWritten: (table, count) => written.set(table, count),
						},
					);
				}),
			{ settings: planSettings, isLimited: true },
		);
		for (const { inBuckets } of places)
			for (const [at, imported] of inBuckets.entries()) {
				const count = written.get(imported);
				if (count === undefined || count.inserted + count.updated === 0)
					continue;
				const core = buckets.at(at);
				await noteImported(core, source, { imported, count, call });
				wakeAfterImport(core, count);
			}
		return result;
	});
}

/** The rows of an export, each with the table of its tenant's bucket; rows without tenants once for each bucket. */
export function routeExport(
	buckets: Buckets,
	{ tables, rows }: OpenedExport,
): AsyncGenerator<ImportedRow> {
	return byBucket(buckets, rows, placesOf(buckets, tables));
}

interface Place {
	readonly table: ImportedTable;
	/** The same table in each bucket, by the number of the bucket. */
	readonly inBuckets: readonly ImportedTable[];
}

function placesOf(buckets: Buckets, tables: readonly ImportedTable[]): Place[] {
	return tables.map((table) => ({
		table,
		inBuckets: inEachBucket(buckets, table),
	}));
}

function inEachBucket(
	buckets: Buckets,
	imported: ImportedTable,
): ImportedTable[] {
	const { tableName, tenantScoped } = imported.table.entity;
	return buckets.all().map(({ registry }, at) => ({
		...imported,
		table: registry.get(tableName),
		...(tenantScoped || at === 0 ? {} : { isCopy: true as const }),
	}));
}

/** The rows, each with the table it is written to, grouped by table within a window. */
async function* byBucket(
	buckets: Buckets,
	rows: AsyncIterable<ImportedRow>,
	places: readonly Place[],
): AsyncGenerator<ImportedRow> {
	let window = new Map<ImportedTable, ImportedRow[]>();
	let count = 0;
	for await (const row of rows) {
		for (const table of tablesOf(buckets, row, places)) {
			const group = window.get(table) ?? [];
			window.set(table, group);
			group.push({ ...row, table });
		}
		if (++count < windowRows) continue;
		for (const group of window.values()) yield* group;
		window = new Map();
		count = 0;
	}
	for (const group of window.values()) yield* group;
}

function tablesOf(
	buckets: Buckets,
	{ table, texts }: ImportedRow,
	places: readonly Place[],
): readonly ImportedTable[] {
	const place = places.find((one) => one.table === table);
	if (place === undefined) return [];
	const { entity } = table.table;
	if (!entity.tenantScoped) return place.inBuckets;
	const tenantAt = table.fields.findIndex(({ name }) => name === "tenantId");
	const tenantId = texts[tenantAt] ?? buckets.tenant(undefined);
	return [elementAt(place.inBuckets, buckets.numberOf(tenantId))];
}
