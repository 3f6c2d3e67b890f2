import { createReadStream } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { RemError } from "../../errors.ts";
import type { ImportResult } from "../../index.ts";
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

interface CheckOptions {
	readonly registry: Registry;
	readonly scope: { readonly tenantId?: string; readonly userId?: string };
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
	readonly durationMs: number;
}

interface ImportOptions {
	readonly tenantId?: string;
	readonly userId?: string;
	readonly vectors: "use" | "skip";
	readonly signal: AbortSignal;
}

/** Writes all of it in one transaction. */
export async function loadExport(
	{ terminal, service }: LoadTarget,
	checked: CheckedExport,
	options: ImportOptions,
): Promise<LoadedExport> {
	const { file, rows } = checked;
	const progress = terminal.progress(file.name, rows);
	const started = performance.now();
	try {
		const result = await service.importRows({
			...options,
			text: createReadStream(file.path),
			onProgress: ({ rows }) => progress.update(rows),
		});
		return { checked, result, durationMs: performance.now() - started };
	} catch (error) {
		throw withFile(error, file);
	} finally {
		progress.stop();
	}
}

function withFile(error: unknown, { name }: InputFile): unknown {
	if (!(error instanceof RemError)) return error;
	const { code, hint, cause, issues, sqlState } = error;
	return new RemError(code, `${name}: ${error.message}`, {
		...(hint === undefined ? {} : { hint }),
		...(sqlState === undefined ? {} : { sqlState }),
		cause,
		issues,
	});
}

export function exportLines({
	checked: { file, rows, vectors },
	result,
	durationMs,
}: LoadedExport): string[] {
	const of = `${file.name}: ${counted(rows, "row")}${vectors === 0 ? "" : ` and ${counted(vectors, "vector")}`}`;
	if (result === undefined)
		return [`${of} of an export can be loaded; nothing was written`];
	const queued = result.embeddingsQueued;
	return [
		`${of} of an export in ${duration(durationMs)}`,
		`  ${count(result.inserted)} inserted, ${count(result.updated)} updated; ${count(result.vectors)} vectors stored, no text embedded`,
		...(queued === 0
			? []
			: [
					`  ${counted(queued, "text")} without a vector: \`rem embeddings sync\` embeds those whose row has none`,
				]),
	];
}

export function exportJson({
	checked: { file, rows, vectors },
	result,
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
	});
}
