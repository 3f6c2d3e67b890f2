import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { backoffMs } from "../util/backoff.ts";

export interface LockTimeoutOptions {
	/**
	 * Longest wait for a table's lock, in milliseconds: later statements wait
	 * behind it. Then the step is tried again. @default 500
	 */
	readonly lockTimeoutMs?: number | undefined;
	/** How often a step is tried. @default 60 */
	readonly lockAttempts?: number | undefined;
}

const defaults = { lockTimeoutMs: 500, lockAttempts: 60 };
const backoff = { firstMs: 100, maxMs: 1500 };

/**
 * Runs the work in a transaction that gives up its place in the queue for a
 * lock after a moment, and tries again: one that waited behind a long read kept
 * everybody else out of the table for as long.
 */
export function patientTransaction<T>(
	db: Handle,
	options: LockTimeoutOptions,
	work: (tx: Handle) => Promise<T>,
): Promise<T> {
	const { lockTimeoutMs } = withDefaults(options);
	const settings = { lock_timeout: `${lockTimeoutMs}`, statement_timeout: "0" };
	return patiently(options, () => db.transaction(work, { settings }));
}

/** Runs the work again as long as a lock, or a deadlock, stands in its way. */
export async function patiently<T>(
	options: LockTimeoutOptions,
	work: () => Promise<T>,
): Promise<T> {
	const { lockAttempts } = withDefaults(options);
	for (let attempt = 1; ; attempt++) {
		try {
			return await work();
		} catch (error) {
			if (!isLockTrouble(error)) throw error;
			if (attempt >= lockAttempts) throw gaveUp(error as RemError, attempt);
			await new Promise((resolve) =>
				setTimeout(resolve, backoffMs(attempt, backoff)),
			);
		}
	}
}

function withDefaults(options: LockTimeoutOptions): typeof defaults {
	return {
		lockTimeoutMs: options.lockTimeoutMs ?? defaults.lockTimeoutMs,
		lockAttempts: options.lockAttempts ?? defaults.lockAttempts,
	};
}

/** A lock that was not to be had in time, a deadlock, or another change of the same index: nothing of the transaction is left. */
export function isLockTrouble(error: unknown): boolean {
	if (!(error instanceof RemError)) return false;
	return (
		error.sqlState === "55P03" ||
		error.sqlState === "40P01" ||
		isSimultaneous(error)
	);
}

/** "tuple concurrently updated": two of the indexer, a migration and a person repair the same index. */
function isSimultaneous({ sqlState, cause }: RemError): boolean {
	const { routine } = (cause ?? {}) as { routine?: string };
	return sqlState === "XX000" && /^simple_heap_/.test(routine ?? "");
}

function gaveUp(error: RemError, attempts: number): RemError {
	return new RemError(
		"MIGRATION_FAILED",
		`a lock was not to be had in ${attempts} attempts: ${error.message}`,
		{
			hint: "a long transaction holds the table: SELECT pid, state, query_start, query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start",
			cause: error.cause,
			sqlState: error.sqlState ?? "",
		},
	);
}
