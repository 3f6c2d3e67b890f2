import { checkCancelled, sleep } from "../embeddings/abort.ts";
import { cutPauses, type Lane, type LaneState, readLanes } from "./queue.ts";
import {
	type EmbedContext,
	type LeaseResult,
	workOnLease,
} from "./work-on-lease.ts";

export interface DrainResult {
	/** Texts whose vector was stored now. */
	readonly embedded: number;
	/** Texts that had their vector already, or were none any more. */
	readonly settled: number;
	/** Texts that were given up; `retry` brings them back. */
	readonly dead: number;
	/** Estimated tokens of the texts that were embedded. */
	readonly tokens: number;
}

export interface DrainOptions {
	readonly isOurs: (lane: Lane) => boolean;
	readonly onProgress: (sofar: DrainResult) => void;
	readonly signal: AbortSignal | undefined;
}

const nothingDone: DrainResult = {
	embedded: 0,
	settled: 0,
	dead: 0,
	tokens: 0,
};

/** One waits for its provider while the other one writes. */
export const leasesAtOnce = 2;

/**
 * Works on lanes until nothing waits in them; what other workers have is waited
 * for. A lane whose provider gives no vectors is left as it is, and its error
 * thrown when the others are done.
 */
export async function drain(
	context: EmbedContext,
	{ isOurs, onProgress, signal }: DrainOptions,
): Promise<DrainResult> {
	const closed = new Map<string, unknown>();
	const waiting = async () =>
		(await readLanes(context.db, context.schema)).filter(
			(lane) =>
				context.table(lane.tableName) !== undefined &&
				isOurs(lane) &&
				!closed.has(laneKey(lane)),
		);
	for (const lane of await waiting())
		await cutPauses(context.db, context.schema, lane);
	let sum = nothingDone;
	const work = async () => {
		for (;;) {
			checkCancelled(signal);
			const lanes = await waiting();
			if (lanes.length === 0) return;
			const result = await workOnAny(context, lanes, signal);
			if (result === undefined) await sleep(pauseMs(lanes), signal);
			else if ("error" in result)
				closed.set(laneKey(result.lane), result.error);
			else {
				sum = add(sum, result);
				onProgress(sum);
			}
		}
	};
	const workers = Array.from({ length: leasesAtOnce }, work);
	const ended = await Promise.allSettled(workers);
	for (const end of ended) if (end.status === "rejected") throw end.reason;
	for (const error of closed.values()) throw error;
	return sum;
}

/** Texts of one lease: several calls to a provider, a few statements. */
const textsPerLease = 500;

/** A lane's provider gives no vectors, and why. */
export interface LaneFailure {
	readonly lane: Lane;
	readonly error: unknown;
	/** How long it asks to wait. */
	readonly retryAfterMs: number | undefined;
}

/** Works on one lease of the first lane that has something to take. */
export async function workOnAny(
	context: EmbedContext,
	lanes: readonly LaneState[],
	signal: AbortSignal | undefined,
): Promise<LeaseResult | LaneFailure | undefined> {
	for (const lane of lanes) {
		if (lane.dueInMs > 0) continue;
		const opened = open(context, lane);
		if ("error" in opened) return opened;
		const result = await workOnLease(context, lane, {
			...opened,
			limit: textsPerLease,
			signal,
		});
		if (result.failure !== undefined) return { lane, ...result.failure };
		if (result.taken > 0) return result;
	}
	return undefined;
}

function open(context: EmbedContext, lane: Lane) {
	try {
		return context.open(lane);
	} catch (error) {
		return { lane, error, retryAfterMs: undefined };
	}
}

export function laneKey({ tableName, ...space }: Lane): string {
	return [tableName, space.provider, space.model, space.dimensions].join(" ");
}

function add(sum: DrainResult, result: LeaseResult): DrainResult {
	return {
		embedded: sum.embedded + result.embedded,
		settled: sum.settled + result.settled,
		dead: sum.dead + result.dead,
		tokens: sum.tokens + result.tokens,
	};
}

/** Until the first text may be taken, or another look is worth it: other workers may be done before. */
function pauseMs(lanes: readonly LaneState[]): number {
	const due = Math.min(...lanes.map(({ dueInMs }) => dueInMs));
	return Math.min(Math.max(due, 20), 500);
}
