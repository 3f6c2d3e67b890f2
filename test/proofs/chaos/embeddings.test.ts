import { expect, test } from "vitest";
import { killEmbeddedWorkers } from "../../../chaos/cases/embeddings-embedded.ts";
import { killWorkers } from "../../../chaos/cases/embeddings-kills.ts";

// Small: `npm run chaos` does the same as often as asked.
const options = {
	cycles: 0,
	failovers: 0,
	kills: 2,
	entities: 500,
	workerKills: 4,
	say: () => {},
};

test("every text ends with the vector of its present content, whichever process dies", async () => {
	const { figures, violations } = await killWorkers(options);
	expect(violations).toEqual([]);
	expect(figures["SIGKILLs of a worker"]).toBe(4);
	expect(figures["snapshots compared"]).toBeGreaterThan(10);
	expect(figures["kinds of faults met"]).toBeGreaterThan(13);
	expect(figures["dead letters"]).toBeGreaterThan(0);
}, 600_000);

test("also if the process that dies has the embedded database open", async () => {
	const { figures, violations } = await killEmbeddedWorkers(options);
	expect(violations).toEqual([]);
	expect(figures["embedded: vectors at the end"]).toBeGreaterThan(0);
}, 600_000);
