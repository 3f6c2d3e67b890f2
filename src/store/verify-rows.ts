import type { Handle } from "../db/database.ts";
import { batches } from "./batches.ts";
import { type ComparedScope, compareRows } from "./compare-rows.ts";
import type {
	ImportProgress,
	RowDifference,
	VerifiedCount,
	VerifyRowsResult,
} from "./export-result.ts";
import type { ImportedRow, ImportedTable } from "./read-export.ts";

const maxDifferences = 100;

interface VerifyOptions extends ComparedScope {
	/** All tables of the export. */
	readonly tables: readonly ImportedTable[];
	readonly skipsVectors: boolean;
	readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
}

/** Compares rows of an export with the stored ones, batch by batch. */
export async function verifyBatches(
	db: Handle,
	rows: AsyncIterable<ImportedRow>,
	options: VerifyOptions,
): Promise<VerifyRowsResult> {
	const { skipsVectors, tenantId, userId, onProgress } = options;
	const compared = { skipsVectors, tenantId, userId };
	const tables: Record<string, VerifiedCount> = {};
	for (const { table } of options.tables)
		tables[table.entity.tableName] = nothing;
	const tenants = new Set<string>();
	/** Lines of rows without tenants that were counted: they are compared once for each bucket. */
	const counted = new Set<number>();
	const differences: RowDifference[] = [];
	let total = nothing;
	for await (const batch of batches(rows)) {
		const [{ table }] = batch;
		const { tableName } = table.table.entity;
		const results = await compareRows(db, batch, compared);
		const count = { ...nothing };
		batch.forEach((row, at) => {
			const result = results[at];
			const tenantId = tenantOf(row);
			if (tenantId !== null) tenants.add(tenantId);
			if (table.isCopy !== true) {
				count.rows++;
				count.vectors += skipsVectors ? 0 : row.vectors.length;
			}
			if (result === undefined || result.kind === "equal") return;
			if (!table.table.entity.tenantScoped) {
				if (counted.has(row.line)) return;
				counted.add(row.line);
			}
			count[result.kind === "missing" ? "missing" : "differing"]++;
			if (differences.length < maxDifferences)
				differences.push({
					table: tableName,
					id: row.id,
					tenantId,
					line: row.line,
					kind: result.kind,
					fields: result.kind === "missing" ? [] : result.fields,
				});
		});
		tables[tableName] = add(tables[tableName] ?? nothing, count);
		total = add(total, count);
		onProgress?.({ rows: total.rows });
	}
	return { ...total, tenants: tenants.size, differences, tables };
}

const nothing: VerifiedCount = {
	rows: 0,
	vectors: 0,
	missing: 0,
	differing: 0,
};

function add(a: VerifiedCount, b: VerifiedCount): VerifiedCount {
	return {
		rows: a.rows + b.rows,
		vectors: a.vectors + b.vectors,
		missing: a.missing + b.missing,
		differing: a.differing + b.differing,
	};
}

/** `null`: of an entity without tenants. */
function tenantOf({ table, texts }: ImportedRow): string | null {
	const at = table.fields.findIndex(({ name }) => name === "tenantId");
	return table.table.entity.tenantScoped ? (texts[at] ?? null) : null;
}
