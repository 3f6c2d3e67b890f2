import type { UpsertResult } from "../../index.ts";
import { limits } from "../../models/limits.ts";
import { issueLine } from "../failure.ts";
import { snakeNames } from "../output/json-text.ts";
import { count, counted, duration } from "../output/numbers.ts";
import type { LoadedRows } from "./load-rows.ts";
import type { LoadPlan } from "./plan-load.ts";

/** What was done with a group of rows; without `loaded`, it was only checked. */
export interface GroupSummary {
	readonly plan: LoadPlan;
	readonly loaded: LoadedRows | undefined;
}

/** The totals, and the same for each file and table. */
export function summaryJson(files: readonly Record<string, unknown>[]) {
	const totals = new Map<string, number>();
	for (const file of files)
		for (const [name, value] of Object.entries(file))
			if (typeof value === "number")
				totals.set(name, (totals.get(name) ?? 0) + value);
	return { ...Object.fromEntries(totals), files };
}

export function groupJson({
	plan,
	loaded,
}: GroupSummary): Record<string, unknown> {
	const { group, entity, checked } = plan;
	const { ids: _, ...counts } = loaded?.result ?? nothing;
	return snakeNames({
		file: group.file,
		table: entity.tableName,
		rows: checked.rows,
		...(loaded === undefined ? {} : counts),
		duplicates: checked.duplicates,
		skipped: checked.skipped,
		rowsWithoutText: checked.withoutText,
		shortenedKeys: checked.shortened,
		leftOut: checked.leftOut,
		...(checked.skipped === 0 ? {} : { issues: checked.issues }),
		...(loaded === undefined
			? {}
			: { durationMs: Math.round(loaded.durationMs) }),
	});
}

const nothing = { ids: [] };

/** A group in a few lines; what deserves a thought has a line of its own. */
export function summaryLines({ plan, loaded }: GroupSummary): string[] {
	const { group, entity, checked } = plan;
	const rows = counted(checked.rows, "row");
	const target = `${entity.tableName}${ofTenants(checked.tenants)}`;
	return [
		loaded === undefined
			? `${group.file} → ${target}: ${rows} can be loaded; nothing was written`
			: `${group.file} → ${target}: ${rows} in ${duration(loaded.durationMs)} (${rate(checked.rows, loaded.durationMs)})`,
		...(loaded === undefined ? [] : [`  ${resultLine(loaded.result)}`]),
		...bulkLine(loaded),
		...skippedLines(plan),
		...duplicatesLine(plan),
		...withoutTextLine(plan),
		...shortenedLine(plan),
	];
}

/** Whose rows they are: the tenant is seldom in the file. */
function ofTenants(tenants: ReadonlySet<string>): string {
	const [tenant] = tenants;
	if (tenant === undefined) return "";
	return tenants.size === 1
		? ` of tenant "${tenant}"`
		: ` of ${counted(tenants.size, "tenant")}`;
}

/** A last line when there were several files. */
export function totalLine(groups: readonly GroupSummary[]): string {
	const rows = groups.reduce((sum, { plan }) => sum + plan.checked.rows, 0);
	const ms = groups.reduce(
		(sum, { loaded }) => sum + (loaded?.durationMs ?? 0),
		0,
	);
	const files = new Set(groups.map(({ plan }) => plan.group.file)).size;
	const total = `total: ${counted(rows, "row")} of ${counted(files, "file")}`;
	return ms === 0 ? total : `${total} in ${duration(ms)}`;
}

function resultLine(result: UpsertResult): string {
	const { inserted, updated, unchanged, kvEntries } = result;
	const { embeddingsGenerated, embeddingsReused, embeddingsQueued } = result;
	return [
		`${count(inserted)} inserted`,
		updated === 0 || unchanged === 0
			? `${count(updated)} updated`
			: `${count(updated)} updated (${count(unchanged)} of them unchanged)`,
		`${counted(embeddingsGenerated, "text")} embedded`,
		...(embeddingsReused === 0 ? [] : [`${count(embeddingsReused)} as before`]),
		...(embeddingsQueued === 0 ? [] : [`${count(embeddingsQueued)} queued`]),
		`${counted(kvEntries, "name")} to look up`,
	].join(", ");
}

/** What was done about the indexes, and why. */
function bulkLine(loaded: LoadedRows | undefined): string[] {
	const bulk = loaded?.result.bulk;
	return bulk === undefined ? [] : [`  ${bulk.explanation}`];
}

const shownIssues = 10;

function skippedLines({ checked }: LoadPlan): string[] {
	if (checked.skipped === 0) return [];
	return [
		`  ${counted(checked.skipped, "row is", "rows are")} not valid and skipped:`,
		...checked.issues
			.slice(0, shownIssues)
			.map((issue) => `    ${issueLine(issue)}`),
		...(checked.issues.length > shownIssues ? ["    …"] : []),
	];
}

function duplicatesLine({ entity, checked }: LoadPlan): string[] {
	if (checked.duplicates === 0) return [];
	const keys = entity.keyFields?.map(({ name }) => name) ?? ["id"];
	const rows = counted(checked.duplicates, "row has", "rows have");
	const remedy =
		keys.length > 1
			? ""
			: ` (to keep both, build the ${keys[0]} from several properties, as in --map '${keys[0]}={title} ({year})')`;
	return [
		`  ${rows} the ${keys.join(" and ")} of a later row: the later one counts${remedy}`,
	];
}

function withoutTextLine({ entity, checked }: LoadPlan): string[] {
	if (checked.withoutText === 0 || entity.embedFields.length === 0) return [];
	return [
		`  ${counted(checked.withoutText, "row has", "rows have")} no text to embed: found by name, not by meaning`,
	];
}

function shortenedLine({ entity, checked }: LoadPlan): string[] {
	if (checked.shortened === 0) return [];
	const key = entity.keyFields?.[0]?.name ?? "key";
	return [
		`  ${counted(checked.shortened, "row has", "rows have")} a ${key} of over ${limits.keyLength} characters: cut, with a hash at its end`,
	];
}

function rate(rows: number, ms: number): string {
	return `${count(Math.round((rows * 1000) / Math.max(ms, 1)))}/s`;
}
