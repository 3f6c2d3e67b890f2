import { afterAll } from "vitest";

// A setup file: it is evaluated for each test file, while what tests import is evaluated
// once for all files of a worker, where an `afterAll` would be that of the first one.

type CleanUp = () => unknown;
const shared = globalThis as { remCleanUps?: CleanUp[] };
shared.remCleanUps ??= [];
const cleanUps = shared.remCleanUps;

afterAll(async () => {
	for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** Runs it when the tests of the file are done; may be called anywhere, in tests and hooks too. */
export function afterFile(cleanUp: CleanUp): void {
	cleanUps.push(cleanUp);
}
