import { resolve } from "node:path";
import { readEnvironment } from "../../config.ts";
import type { Entity } from "../../models/entity.ts";
import { Registry } from "../../models/registry.ts";
import { UsageError } from "../failure.ts";
import {
	type AnyService,
	migrateAloud,
	modelsOf,
	withService,
} from "../open-service.ts";
import { type Invocation, type ScopeOptions, scopeOf } from "../options.ts";
import { drainAloud } from "../output/index-progress.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";
import { type Format, hyphen, type InputFile } from "./input-file.ts";
import {
	type CheckedExport,
	checkExport,
	type ExportScope,
	exportJson,
	exportLines,
	isDifferent,
	type LoadedExport,
	loadExport,
} from "./load-export.ts";
import { type LoadTarget, loadRows } from "./load-rows.ts";
import {
	type GroupSummary,
	groupJson,
	summaryJson,
	summaryLines,
	totalLine,
} from "./load-summary.ts";
import type { MapOption } from "./mapping.ts";
import { openFiles } from "./open-files.ts";
import { type LoadPlan, planLoad } from "./plan-load.ts";
import type { RowGroup } from "./source.ts";
import type { FileRow } from "./watch-files.ts";

export interface LoadCommandOptions extends ScopeOptions {
	readonly table?: string;
	readonly format?: Format;
	readonly map?: readonly MapOption[];
	readonly skipInvalid?: boolean;
	readonly dryRun?: boolean;
	readonly embeddings: boolean;
	readonly bulk?: boolean;
	readonly onEmbeddingError: "fail" | "queue";
	readonly skipVectors?: boolean;
	readonly fromTenant?: string;
	readonly newIds?: boolean;
	readonly commitEvery?: number;
	readonly verify?: boolean;
	readonly watch?: boolean;
	readonly deleteRemoved?: boolean;
}

/** Checks every row of every file, then writes them, file by file; with `--watch` again whenever one changes. */
export async function runLoad(
	files: readonly string[],
	options: LoadCommandOptions,
	invocation: Invocation,
): Promise<void> {
	const terminal = new Terminal(options);
	const models = await modelsOf(options);
	const { signal } = invocation;
	const run = { terminal, models, options, signal };
	if (!options.watch) {
		const { exports } = await loadFiles(files, run, (work) =>
			withService(
				terminal,
				{ ...options, entities: models, takesAnyTables: true },
				work,
			),
		);
		if (exports.some(isDifferent)) invocation.exitCode = 3;
		return;
	}
	if (options.dryRun || files.includes(hyphen))
		throw new UsageError(
			options.dryRun
				? "--watch loads what changes: leave out --dry-run"
				: "standard input (-) cannot be watched",
		);
	const { watchFiles } = await import("./watch-files.ts");
	await withService(
		terminal,
		{ ...options, entities: models, takesAnyTables: true },
		(service) =>
			watchFiles(files, {
				terminal,
				invocation,
				load: async (changed) =>
					rowsOfFiles(await loadFiles(changed, run, (work) => work(service))),
				...(options.deleteRemoved
					? {
							remove: ({ entity, id }) =>
								service.repository(entity).delete(id, options.tenant),
						}
					: {}),
			}),
	);
}

interface LoadRun {
	readonly terminal: Terminal;
	readonly models: readonly Entity[];
	readonly options: LoadCommandOptions;
	readonly signal: AbortSignal;
}

async function loadFiles(
	files: readonly string[],
	{ terminal, models, options, signal }: LoadRun,
	withTarget: (
		work: (service: AnyService) => Promise<Loaded>,
	) => Promise<Loaded>,
): Promise<Loaded> {
	const environment = readEnvironment();
	const { groups, exports, remove } = await openFiles(files, options.format);
	try {
		if (exports.length > 0) refuseRowOptions(exports, options);
		refuseExportOptions(groups, options);
		const registry = new Registry(environment.POSTGRES__SCHEMA, models);
		const checked: CheckedExport[] = [];
		for (const file of exports)
			checked.push(
				await checkExport(file, {
					registry,
					scope: exportScope(options),
					signal,
				}),
			);
		const plans = await planLoad(groups, {
			terminal,
			registry,
			table: options.table ?? onlyTable(models),
			maps: options.map ?? [],
			skipsInvalid: options.skipInvalid ?? false,
			scope: {
				...scopeOf(options),
				defaultTenant: environment.POSTGRES__DEFAULT_TENANT,
			},
			signal,
		});
		const loaded = options.dryRun
			? describePlans(terminal, { plans, exports: checked })
			: await withTarget((service) =>
					loadAll(
						{ terminal, service },
						{ plans, exports: checked },
						{ ...options, signal },
					),
				);
		if (terminal.isJson)
			terminal.show(
				summaryJson([
					...loaded.exports.map(exportJson),
					...loaded.summaries.map(groupJson),
				]),
				[],
			);
		else if (loaded.summaries.length > 1)
			terminal.print([totalLine(loaded.summaries)]);
		return loaded;
	} finally {
		await remove();
	}
}

function describePlans(terminal: Terminal, { plans, exports }: ToLoad): Loaded {
	return {
		exports: exports.map((checked) =>
			printExport(terminal, {
				checked,
				result: undefined,
				verified: undefined,
				durationMs: 0,
			}),
		),
		summaries: plans.map((plan) =>
			printSummary(terminal, { plan, loaded: undefined }),
		),
	};
}

/** The rows that are a file each, by its path: of Markdown. */
function rowsOfFiles({ summaries }: Loaded): Map<string, FileRow> {
	const found = new Map<string, FileRow>();
	for (const { plan, loaded } of summaries) {
		const { group, checked, entity } = plan;
		if (typeof group.rows === "function") continue;
		const written = group.rows.filter((_, at) => !checked.omitted.has(at));
		written.forEach(({ file }, at) => {
			const id = loaded?.result.ids[at];
			if (file !== undefined && id !== undefined)
				found.set(resolve(file), { entity, id });
		});
	}
	return found;
}

