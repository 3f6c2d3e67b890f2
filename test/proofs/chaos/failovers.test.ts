import { expect, test } from "vitest";
import { failOverUnderCalls } from "../../../chaos/cases/failovers.ts";
import { models } from "../../../chaos/support/items.ts";
import { Registers } from "../../../chaos/support/registers.ts";
import { Tally } from "../../../chaos/support/tally.ts";
import { findPostgres } from "../../../scripts/postgres-server.ts";
import { PostgresService } from "../../../src/index.ts";

const installation = await findPostgres();

// Small: `npm run chaos` does the same as often as asked. Docker's containers
// have no way to each other here.
test.skipIf("kind" in installation && installation.kind === "docker")(
	"no acknowledged write is lost, and none read wrongly, while primaries die and standbys take over",
	async () => {
		const { figures, violations } = await failOverUnderCalls({
			cycles: 0,
			failovers: 2,
			kills: 0,
			entities: 0,
			workerKills: 0,
			say: () => {},
		});
		expect(violations).toEqual([]);
		expect(figures["failovers: SIGKILL"]).toBe(2);
		expect(figures["acknowledged writes"]).toBeGreaterThan(100);
		expect(figures["LOOKUPs compared"]).toBeGreaterThan(100);
		expect(figures["FUZZYs compared"]).toBeGreaterThan(0);
		expect(figures["rows compared at the end"]).toBe(200);
	},
	600_000,
);

test("the comparison detects a lost write, a lost row and one that was never written", async () => {
	const tally = new Tally();
	const registers = new Registers(["ann"], 1, tally);
	const service = await PostgresService.connect({
		connectionString: "memory:",
		models,
		embedding: { provider: "local", dimensions: 8 },
	});
	await service.migrate();
	await registers.write(service, "ann");
	await registers.write(service, "ann");
	await registers.read(service);
	await registers.expectAll(service);
	expect(tally.violations).toEqual([]);
	for (const change of [
		"SET content = 'rev 1'",
		"SET content = 'rev 3'",
		"SET deleted_at = now()",
	]) {
		const before = tally.violations.length;
		await service.execute(`UPDATE items ${change}`);
		await registers.read(service);
		expect(tally.violations).toHaveLength(before + 1);
		await registers.expectAll(service);
		expect(tally.violations).toHaveLength(before + 3);
	}
	await service.close();
});
