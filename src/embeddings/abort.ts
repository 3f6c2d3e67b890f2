import { RemError } from "../errors.ts";
import { CallFailure } from "./failure.ts";

/** Throws `CANCELLED` once the caller's signal is aborted; its reason may be anything, so it is not repeated. */
export function checkCancelled(signal: AbortSignal | undefined): void {
	if (signal?.aborted === true) throw cancelled();
}

function cancelled(): RemError {
	return new RemError("CANCELLED", "the embedding call was cancelled");
}

/** The result, unless the signal is aborted first; the work continues. */
export async function unlessAborted<T>(
	work: Promise<T>,
	signal: AbortSignal | undefined,
): Promise<T> {
	if (signal === undefined) return work;
	const end = new AbortController();
	const aborted = new Promise<never>((_, reject) => {
		if (signal.aborted) reject(cancelled());
		const options = { once: true, signal: end.signal };
		signal.addEventListener("abort", () => reject(cancelled()), options);
	});
	try {
		return await Promise.race([work, aborted]);
	} finally {
		end.abort();
	}
}

// A longer timer would fire at once.
const longestTimerMs = 2 ** 31 - 1;

/** Waits; rejects with `CANCELLED` as soon as the signal is aborted. */
export function sleep(
	ms: number,
	signal: AbortSignal | undefined,
): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted === true) return reject(cancelled());
		const onAbort = () => {
			clearTimeout(timer);
			reject(cancelled());
		};
		const timer = setTimeout(
			() => {
				signal?.removeEventListener("abort", onAbort);
				resolve();
			},
			Math.min(ms, longestTimerMs),
		);
		timer.unref();
		signal?.addEventListener("abort", onAbort, { once: true });
	});
}

/** Runs a call with a signal of its own and does not wait longer for it, even if it ignores the signal. */
export async function bounded<T>(
	run: (signal: AbortSignal) => Promise<T>,
	timeoutMs: number,
	signal: AbortSignal | undefined,
): Promise<T> {
	checkCancelled(signal);
	const controller = new AbortController();
	const end = new AbortController();
	const stopped = new Promise<never>((_, reject) => {
		const stop = (error: Error) => {
			reject(error);
			controller.abort();
		};
		const timer = setTimeout(
			() => stop(tooLate(timeoutMs)),
			Math.min(timeoutMs, longestTimerMs),
		);
		timer.unref();
		end.signal.addEventListener("abort", () => clearTimeout(timer));
		signal?.addEventListener("abort", () => stop(cancelled()), {
			signal: end.signal,
		});
	});
	try {
		return await Promise.race([run(controller.signal), stopped]);
	} finally {
		end.abort();
	}
}

function tooLate(timeoutMs: number): CallFailure {
	return new CallFailure(
		"down",
		`gave no answer within ${Math.round(timeoutMs)} ms`,
		{ hint: "try again later, with a smaller batchSize or a longer timeoutMs" },
	);
}