function exportScope(options: LoadCommandOptions): ExportScope {
	const { fromTenant, newIds } = options;
	return {
		...scopeOf(options),
		...(fromTenant === undefined ? {} : { fromTenant }),
		...(newIds === undefined ? {} : { newIds }),
	};
}

/** An export has its tables, columns and values: nothing about them is to be chosen. */
function refuseRowOptions(
	[first]: readonly InputFile[],
	{ table, map, skipInvalid, bulk }: LoadCommandOptions,
): void {
	const given = Object.entries({
		"--table": table,
		"--map": map,
		"--skip-invalid": skipInvalid,
		"--bulk": bulk,
	}).flatMap(([name, value]) => (value === undefined ? [] : name));
	if (given.length > 0)
		throw new UsageError(
			`${first?.name} is an export, which is loaded as it is: leave out ${given.join(", ")}`,
		);
}

/** Refuses options of exports for other rows, which are always committed in parts. */
function refuseExportOptions(
	[first]: readonly RowGroup[],
	{ commitEvery, verify, fromTenant, newIds }: LoadCommandOptions,
): void {
	const given = Object.entries({
		"--from-tenant": fromTenant,
		"--new-ids": newIds,
		"--commit-every": commitEvery,
		"--verify": verify,
	}).flatMap(([name, value]) => (value === undefined ? [] : name));
	if (first !== undefined && given.length > 0)
		throw new UsageError(
			`${given.join(", ")} ${given.length === 1 ? "is" : "are"} for exports, and ${first.file} is not an export`,
		);
}

interface ToLoad {
	readonly plans: readonly LoadPlan[];
	readonly exports: readonly CheckedExport[];
}

interface Loaded {
	readonly summaries: readonly GroupSummary[];
	readonly exports: readonly LoadedExport[];
}

async function loadAll(
	target: LoadTarget,
	{ plans, exports }: ToLoad,
	options: LoadCommandOptions & { readonly signal: AbortSignal },
): Promise<Loaded> {
	const { terminal, service } = target;
	if (options.embeddings && options.onEmbeddingError === "fail")
		await checkProviders(service, plans);
	// Under row level security the tables are the owner's; rows of the tenant can be loaded into those that exist.
	if (!service.core.settings.rowLevelSecurity)
		await migrateAloud(terminal, service);
	const loaded: LoadedExport[] = [];
	for (const checked of exports)
		loaded.push(
			printExport(
				terminal,
				await loadExport(target, checked, {
					...exportScope(options),
					vectors: options.skipVectors ? "skip" : "use",
					commitEvery: options.commitEvery,
					verifies: options.verify ?? false,
					signal: options.signal,
				}),
			),
		);
	const summaries: GroupSummary[] = [];
	for (const plan of plans) {
		const loaded = await loadRows(target, plan, {
			...scopeOf(options),
			...(options.embeddings ? {} : { generateEmbeddings: false }),
			onEmbeddingError: options.onEmbeddingError,
			...(options.bulk ? { bulk: true } : {}),
			signal: options.signal,
		});
		summaries.push(printSummary(terminal, { plan, loaded }));
	}
	await rebuildDropped(terminal, service, summaries);
	if (terminal.hasNotices && !terminal.isJson)
		await noticeIndexes(terminal, service);
	return { summaries, exports: loaded };
}

/** Rows that name no table belong to the only model. */
function onlyTable(models: readonly Entity[]): string | undefined {
	return models.length === 1 ? models[0]?.tableName : undefined;
}

/** A load that could embed nothing fails before it creates a table. */
async function checkProviders(
	service: AnyService,
	plans: readonly LoadPlan[],
): Promise<void> {
	for (const { entity } of plans.filter(
		(plan) => plan.entity.embedFields.length > 0,
	))
		await service.embeddings.checkProvider(
			service.registry.get(entity.tableName),
		);
}

/** Indexes that a load left to be built: a command ends before a build would. */
async function noticeIndexes(
	terminal: Terminal,
	service: AnyService,
): Promise<void> {
	// A role may load rows without seeing the builds.
	const status = await service.indexer.status().catch(() => undefined);
	const open = (status?.indexes ?? []).filter(({ state }) =>
		["missing", "queued", "building", "failed"].includes(state),
	);
	if (open.length === 0) return;
	terminal.notice(
		`${counted(open.length, "index", "indexes")} ${open.length === 1 ? "is" : "are"} not built yet, and reads work without: \`rem index build\` builds now, \`rem worker\` in the background`,
	);
}

/** A command that dropped indexes builds them itself. */
async function rebuildDropped(
	terminal: Terminal,
	service: AnyService,
	summaries: readonly GroupSummary[],
): Promise<void> {
	const dropped = summaries.flatMap(
		({ loaded }) => loaded?.result.bulk?.dropped ?? [],
	);
	if (dropped.length > 0)
		await drainAloud(terminal, service, new Set(dropped).size);
}

/** People read each group as it is done, programs all of them at the end. */
function printSummary(terminal: Terminal, summary: GroupSummary): GroupSummary {
	const { group, entity, checked } = summary.plan;
	if (checked.leftOut.length > 0)
		terminal.notice(
			`${group.file}: left out, being no fields of "${entity.tableName}": ${checked.leftOut.join(", ")}`,
		);
	if (!terminal.isJson) terminal.print(summaryLines(summary));
	return summary;
}

function printExport(terminal: Terminal, loaded: LoadedExport): LoadedExport {
	if (!terminal.isJson) terminal.print(exportLines(loaded));
	return loaded;
}
