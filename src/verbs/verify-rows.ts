import type { Buckets } from "../buckets/buckets.ts";
import { routeExport } from "../buckets/import-into-buckets.ts";
import { options } from "../calls/arguments.ts";
import { async, counts, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { insideTransaction } from "../db/open-transaction.ts";
import { stoppable } from "../db/stoppable.ts";
import { flag, oneOf, signal, tenantName } from "../models/checks.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
} from "../models/options.ts";
import type {
	ExportText,
	ImportProgress,
	VerifyRowsResult,
} from "../store/export-result.ts";
import {
	type ImportedRow,
	type OpenedExport,
	openExport,
} from "../store/read-export.ts";
import { verifyBatches } from "../store/verify-rows.ts";
import { type CallScope, wholeScope } from "./call-options.ts";
import { exportOf, textOrPieces } from "./import-rows.ts";
import { type BucketCaller, verb } from "./verb.ts";

export interface VerifyRowsOptions extends CallScope {
	/** What `exportRows` wrote: a text, or an (async) iterable of its pieces, such as a stream that reads its file. */
	readonly text: string | ExportText;
	/** `"skip"`: vectors are not compared. @default "use" */
	readonly vectors?: "use" | "skip";
	/** As of the import that it checks. @default rows are compared with their own tenant's */
	readonly fromTenant?: string;
	/** As of the import that it checks. @default false */
	readonly newIds?: boolean;
	/** Called after each batch with the number of rows compared so far. */
	readonly onProgress?: (progress: ImportProgress) => void;
	/** Ends the comparison with `CANCELLED`. */
	readonly signal?: AbortSignal;
}

export interface VerifyRows {
	/**
	 * Compares every row of an export with the stored row of the same id: values by
	 * their types, vectors bit by bit. Use it after an import, or to check a backup.
	 * Reads one snapshot, in constant memory; stored rows that the export lacks are not
	 * compared. `VALIDATION` if the text is not an export, `TENANT_MISMATCH` if a row is
	 * of another tenant or user than the call's.
	 *
	 * @example
	 * await service.verifyRows({ text: createReadStream("rows.jsonl") })
	 * // { rows: 2, vectors: 2, tenants: 1, missing: 0, differing: 0, differences: [], tables: { … } }
	 */
	verifyRows(options: VerifyRowsOptions): Promise<VerifyRowsResult>;
}

const checks: OptionChecks<VerifyRowsOptions> = {
	...wholeScope,
	text: required(textOrPieces),
	vectors: oneOf("use", "skip"),
	fromTenant: tenantName,
	newIds: flag,
	onProgress: progressCallback,
	signal,
};

/** @internal */
export const verifyRows = verb({
	name: "verifyRows",
	method: traced(async(options(checks)), {
		operation: "verifyRows",
		found: counts("rows", "missing", "differing"),
	}),
	scopeAt: 0,
	buckets: ({ buckets }: BucketCaller, call: VerifyRowsOptions) =>
		compare(buckets, call, (opened) => routeExport(buckets, opened)),
	run: ({ core }, call: VerifyRowsOptions): Promise<VerifyRowsResult> =>
		compare(core, call, ({ rows }) => rows),
	probe: {
		does: "finds",
		reaches: async (call, row, { tenantId, transaction }) => {
			const text = exportOf(row, tenantId);
			const { missing } = await call({ text, tenantId, transaction });
			return missing === 0;
		},
	},
});

async function compare(
	core: ServiceCore | Buckets,
	call: VerifyRowsOptions,
	rowsOf: (opened: OpenedExport) => AsyncGenerator<ImportedRow>,
): Promise<VerifyRowsResult> {
	const { text, userId, transaction, onProgress } = call;
	const tenantId = core.settings.rowLevelSecurity
		? core.tenant(call.tenantId)
		: call.tenantId;
	const opened = await openExport(text, core.registry, { ...call, tenantId });
	const db = stoppable(core.handle(tenantId, transaction), call.signal);
	return db.transaction(
		(tx) =>
			insideTransaction(core.db, () =>
				verifyBatches(tx, rowsOf(opened), {
					tables: opened.tables,
					tenantId,
					userId,
					skipsVectors: call.vectors === "skip",
					onProgress,
				}),
			),
		{ isolation: "repeatable read", readOnly: true, isLimited: true },
	);
}
