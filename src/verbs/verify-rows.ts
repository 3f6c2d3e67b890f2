import type { Buckets } from "../buckets/buckets.ts";
import { routeExport } from "../buckets/import-into-buckets.ts";
import { options } from "../calls/arguments.ts";
import { async, counts, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { insideTransaction } from "../db/open-transaction.ts";
import { stoppable } from "../db/stoppable.ts";
import { oneOf, signal } from "../models/checks.ts";
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
import { type CallScope, callScope } from "./call-options.ts";
import { textOrPieces } from "./import-rows.ts";
import { type BucketCaller, verb } from "./verb.ts";

export interface VerifyRowsOptions extends CallScope {
	/** What `exportRows` wrote: a text, or an (async) iterable of its pieces, such as a stream that reads its file. */
	readonly text: string | ExportText;
	/** `"skip"`: vectors are not compared. @default "use" */
	readonly vectors?: "use" | "skip";
	readonly onProgress?: (progress: ImportProgress) => void;
	readonly signal?: AbortSignal;
}

export interface VerifyRows {
	/**
	 * Compares every row of an export with the stored row of its id: all values by
	 * their types, and vectors bit by bit. For after an import, or as a check of a
	 * backup. Reads one moment, in constant memory; rows that the export does not have are not looked at.
	 *
	 * @example
	 * await service.verifyRows({ text: createReadStream("rows.jsonl") })
	 * // { rows: 2, vectors: 2, tenants: 1, missing: 0, differing: 0, differences: [], tables: { … } }
	 */
	verifyRows(options: VerifyRowsOptions): Promise<VerifyRowsResult>;
}

const checks: OptionChecks<VerifyRowsOptions> = {
	...callScope,
	text: required(textOrPieces),
	vectors: oneOf("use", "skip"),
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
	const opened = await openExport(
		typeof text === "string" ? [text] : text,
		core.registry,
		{ tenantId, userId },
	);
	const db = stoppable(core.handle(tenantId, transaction), call.signal);
	return db.transaction(
		(tx) =>
			insideTransaction(core.db, () =>
				verifyBatches(tx, rowsOf(opened), {
					tables: opened.tables,
					skipsVectors: call.vectors === "skip",
					onProgress,
				}),
			),
		{ isolation: "repeatable read", readOnly: true, isLimited: true },
	);
}
