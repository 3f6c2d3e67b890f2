import type { Handle } from "../db/database.ts";
import { RemError, withParts } from "../errors.ts";
import type {
	ImportedCount,
	ImportProgress,
	ImportResult,
} from "../store/export-result.ts";
import { add, noRows } from "../store/import-rows.ts";
import type { ImportedRow, OpenedExport } from "../store/read-export.ts";

interface PartsOptions {
	/** @default all rows are one part */
	readonly commitEvery?: number;
	readonly transaction?: Handle;
	readonly onProgress?: (progress: ImportProgress) => void;
}

type WritePart = (
	part: OpenedExport,
	onProgress: ((progress: ImportProgress) => void) | undefined,
) => Promise<ImportResult>;

/**
 * @internal
 * The import in one transaction, or in one for each `commitEvery` rows. The same call
 * continues an import that was stopped: rows whose stored row is equal are not
 * written again.
 */
export async function importInParts(
	opened: OpenedExport,
	{ commitEvery, transaction, onProgress }: PartsOptions,
	write: WritePart,
): Promise<ImportResult> {
	if (commitEvery === undefined) return write(opened, onProgress);
	if (transaction !== undefined)
		throw new RemError(
			"VALIDATION",
			"commitEvery needs transactions of its own, and the call is part of one",
			{ hint: "leave out commitEvery, or transaction" },
		);
	let total: ImportResult | undefined;
	for await (const rows of partsOf(opened.rows, commitEvery)) {
		const done = total === undefined ? 0 : rowsOf(total);
		try {
			const result = await write(
				{ ...opened, rows },
				onProgress &&
					((progress) => onProgress({ rows: done + progress.rows })),
			);
			total = total === undefined ? result : addResults(total, result);
		} catch (error) {
			throw done === 0 ? error : withCommitted(error, done);
		}
	}
	return total ?? write(opened, onProgress);
}

/** Parts of `size` rows. Each must be read to its end before the next; there is at least one, which may be empty. */
async function* partsOf(
	rows: AsyncGenerator<ImportedRow>,
	size: number,
): AsyncGenerator<AsyncGenerator<ImportedRow>> {
	try {
		let next = await rows.next();
		async function* part(): AsyncGenerator<ImportedRow> {
			for (let count = 0; count < size && next.done !== true; count++) {
				yield next.value;
				next = await rows.next();
			}
		}
		do yield part();
		while (next.done !== true);
	} finally {
		await rows.return(undefined);
	}
}

function rowsOf({ inserted, updated, unchanged }: ImportResult): number {
	return inserted + updated + unchanged;
}

function addResults(a: ImportResult, b: ImportResult): ImportResult {
	const tables: Record<string, ImportedCount> = { ...a.tables };
	for (const [name, count] of Object.entries(b.tables))
		tables[name] = add(tables[name] ?? noRows, count);
	return { ...add(a, b), embeddingsGenerated: 0, tables };
}

function withCommitted(error: unknown, rows: number): unknown {
	if (!(error instanceof RemError)) return error;
	const remedy = (error.hint ?? "").replace(/^nothing was written(?:; )?/, "");
	return withParts(error, {
		hint: `the first ${rows} rows are committed, and importing the export again continues after them${remedy === "" ? "" : `; ${remedy}`}`,
	});
}
