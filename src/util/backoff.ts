export interface Backoff {
	/** Upper bound of the first pause; it doubles with each failure. */
	readonly firstMs: number;
	/** Longest pause. @default none */
	readonly maxMs?: number;
	/**
	 * Random share of a pause, so that clients which failed together do not come
	 * back together: 1 draws it from nothing up to the bound ("full jitter").
	 *
	 * @default 1
	 */
	readonly jitter?: number;
}

/** How long to wait after a failure that followed so many others. */
export function backoffMs(
	earlierFailures: number,
	{ firstMs, maxMs = Number.POSITIVE_INFINITY, jitter = 1 }: Backoff,
): number {
	const bound = Math.min(firstMs * 2 ** earlierFailures, maxMs);
	return bound * (1 - jitter + jitter * Math.random());
}
