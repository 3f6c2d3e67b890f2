import { expect, test } from "vitest";
import { crashUnderLoad } from "../../../chaos/cases/kv-crashes.ts";
import { failOverUnderLoad } from "../../../chaos/cases/kv-failovers.ts";
import { killEmbedded } from "../../../chaos/cases/kv-kills.ts";
import { findPostgres } from "../../../scripts/postgres-server.ts";

// Small: `npm run chaos` does the same as often as asked.
const options = {
	cycles: 8,
	failovers: 2,
	kills: 2,
	entities: 0,
	workerKills: 0,
	say: () => {},
};
const installation = await findPostgres();

test("the cache never lies while a server crashes under load", async () => {
	const { figures, violations } = await crashUnderLoad(options);
	expect(violations).toEqual([]);
	expect(figures["acknowledged row changes"]).toBeGreaterThan(100);
	expect(figures["full comparisons while ready"]).toBeGreaterThan(0);
}, 600_000);

// Docker's containers have no way to each other here.
test.skipIf("kind" in installation && installation.kind === "docker")(
	"nor while synchronous standbys take over",
	async () => {
		const { figures, violations } = await failOverUnderLoad(options);
		expect(violations).toEqual([]);
		expect(figures["acknowledged row changes"]).toBeGreaterThan(100);
	},
	600_000,
);

test("nor while processes with the embedded database are killed", async () => {
	const { figures, violations } = await killEmbedded(options);
	expect(violations).toEqual([]);
	expect(figures["embedded: acknowledged entities"]).toBeGreaterThan(0);
}, 600_000);
