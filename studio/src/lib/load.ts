import { useEffect, useState } from "preact/hooks";
import { type Failure, toFailure } from "./failure.ts";

export interface Loaded<T> {
	/** The last answer; of an older request while `isLoading`. */
	readonly value: T | undefined;
	readonly failure: Failure | undefined;
	readonly isLoading: boolean;
	reload(): void;
	/** Puts a newer answer in place, such as that of a write. */
	replace(value: T): void;
}

interface State<T> {
	readonly value: T | undefined;
	readonly failure: Failure | undefined;
	readonly isLoading: boolean;
}

const retryMs = [1_000, 2_000, 4_000, 8_000] as const;

/**
 * Loads what the request asks for, and again when it changes; a request that a
 * later one has replaced is cancelled. While the database or the studio is away
 * it asks again by itself. Without a request, nothing is loaded.
 */
export function useLoad<Request, T>(
	request: Request | undefined,
	load: (request: Request, signal: AbortSignal) => Promise<T>,
): Loaded<T> {
	const [state, setState] = useState<State<T>>({
		value: undefined,
		failure: undefined,
		isLoading: request !== undefined,
	});
	const [round, setRound] = useState(0);
	const key = JSON.stringify(request);
	useEffect(() => {
		if (request === undefined) {
			setState({ value: undefined, failure: undefined, isLoading: false });
			return;
		}
		const controller = new AbortController();
		const { signal } = controller;
		let timer: number | undefined;
		const attempt = async (times: number): Promise<void> => {
			setState((state) => ({ ...state, isLoading: true }));
			try {
				const value = await load(request, signal);
				if (!signal.aborted)
					setState({ value, failure: undefined, isLoading: false });
			} catch (error) {
				if (signal.aborted) return;
				const failure = toFailure(error);
				setState(({ value }) => ({ value, failure, isLoading: false }));
				if (!failure.isPassing) return;
				const wait = retryMs[Math.min(times, retryMs.length - 1)];
				timer = window.setTimeout(() => attempt(times + 1), wait);
			}
		};
		attempt(0);
		return () => {
			controller.abort();
			window.clearTimeout(timer);
		};
	}, [key, round]);
	return {
		...state,
		reload: () => setRound((round) => round + 1),
		replace: (value) =>
			setState({ value, failure: undefined, isLoading: false }),
	};
}
