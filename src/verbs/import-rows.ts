import { importIntoBuckets } from "../buckets/import-into-buckets.ts";
import { options } from "../calls/arguments.ts";
import { async, counts, traced } from "../calls/public-methods.ts";
import { importInto } from "../core/import-into.ts";
import {
	flag,
	oneOf,
	signal,
	tenantName,
	typeName,
	wholeNumber,
} from "../models/checks.ts";
import { definitionOf, isArrayType } from "../models/column-types.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
} from "../models/options.ts";
import { exportText } from "../store/export-format.ts";
import type {
	ExportText,
	ImportProgress,
	ImportResult,
} from "../store/export-result.ts";
import { type CallScope, wholeScope } from "./call-options.ts";
import { type BucketCaller, type ForeignRow, succeeds, verb } from "./verb.ts";

export interface ImportRowsOptions extends CallScope {
	/** What `exportRows` wrote: a text, or an (async) iterable of its pieces, such as a stream that reads its file. */
	readonly text: string | ExportText;
	/**
	 * `"use"`: the vectors of the export are stored as they are; those that searches
	 * use must be of the model that the table has here. `"skip"`: they are left out,
	 * and the texts are queued for the model of the table. @default "use"
	 */
	readonly vectors?: "use" | "skip";
	/**
	 * The tenant whose rows the export has: they become those of `tenantId`, which has to
	 * be given. Rows of another one are refused. @default rows remain their tenant's
	 */
	readonly fromTenant?: string;
	/**
	 * With `fromTenant`: each row gets an id that is derived from its own and `tenantId`,
	 * the same one in every import. For a copy in a database that has the rows already. @default false
	 */
	readonly newIds?: boolean;
	/**
	 * Rows per transaction. The same call continues an import that was stopped: rows
	 * whose stored row is equal are not written again. Not with `transaction`.
	 * @default all rows are one transaction
	 */
	readonly commitEvery?: number;
	readonly onProgress?: (progress: ImportProgress) => void;
	/** Once aborted, nothing is written. */
	readonly signal?: AbortSignal;
}

export interface ImportRows {
	/**
	 * Writes the rows of an export as they were: ids, times, edges, users, vectors,
	 * soft-deleted rows. No provider is asked. One transaction, in constant memory:
	 * where a line is broken, nothing is written (`commitEvery`: of that part). A stored row of the same id is
	 * replaced where it differs. With a tenant or user, the rows must be theirs.
	 *
	 * @example
	 * await service.importRows({ text: createReadStream("rows.jsonl") })
	 * // { inserted: 2, updated: 0, unchanged: 0, vectors: 2, embeddingsGenerated: 0, embeddingsQueued: 0, tables: { … } }
	 */
	importRows(options: ImportRowsOptions): Promise<ImportResult>;
}

const checks: OptionChecks<ImportRowsOptions> = {
	...wholeScope,
	text: required(textOrPieces),
	vectors: oneOf("use", "skip"),
	fromTenant: tenantName,
	newIds: flag,
	commitEvery: wholeNumber(1),
	onProgress: progressCallback,
	signal,
};

/** @internal */
export const importRows = verb({
	name: "importRows",
	method: traced(async(options(checks)), {
		operation: "importRows",
		found: counts(
			"inserted",
			"updated",
			"unchanged",
			"vectors",
			"embeddingsQueued",
		),
	}),
	scopeAt: 0,
	buckets: ({ buckets }: BucketCaller, call: ImportRowsOptions) =>
		importIntoBuckets(buckets, call),
	run: ({ core }, call: ImportRowsOptions): Promise<ImportResult> =>
		importInto(core, call),
	probe: {
		does: "takes over",
		reaches: (call, row, { tenantId, transaction }) =>
			succeeds(
				transaction.transaction((inner) =>
					call({
						text: exportOf(row, tenantId),
						tenantId,
						transaction: inner,
					}),
				),
				["DUPLICATE_KEY"],
			),
	},
});

/** @internal An export of a row of that id, with what the model needs of it, in the tenant that tries. */
export function exportOf(
	{ table, id, key }: ForeignRow,
	tenantId: string,
): string {
	const { entity } = table;
	const needed = entity.fields.filter(
		({ nullable, defaultValue }) => !nullable && defaultValue === undefined,
	);
	const row: Record<string, unknown> = { id };
	if (entity.tenantScoped) row.tenant_id = tenantId;
	for (const { column, type } of needed)
		row[column] =
			type === "text"
				? (key ?? id)
				: isArrayType(type)
					? []
					: definitionOf(type).empty.value;
	return exportText(entity.tableName, row);
}

/** @internal A text, or an iterable of its pieces. */
export function textOrPieces(value: unknown): string | undefined {
	const isIterable =
		typeof value === "string" ||
		(typeof value === "object" &&
			value !== null &&
			(Symbol.iterator in value || Symbol.asyncIterator in value));
	return isIterable
		? undefined
		: `must be the text of an export, or an iterable of its pieces, not ${typeName(value)}`;
}
