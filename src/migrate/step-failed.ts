import { RemError } from "../errors.ts";
import { isLockTrouble } from "./lock-timeout.ts";

/**
 * A statement's failure as `MIGRATION_FAILED` with its place. What a lock or the
 * connection did is no fault of the statement, and stays what it is.
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
		isLockTrouble(error)
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
