import { RemError } from "../../src/index.ts";

const expectedCodes = new Set([
	"CONNECTION_FAILED",
	"OUTCOME_UNKNOWN",
	"POOL_TIMEOUT",
]);

/** A lost connection, a conflict that was rolled back, or a rebuild that was overtaken. */
export function isExpected(error: unknown): boolean {
	if (!(error instanceof RemError)) return false;
	return (
		expectedCodes.has(error.code) ||
		isRolledBack(error) ||
		error.sqlState === "25006" ||
		error.message.includes("being rebuilt")
	);
}

/** Whether nothing of it was applied, for certain. */
export function isRolledBack(error: unknown): boolean {
	const state = error instanceof RemError ? error.sqlState : undefined;
	return state === "40001" || state === "40P01";
}
