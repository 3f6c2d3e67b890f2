import { createReadStream } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { RemError, withParts } from "../../errors.ts";
import type { ImportResult, VerifyRowsResult } from "../../index.ts";
import type { Registry } from "../../models/registry.ts";
import { openExport } from "../../store/read-export.ts";
import { snakeNames } from "../output/json-text.ts";
import { count, counted, duration } from "../output/numbers.ts";
import type { InputFile } from "./input-file.ts";
import type { LoadTarget } from "./load-rows.ts";

/** An export whose every line can be read. */
export interface CheckedExport {
	readonly file: InputFile;
	readonly rows: number;
	readonly vectors: number;
}

/** Whose rows they must be, or become. */
export interface ExportScope {
	readonly tenantId?: string;
	readonly userId?: string;
	readonly fromTenant?: string;
	readonly newIds?: boolean;
}

interface CheckOptions {
	readonly registry: Registry;
	readonly scope: ExportScope;
	readonly signal: AbortSignal;
}

const rowsPerTurn = 100;

/** Reads an export to its end before anything is written. */
export async function checkExport(
	file: InputFile,
	{ registry, scope, signal }: CheckOptions,
): Promise<CheckedExport> {
	let rows = 0;
	let vectors = 0;
	try {
		const opened = await openExport(
			createReadStream(file.path),
			registry,
			scope,
		);
		for await (const row of opened.rows) {
			if (rows++ % rowsPerTurn === 0) await setImmediate();
			vectors += row.vectors.length;
			if (signal.aborted)
				throw new RemError("CANCELLED", "stopped while checking the rows", {
					hint: "nothing was written",
				});
		}
	} catch (error) {
		throw withFile(error, file);
	}
	return { file, rows, vectors };
}

export interface LoadedExport {
	readonly checked: CheckedExport;
	/** `undefined`: it was only checked. */
	readonly result: ImportResult | undefined;
	/** `undefined`: it was not compared. */
	readonly verified: VerifyRowsResult | undefined;
	readonly durationMs: number;
}

interface ImportOptions extends ExportScope {
	readonly vectors: "use" | "skip";
	/** `undefined`: all is one transaction. */
	readonly commitEvery: number | undefined;
	/** Whether the rows are compared with the file at the end. */
	readonly verifies: boolean;
	readonly signal: AbortSignal;
}

/** Writes all of it, then compares it with the file where that is asked for. */
export async function loadExport(
	target: LoadTarget,
	checked: CheckedExport,
	{ commitEvery, verifies, ...options }: ImportOptions,
): Promise<LoadedExport> {
	const { file } = checked;
	const started = performance.now();
	try {
		const result = await withProgress(
			target,
			{ checked, label: file.name },
			(read) =>
				target.service.importRows({
					...options,
					...read,
					...(commitEvery === undefined ? {} : { commitEvery }),
				}),
		);
		const durationMs = performance.now() - started;
		const verified = verifies
			? await withProgress(target, { checked, label: "verify" }, (read) =>
					target.service.verifyRows({ ...options, ...read }),
				)
			: undefined;
		return { checked, result, verified, durationMs };
	} catch (error) {
		throw withFile(error, file);
	}
}

interface FileRead {
	readonly text: ReturnType<typeof createReadStream>;
	readonly onProgress: (progress: { readonly rows: number }) => void;
}

/** Reads the file once, with a bar. */
async function withProgress<T>(
	{ terminal }: LoadTarget,
	{
		checked: { file, rows },
		label,
	}: { readonly checked: CheckedExport; readonly label: string },
	work: (read: FileRead) => Promise<T>,
): Promise<T> {
	const progress = terminal.progress(label, rows);
	try {
		return await work({
			text: createReadStream(file.path),
			onProgress: ({ rows }) => progress.update(rows),
		});
	} finally {
		progress.stop();
	}
}

/** Whether rows of the file are missing in the database, or differ. */
export function isDifferent({ verified }: LoadedExport): boolean {
	return verified !== undefined && verified.missing + verified.differing > 0;
}

function withFile(error: unknown, { name }: InputFile): unknown {
	if (!(error instanceof RemError)) return error;
	return withParts(error, { message: `${name}: ${error.message}` });
}

export function exportLines({
	checked: { file, rows, vectors },
	result,
	verified,
	durationMs,
}: LoadedExport): string[] {
	const of = `${file.name}: ${counted(rows, "row")}${vectors === 0 ? "" : ` and ${counted(vectors, "vector")}`}`;
	if (result === undefined)
		return [`${of} of an export can be loaded; nothing was written`];
	const queued = result.embeddingsQueued;
	return [
		`${of} of an export in ${duration(durationMs)}`,
		`  ${count(result.inserted)} inserted, ${count(result.updated)} updated${result.unchanged === 0 ? "" : `, ${count(result.unchanged)} stored already`}; ${count(result.vectors)} vectors stored, no text embedded`,
		...(queued === 0
			? []
			: [
					`  ${counted(queued, "text")} without a vector: \`rem embeddings sync\` embeds those whose row has none`,
				]),
		...(verified === undefined ? [] : verifiedLines(verified)),
	];
}

const shownDifferences = 10;

function verifiedLines(verified: VerifyRowsResult): string[] {
	const { rows, vectors, tenants, missing, differing } = verified;
	const compared = `${counted(rows, "row")}${vectors === 0 ? "" : ` and ${counted(vectors, "vector")}`} of ${counted(tenants, "tenant")}`;
	if (missing + differing === 0)
		return [`  verified: ${compared} are stored as in the file`];
	const shown = verified.differences.slice(0, shownDifferences);
	const more = missing + differing - shown.length;
	return [
		`  verified: of ${compared}, ${count(missing)} are missing and ${count(differing)} differ`,
		...shown.map(
			({ table, id, line, kind, fields }) =>
				`    line ${line}: ${table} ${id} ${kind === "missing" ? "is missing" : `differs in ${fields.join(", ")}`}`,
		),
		...(more > 0 ? [`    and ${counted(more, "more", "more")}`] : []),
	];
}

export function exportJson({
	checked: { file, rows, vectors },
	result,
	verified,
	durationMs,
}: LoadedExport): Record<string, unknown> {
	if (result === undefined) return { file: file.name, rows, vectors };
	const { tables, ...counts } = result;
	return snakeNames({
		file: file.name,
		rows,
		...counts,
		tables: Object.keys(tables),
		durationMs: Math.round(durationMs),
		...(verified === undefined ? {} : { verified: verifiedJson(verified) }),
	});
}

function verifiedJson(verified: VerifyRowsResult): Record<string, unknown> {
	return {
		...verified,
		differences: verified.differences.map(snakeNames),
	};
}
