import { options } from "../calls/arguments.ts";
import { async, counts, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { insideTransaction } from "../db/open-transaction.ts";
import { stoppable } from "../db/stoppable.ts";
import { callersOwnErrors, RemError } from "../errors.ts";
import { anyText, callback, flag, listOf, signal } from "../models/checks.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
} from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ExportProgress, ExportResult } from "../store/export-result.ts";
import { exportRows as writeRows } from "../store/export-rows.ts";
import {
	type CallScope,
	type Models,
	type TableName,
	wholeScope,
} from "./call-options.ts";
import { type BucketCaller, verb } from "./verb.ts";

export interface ExportRowsOptions<M extends Models, T extends TableName<M>>
	extends CallScope {
	/** Takes the next lines of the export: a megabyte or so of text. What it returns is awaited before more is read. */
	readonly write: (text: string) => unknown;
	/** @default all of the service's models */
	readonly tables?: readonly T[];
	/** With the vectors of each model, bit by bit. @default false */
	readonly vectors?: boolean;
	/** With soft-deleted rows. @default false */
	readonly deleted?: boolean;
	readonly onProgress?: (progress: ExportProgress) => void;
	readonly signal?: AbortSignal;
}

export interface ExportRows<M extends Models> {
	/**
	 * Writes rows as lines of JSON that `importRows` reads without
	 * loss: ids, times, edges, users, and with `vectors` the vectors. All are of one
	 * moment, in constant memory. Without a tenant they are those of all tenants,
	 * as in `find`. The format is described in docs/move-data.md.
	 *
	 * @example
	 * const file = createWriteStream("rows.jsonl")
	 * await service.exportRows({ write: (text) => file.write(text), tables: ["documents"], vectors: true })
	 * // { rows: 2, vectors: 2, tables: { documents: { rows: 2, vectors: 2 } } }
	 */
	exportRows<T extends TableName<M>>(
		options: ExportRowsOptions<M, T>,
	): Promise<ExportResult>;
}

type Options = ExportRowsOptions<Models, string>;

const checks: OptionChecks<Options> = {
	...wholeScope,
	write: required(callback),
	tables: listOf(anyText),
	vectors: flag,
	deleted: flag,
	onProgress: progressCallback,
	signal,
};

/** @internal */
export const exportRows = verb({
	name: "exportRows",
	method: traced(async(options(checks)), {
		operation: "exportRows",
		found: counts("rows", "vectors"),
	}),
	scopeAt: 0,
	buckets: async ({ buckets }: BucketCaller, call: Options) => {
		const tenantId = tenantOfCall(buckets, call);
		const tables = tablesOfCall(buckets, call.tables);
		return tenantId === undefined
			? writeTables(buckets, call, {
					tenantId,
					tables: tables.flatMap((table) => buckets.tablesOf(table)),
				})
			: writeTables(buckets, call, {
					tenantId,
					tables: tables.map(({ entity }) =>
						buckets.of(tenantId).registry.get(entity.tableName),
					),
				});
	},
	run: async ({ core }, call: Options): Promise<ExportResult> =>
		writeTables(core, call, {
			tenantId: tenantOfCall(core, call),
			tables: tablesOfCall(core, call.tables),
		}),
	probe: {
		does: "finds",
		reaches: async (call, { table, id }, scope) => {
			let text = "";
			await call({
				...scope,
				tables: [table.entity.tableName],
				write: (lines) => {
					text += lines;
				},
			});
			return text.includes(id);
		},
	},
});

/** A strict service names its tenant in every call. */
function tenantOfCall(
	core: ServiceCore,
	{ tenantId }: Options,
): string | undefined {
	const { defaultTenant, rowLevelSecurity } = core.settings;
	return defaultTenant === null || rowLevelSecurity
		? core.tenant(tenantId)
		: tenantId;
}

/** One snapshot, whatever the number of tables. */
function writeTables(
	core: ServiceCore,
	call: Options,
	{
		tenantId,
		tables,
	}: {
		readonly tenantId: string | undefined;
		readonly tables: readonly EntityTable[];
	},
): Promise<ExportResult> {
	const db = stoppable(core.handle(tenantId, call.transaction), call.signal);
	return db.transaction(
		(tx) =>
			// The embedded database has one connection: a call of `write` that
			// uses the service would wait for the export, which waits for it.
			insideTransaction(core.db, () =>
				writeRows(tx, {
					tables,
					tenantId,
					userId: call.userId,
					vectors: call.vectors ?? false,
					deleted: call.deleted ?? false,
					write: (text) => callersOwnErrors(() => call.write(text)),
					onProgress: call.onProgress,
				}),
			),
		{ isolation: "repeatable read", readOnly: true, isLimited: true },
	);
}

/** The tables that a call names, each once; all of the service's where it names none. */
function tablesOfCall(
	{ registry }: ServiceCore,
	names: readonly string[] | undefined,
): readonly EntityTable[] {
	if (names === undefined) return registry.all();
	if (names.length === 0)
		throw new RemError("VALIDATION", "tables names no table", {
			hint: "leave it out for all tables",
		});
	return [...new Set(names.map((name) => registry.get(name)))];
}
