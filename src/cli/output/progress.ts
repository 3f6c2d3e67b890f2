import { count, duration } from "./numbers.ts";
import { plainText } from "./plain-text.ts";
import { cut } from "./text-width.ts";

/** How far a long piece of work is. */
export interface Progress {
	/** Steps done so far, of the total; a note stands in the place of counts and rate. */
	readonly update: (done: number, note?: string) => void;
	/** Removes the bar; nothing more is shown. */
	readonly stop: () => void;
}

export interface ProgressState {
	readonly label: string;
	readonly done: number;
	/** `undefined`: not known yet. */
	readonly total: number | undefined;
	readonly elapsedMs: number;
	/** Where the work was when the time began that its rate is measured over. @default at its start */
	readonly since?: ProgressPoint;
	readonly note?: string | undefined;
}

interface ProgressPoint {
	readonly done: number;
	readonly elapsedMs: number;
}

/** Where progress is shown: a terminal, or a file or pipe that gets a line now and then. */
export interface ProgressStream {
	readonly isTTY?: boolean;
	readonly columns?: number;
	/** False where NO_COLOR is set, and on terminals that know no escape codes. */
	hasColors?(): boolean;
	write(text: string): unknown;
}

/** Puts the cursor on an empty line, whatever stood there. */
export const clearLine = "\r\x1b[K";

const redrawMs = 100;
const lineEveryMs = 5000;
// A load is slower from the row on at which an index is built, and faster once a
// provider has answered: the mean since its start would promise a wrong end.
const rateOverMs = 20_000;

/** Whether the stream is a terminal on which escape codes are wanted. */
export function takesEscapes(stream: Omit<ProgressStream, "write">): boolean {
	return stream.isTTY === true && stream.hasColors?.() !== false;
}

/** A bar with rate and remaining time on a terminal, plain lines elsewhere. */
export function startProgress(
	stream: ProgressStream,
	label: string,
	total: number | undefined,
): Progress {
	const isTerminal = takesEscapes(stream);
	const started = performance.now();
	let done = 0;
	let note: string | undefined;
	const points: ProgressPoint[] = [{ done: 0, elapsedMs: 0 }];
	const show = () => {
		const elapsedMs = performance.now() - started;
		// The last one that is old enough stays.
		while ((points[1]?.elapsedMs ?? elapsedMs) < elapsedMs - rateOverMs)
			points.shift();
		const [since = { done: 0, elapsedMs: 0 }] = points;
		const state = { label, done, total, elapsedMs, since, note };
		stream.write(
			isTerminal
				? `${clearLine}${progressBar(state, (stream.columns || 80) - 1)}`
				: `${progressLine(state)}\n`,
		);
	};
	const timer = setInterval(show, isTerminal ? redrawMs : lineEveryMs);
	timer.unref();
	return {
		update: (now, text) => {
			done = now;
			points.push({ done, elapsedMs: performance.now() - started });
			note = text === undefined ? undefined : plainText(text);
		},
		stop: () => {
			clearInterval(timer);
			if (isTerminal) stream.write(clearLine);
		},
	};
}

/** `movies.json  ████████░░░░░░░░  50 %  1,500 of 3,000  460/s  3 s left` */
export function progressBar(state: ProgressState, width: number): string {
	const cells = width >= 70 ? 20 : 10;
	const filled = Math.round((share(state) ?? 0) * cells);
	const bar = "█".repeat(filled) + "░".repeat(cells - filled);
	const parts = state.total === undefined ? [] : [bar];
	return cut([state.label, ...parts, ...figures(state)].join("  "), width);
}

/** `movies.json: 50 %, 1,500 of 3,000, 460/s, 3 s left` */
export function progressLine(state: ProgressState): string {
	return `${state.label}: ${figures(state).join(", ")}`;
}

function figures(state: ProgressState): string[] {
	const { done, total, elapsedMs, note } = state;
	const { since = { done: 0, elapsedMs: 0 } } = state;
	const part = share(state);
	if (note !== undefined)
		return [
			...(part === undefined ? [] : [`${Math.floor(part * 100)} %`]),
			note,
		];
	const advanced = done - since.done;
	const perMs = advanced / Math.max(elapsedMs - since.elapsedMs, 1);
	return [
		...(part === undefined ? [] : [`${Math.floor(part * 100)} %`]),
		total === undefined ? count(done) : `${count(done)} of ${count(total)}`,
		advanced === 0
			? duration(elapsedMs)
			: `${count(Math.round(perMs * 1000))}/s`,
		...(advanced === 0 || total === undefined
			? []
			: [`${duration((total - done) / perMs)} left`]),
	];
}

function share({ done, total }: ProgressState): number | undefined {
	if (total === undefined) return undefined;
	return total === 0 ? 1 : Math.min(1, done / total);
}
