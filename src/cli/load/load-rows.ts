import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { RemError, withParts } from "../../errors.ts";
import type { BatchUpsertResult } from "../../index.ts";
import type { AnyService } from "../open-service.ts";
import type { Terminal } from "../output/terminal.ts";
import { readRows } from "./check-rows.ts";
import type { LoadPlan } from "./plan-load.ts";

export interface LoadOptions {
	readonly tenantId?: string;
	readonly userId?: string;
	readonly generateEmbeddings?: false;
	readonly onEmbeddingError: "fail" | "queue";
	readonly bulk?: true;
	readonly signal: AbortSignal;
}

export interface LoadTarget {
	readonly terminal: Terminal;
	readonly service: AnyService;
}

/** What a load wrote, and how long it took. */
export interface LoadedRows {
	readonly result: BatchUpsertResult;
	readonly durationMs: number;
}

/** Writes the rows of a group: those in memory in one transaction, those of a stream in chunks. */
export async function loadRows(
	{ terminal, service }: LoadTarget,
	plan: LoadPlan,
	options: LoadOptions,
): Promise<LoadedRows> {
	const { group, entity, checked } = plan;
	const total = checked.rows - checked.omitted.size;
	const progress = terminal.progress(basename(group.file), total);
	const started = performance.now();
	let committed = 0;
	try {
		const result = await service.batchUpsert({
			...options,
			tableName: entity.tableName,
			entities: await rowsToWrite(plan),
			onProgress: ({ done }) => {
				committed = done;
				progress.update(done);
			},
		});
		return { result, durationMs: performance.now() - started };
	} catch (error) {
		throw withPlace(error, plan, committed > 0);
	} finally {
		progress.stop();
	}
}

/**
 * The embedded database works in this thread and never waits: without a turn of
 * the event loop now and then, neither signals nor the progress bar come through.
 */
const rowsPerTurn = 100;

type Rows = Iterable<never> | AsyncIterable<never>;

/** An array is one transaction, a stream is committed in chunks. */
async function rowsToWrite(plan: LoadPlan): Promise<Rows> {
	const rows = shapedRows(plan);
	if (typeof plan.group.rows === "function") return rows;
	const all: never[] = [];
	for await (const row of rows) all.push(row);
	return all;
}

/** The rows to write. Validation is what knows their type. */
async function* shapedRows({
	group,
	shaper,
	checked,
}: LoadPlan): AsyncGenerator<never> {
	let index = 0;
	for await (const { value } of readRows(group)) {
		if (index % rowsPerTurn === 0) await setImmediate();
		if (!checked.omitted.has(index++)) yield shaper.shape(value).row as never;
	}
}

/** Which rows it happened to, and how to go on where some are stored already. */
function withPlace(
	error: unknown,
	{ group, entity }: LoadPlan,
	isHalfWay: boolean,
): unknown {
	if (!(error instanceof RemError)) return error;
	const hints = [
		...(error.hint === undefined ? [] : [error.hint]),
		...(isHalfWay
			? ["run the same command again: what is stored already costs nothing"]
			: []),
	];
	return withParts(error, {
		message: `${group.file} → ${entity.tableName}: ${error.message}`,
		...(hints.length === 0 ? {} : { hint: hints.join("; ") }),
	});
}
