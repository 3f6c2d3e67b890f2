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
	/** The request that was answered last, and how often it was asked. */
	readonly answered: string | undefined;
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
	const [state, setState] = useState<State<T>>(nothing);
	const [round, setRound] = useState(0);
	const key = request && `${round} ${JSON.stringify(request)}`;
	useEffect(() => {
		if (request === undefined) {
			setState(nothing);
			return;
		}
		const controller = new AbortController();
		const { signal } = controller;
		let timer: number | undefined;
		const attempt = async (times: number): Promise<void> => {
			try {
				const value = await load(request, signal);
				if (!signal.aborted)
					setState({ value, failure: undefined, answered: key });
			} catch (error) {
				if (signal.aborted) return;
				const failure = toFailure(error);
				setState(({ value }) => ({ value, failure, answered: key }));
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
	}, [key]);
	const { value, failure, answered } = state;
	return {
		value,
		failure,
		isLoading: answered !== key,
		reload: () => setRound((round) => round + 1),
		replace: (value) => setState({ value, failure: undefined, answered: key }),
	};
}

const nothing = {
	value: undefined,
	failure: undefined,
	answered: undefined,
} as const;
