import type { IndexStatus } from "../../index.ts";
import { duration } from "./numbers.ts";

/** `37 %, 3 min 20 s left` */
export function progressOf({ percent, etaMs }: IndexStatus): string {
	if (percent === null) return "";
	const left = etaMs === null ? "" : `, ${duration(etaMs)} left`;
	return `${Math.floor(percent)} %${left}`;
}

/** What it waits for, what it does, or what is wrong with it. */
export function about(index: IndexStatus): string {
	const { waitsFor, phase, error, nextAttemptAt, attempts, leftTo } = index;
	if (leftTo !== null)
		return `left to a worker of role "${leftTo}", which owns the table`;
	if (waitsFor !== null) {
		const { processId, application, state, ageMs } = waitsFor;
		const who = application ? `${processId} (${application})` : processId;
		const long = ageMs === null ? "" : ` for ${duration(ageMs)}`;
		return `waits for process ${who}, ${state ?? "at work"}${long}`;
	}
	if (error !== null && nextAttemptAt !== null)
		return `attempt ${attempts + 1} at ${nextAttemptAt.toISOString()}: ${error}`;
	return phase ?? error ?? "";
}
