import type { FailureKind } from "../embeddings/failure.ts";

const firstMs = 1000;
/** No text rests for longer. */
export const longestPauseMs = 5 * 60_000;

/**
 * How long a text rests after a failure: doubling, at random within the second
 * half so that workers do not come back together, and never less than the
 * provider asks for. Where waiting does not help, it rests as long as it can.
 */
export function backoffMs(
	attempts: number,
	retryAfterMs: number | undefined,
): number {
	const ceiling = Math.min(
		firstMs * 2 ** Math.min(attempts, 30),
		longestPauseMs,
	);
	const ms = ceiling * (0.5 + Math.random() / 2);
	return Math.min(Math.max(ms, retryAfterMs ?? 0), longestPauseMs);
}

/** Answers that are no vectors may be one text's fault, though nobody says so. */
const mostAnswers = 5;

/** A refused text is given up at once; a provider that is down is waited for, however long. */
export function isHopeless(kind: FailureKind, attempts: number): boolean {
	return kind === "text" || (kind === "answer" && attempts >= mostAnswers);
}
