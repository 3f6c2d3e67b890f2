import { expect, test } from "vitest";
import { loadSqlGrammar } from "../../src/sql-grammar.ts";
import { useService } from "../support/engine.ts";

useService();

/** Whether the promise is settled by the end of this turn. */
function isSettled(promise: Promise<unknown>): Promise<boolean> {
	const later = new Promise<boolean>((resolve) =>
		setImmediate(() => resolve(false)),
	);
	return Promise.race([promise.then(() => true), later]);
}

test("a service loads the grammar of conditions before the first one needs it", async () => {
	// Asking would load it: so the time is given first.
	await new Promise((resolve) => setTimeout(resolve, 5000));
	expect(await isSettled(loadSqlGrammar())).toBe(true);
});
