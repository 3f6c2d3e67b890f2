import { setTimeout as sleep } from "node:timers/promises";
import { RemError } from "../../src/index.ts";

/** Something that goes on until the run is over, whatever breaks under it. */
export interface Stage {
	readonly isOver: () => boolean;
	/** Ends the run early: something is wrong with the harness itself. */
	readonly fail: (error: unknown) => void;
}

/** Repeats a step; what crashes of a server cause is waited out. */
export async function act(
	stage: Stage,
	step: () => Promise<unknown>,
	pauseMs = 0,
): Promise<void> {
	while (!stage.isOver()) {
		try {
			await step();
			// At least a turn of the event loop: a step may find nothing to do.
			await sleep(pauseMs);
		} catch (error) {
			if (!isExpected(error)) return stage.fail(error);
			await sleep(20);
		}
	}
}

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
