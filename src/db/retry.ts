import { setTimeout as sleep } from "node:timers/promises";
import { count } from "../telemetry/metrics.ts";
import { errorType, noteEvent } from "../telemetry/span.ts";
import { backoffMs } from "../util/backoff.ts";
import { membersOf } from "../util/present.ts";
import { isRolledBack, isTransient } from "./sql-state.ts";

/** How a unit of work may be retried, always whole and on another connection. */
export interface RetryUnit {
	/** Retries after a failure that certainly left nothing behind. @default 0 */
	readonly retries?: number | undefined;
	/** Whether it may be retried though it may have been applied. @default false */
	readonly idempotent?: boolean | undefined;
}

/**
 * Runs a unit of work, again if its failure is transient:
 * - rolled back for certain (serialization failure, deadlock, a connection lost
 *   before COMMIT): at most `retries` times;
 * - anything about the connection, if it is idempotent;
 *
 * the latter two until the deadline, with pauses of full jitter.
 */
export async function retryUnit<T>(
	{
		deadlineMs,
		onRetry = () => {},
		...unit
	}: RetryUnit & {
		readonly deadlineMs: number;
		readonly onRetry?: (error: unknown, attempt: number) => void;
	},
	run: () => Promise<T>,
): Promise<T> {
	const deadline = performance.now() + deadlineMs;
	for (let attempt = 0; ; attempt++) {
		try {
			return await run();
		} catch (error) {
			const pauseMs = backoffMs(attempt, { firstMs: 50, maxMs: 5000 });
			const isInTime = performance.now() + pauseMs < deadline;
			const { retries = 0 } = unit;
			const mayRetry = isRolledBack(error)
				? attempt < retries
				: isInTime && mayRepeat(unit, attempt < retries, error);
			if (!mayRetry) throw error;
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

/** After a failure of the connection. */
function mayRepeat(
	{ idempotent = false }: RetryUnit,
	hasRetries: boolean,
	error: unknown,
): boolean {
	if (!isTransient(error)) return false;
	return idempotent || (hasRetries && !isOutcomeUnknown(error));
}

function isOutcomeUnknown(error: unknown): boolean {
	return membersOf(error).code === "OUTCOME_UNKNOWN";
}
