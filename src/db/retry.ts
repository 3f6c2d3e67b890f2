import { setTimeout as sleep } from "node:timers/promises";
import { count } from "../telemetry/metrics.ts";
import { errorType, noteEvent } from "../telemetry/span.ts";
import { backoffMs } from "../util/backoff.ts";
import { isRolledBack, isTransient } from "./sql-state.ts";

/** How a unit of work may be run again, always whole and on another connection. */
export interface RetryUnit {
	/** Runs after a failure that certainly left nothing behind. @default 0 */
	readonly retries?: number | undefined;
	/** Whether it may be run again though it may have been applied. @default false */
	readonly idempotent?: boolean | undefined;
}

/**
 * Runs a unit of work, again if its failure was of the moment:
 * - rolled back for certain (serialization failure, deadlock, a connection lost
 *   before COMMIT): as often as `retries` says;
 * - anything about the connection, if it is idempotent;
 *
 * the latter two until the deadline, with pauses of full jitter.
 */
export async function retryUnit<T>(
	unit: RetryUnit,
	deadlineMs: number,
	run: () => Promise<T>,
	onRetry: (error: unknown, attempt: number) => void = () => {},
): Promise<T> {
	const deadline = performance.now() + deadlineMs;
	for (let attempt = 0; ; attempt++) {
		try {
			return await run();
		} catch (error) {
			const pauseMs = backoffMs(attempt, { firstMs: 50, maxMs: 5000 });
			const isInTime = performance.now() + pauseMs < deadline;
			if (!mayRunAgain(unit, attempt, isInTime, error)) throw error;
			reportRetry(error);
			onRetry(error, attempt + 1);
			await sleep(pauseMs, undefined, { ref: false });
		}
	}
}

function reportRetry(error: unknown): void {
	const attributes = {
		"remdb.unit": "database",
		"error.type": errorType(error),
	};
	count("remdb.retries", attributes);
	noteEvent("remdb.retry", attributes);
}

function mayRunAgain(
	{ retries = 0, idempotent = false }: RetryUnit,
	attempt: number,
	isInTime: boolean,
	error: unknown,
): boolean {
	if (isRolledBack(error)) return attempt < retries;
	if (!isInTime || !isTransient(error)) return false;
	return idempotent || (attempt < retries && !isOutcomeUnknown(error));
}

function isOutcomeUnknown(error: unknown): boolean {
	return (error as { code?: string }).code === "OUTCOME_UNKNOWN";
}
