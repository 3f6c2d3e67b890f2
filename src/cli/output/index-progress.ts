import type { IndexStatus } from "../../index.ts";
import type { AnyService } from "../open-service.ts";
import { duration } from "./numbers.ts";
import type { Terminal } from "./terminal.ts";

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

const lookEveryMs = 500;

/** Builds what is queued, so many indexes, with a progress bar. */
export async function drainAloud(
	terminal: Terminal,
	service: AnyService,
	count: number,
): Promise<void> {
	const progress = terminal.progress("indexes", count * 100);
	const look = async () => {
		const { indexes } = await service.indexer.status();
		const building = indexes.filter(({ state }) => state === "building");
		const open = indexes.filter(({ state }) => state === "queued");
		const percent = building.reduce(
			(sum, { percent }) => sum + (percent ?? 0),
			0,
		);
		const done = count - building.length - open.length;
		const [first] = building;
		progress.update(
			Math.max(0, done * 100 + percent),
			first === undefined
				? `${Math.max(0, done)} of ${count}`
				: [first.indexName, progressOf(first), about(first)].join("  "),
		);
	};
	let looking = Promise.resolve();
	const timer = setInterval(() => {
		looking = looking.then(look).catch(() => {
			// The build itself reports what is wrong.
		});
	}, lookEveryMs);
	try {
		await service.indexer.drain();
	} finally {
		clearInterval(timer);
		await looking;
		progress.stop();
	}
}
