import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Does its work once and returns how many milliseconds it took. */
export type Measure = () => Promise<number>;

export interface RoundOptions {
	readonly rounds: number;
	/** Brings the database back to where every measurement starts. */
	readonly before: () => Promise<void>;
	/** Throws if the work was not done. */
	readonly after: (name: string) => Promise<void>;
}

/**
 * Times of all variants, round by round. A round runs each of them once, every
 * other round in reverse order, so that what drifts on the machine meets all
 * of them alike. A first round warms up and is not counted.
 */
export async function pairedRounds<Name extends string>(
	variants: Readonly<Record<Name, Measure>>,
	{ rounds, before, after }: RoundOptions,
): Promise<Record<Name, number[]>> {
	const names = Object.keys(variants) as Name[];
	const times = Object.fromEntries(
		names.map((name): [string, number[]] => [name, []]),
	) as Record<Name, number[]>;
	for (let round = 0; round <= rounds; round++)
		for (const name of round % 2 === 0 ? names : names.toReversed()) {
			await before();
			await settle();
			const ms = await variants[name]();
			await after(name);
			if (round > 0) times[name].push(ms);
		}
	return times;
}

/** Wall-clock time of the work in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
	const started = performance.now();
	await work();
	return performance.now() - started;
}

/** Nobody pays for another's garbage, nor, if they end soon, for other programs. */
export async function settle(maxWaitMs = 300): Promise<void> {
	collectGarbage();
	const lastTry = performance.now() + maxWaitMs;
	while ((await idleShare()) < 0.85 && performance.now() < lastTry);
}

async function idleShare(): Promise<number> {
	const before = cpuTimes();
	await sleep(50);
	const after = cpuTimes();
	return (after.idle - before.idle) / Math.max(1, after.all - before.all);
}

function cpuTimes(): { idle: number; all: number } {
	const times = cpus().flatMap((cpu) => Object.entries(cpu.times));
	const sum = (entries: [string, number][]) =>
		entries.reduce((total, [, ms]) => total + ms, 0);
	return {
		idle: sum(times.filter(([kind]) => kind === "idle")),
		all: sum(times),
	};
}

// The flag works at run time too, in contexts that are made after it.
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
