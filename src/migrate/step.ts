import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { backoffMs } from "../util/backoff.ts";
import { membersOf } from "../util/present.ts";

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

interface StepOptions extends LockTimeoutOptions {
	/** Settings of the transaction, with those that every step has. @default none */
	readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Settings of a transaction that makes our own objects: PostgreSQL compiles a function
 * when it is first called, and not once more when it is created.
 */
export const ownObjects = { check_function_bodies: "off" };

/**
 * Runs the work in a transaction that leaves the queue for a lock after a
 * moment, and tries again: one that waited behind a long read blocked all other
 * clients of the table for as long.
 */
export function patientTransaction<T>(
	db: Handle,
	options: StepOptions,
	work: (tx: Handle) => Promise<T>,
): Promise<T> {
	const { lockTimeoutMs } = withDefaults(options);
	const settings = {
		lock_timeout: `${lockTimeoutMs}`,
		statement_timeout: "0",
		...options.settings,
	};
	return patiently(options, () => db.transaction(work, { settings }));
}

/** Runs the work again as long as a lock or a deadlock makes it fail. */
export async function patiently<T>(
	options: LockTimeoutOptions,
	work: () => Promise<T>,
): Promise<T> {
	const { lockAttempts } = withDefaults(options);
	for (let attempt = 1; ; attempt++) {
		try {
			return await work();
		} catch (error) {
			if (!(error instanceof RemError && isLockConflict(error))) throw error;
			if (attempt >= lockAttempts) throw lockNotAcquired(error, attempt);
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

/** A lock that could not be acquired in time, a deadlock, or another change of the same index: the transaction was rolled back. */
function isLockConflict(error: RemError): boolean {
	return (
		error.sqlState === "55P03" ||
		error.sqlState === "40P01" ||
		isSimultaneous(error)
	);
}

/** "tuple concurrently updated": two of the indexer, a migration and a person repair the same index. */
function isSimultaneous({ sqlState, cause }: RemError): boolean {
	const { routine } = membersOf(cause);
	return sqlState === "XX000" && /^simple_heap_/.test(`${routine}`);
}

function lockNotAcquired(error: RemError, attempts: number): RemError {
	return new RemError(
		"MIGRATION_FAILED",
		`a lock could not be acquired in ${attempts} attempts: ${error.message}`,
		{
			hint: "a long transaction has locked the table: SELECT pid, state, query_start, query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start",
			cause: error.cause,
			sqlState: error.sqlState ?? "",
		},
	);
}

/**
 * A statement's failure as `MIGRATION_FAILED` with its place. A failure of a
 * lock or of the connection is not the statement's: it stays what it is.
 */
export function stepFailed(
	error: unknown,
	place: string,
	hint: string,
): unknown {
	if (
		!(error instanceof RemError) ||
		error.sqlState === undefined ||
		passedOn.has(error.code) ||
		isLockConflict(error)
	)
		return error;
	return new RemError("MIGRATION_FAILED", `${place}: ${error.message}`, {
		hint,
		cause: error.cause,
		sqlState: error.sqlState,
	});
}

const passedOn: ReadonlySet<string> = new Set([
	"CONNECTION_FAILED",
	"OUTCOME_UNKNOWN",
	"CANCELLED",
]);
