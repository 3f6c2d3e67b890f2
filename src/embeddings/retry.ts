import { backoffMs } from "../util/backoff.ts";
import type { CallFailure } from "./failure.ts";
import type { EmbeddingPurpose } from "./provider.ts";

/** How often and how long a call is tried. */
export interface RetryOptions {
	/** Calls in all, the first included. @default 6 */
	readonly attempts?: number;
	/** Upper bound of the first pause; it doubles from one to the next. @default 500 */
	readonly baseMs?: number;
	/** Upper bound of any pause that we choose. @default 30000 */
	readonly maxMs?: number;
	/** No new try starts later than this after the first. @default 120000, for a query 20000 */
	readonly deadlineMs?: number;
	/** Longest wait for one answer. @default 60000, never more than deadlineMs */
	readonly timeoutMs?: number;
}

export type RetryPolicy = Required<RetryOptions>;

export function retryPolicy(
	purpose: EmbeddingPurpose,
	{
		attempts = 6,
		baseMs = 500,
		maxMs = 30_000,
		// A caller waits for the answer to a query.
		deadlineMs = purpose === "query" ? 20_000 : 120_000,
		timeoutMs = 60_000,
	}: RetryOptions = {},
): RetryPolicy {
	return {
		attempts,
		baseMs,
		maxMs,
		deadlineMs,
		timeoutMs: Math.min(timeoutMs, deadlineMs),
	};
}

// A gateway's page or a short answer is gone the next time; a model that makes
// other vectors than we expect never is, and the user waits for that error.
const answerAttempts = 3;

/**
 * How long to wait before the next try, or undefined when there is none. The
 * pause is drawn evenly between nothing and a bound that doubles ("full
 * jitter"), so that clients which failed together do not come back together;
 * Retry-After of the provider is the minimum.
 */
export function retryDelayMs(
	{ kind, retryAfterMs }: CallFailure,
	attempt: number,
	elapsedMs: number,
	{ attempts, baseMs, maxMs, deadlineMs }: RetryPolicy,
): number | undefined {
	if (kind !== "busy" && kind !== "down" && kind !== "answer") return undefined;
	const maxAttempts =
		kind === "answer" ? Math.min(attempts, answerAttempts) : attempts;
	if (attempt >= maxAttempts) return undefined;
	const delay =
		retryAfterMs === undefined
			? backoffMs(attempt - 1, { firstMs: baseMs, maxMs })
			: retryAfterMs + Math.random() * baseMs;
	return elapsedMs + delay > deadlineMs ? undefined : delay;
}

/** Reads a header of an answer by its lower-case name. */
export type HeaderReader = (name: string) => string | null | undefined;

/**
 * How long the provider asks to wait, in milliseconds: `retry-after-ms`
 * (OpenAI) before `retry-after` in seconds or as an HTTP date (RFC 9110, 10.2.3).
 */
export function retryAfterMs(headers: HeaderReader): number | undefined {
	const milliseconds = numberIn(headers("retry-after-ms"));
	if (milliseconds !== undefined) return milliseconds;
	const after = headers("retry-after");
	const seconds = numberIn(after);
	if (seconds !== undefined) return seconds * 1000;
	// Date.parse would take "-5" for a year.
	const until = after?.endsWith("GMT") ? Date.parse(after) : Number.NaN;
	return Number.isNaN(until) ? undefined : Math.max(0, until - Date.now());
}

function numberIn(text: string | null | undefined): number | undefined {
	return typeof text === "string" && /^\s*\d+(\.\d+)?\s*$/.test(text)
		? Number(text)
		: undefined;
}
