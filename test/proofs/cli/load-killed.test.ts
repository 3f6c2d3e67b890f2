import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { PostgresService } from "../../../src/index.ts";
import {
	emptyDatabase,
	engines,
	remProcess,
	temporaryFolder,
} from "../../cli/run-rem.ts";

const rows = 4000;
const tenants = 20;

describe.runIf(engines.includes("server"))(
	"a load into buckets that is killed",
	() => {
		test("continues after the committed rows, and is complete and verified", async () => {
			const folder = temporaryFolder();
			const file = join(folder, "all.jsonl");
			writeFileSync(file, await exportOfManyTenants());
			const url = await emptyDatabase("server");
			const env = { POSTGRES__BUCKETS: "4", EMBEDDING__PROVIDER: "local" };
			const load = ["load", file, "--url", url, "--commit-every", "100"];

			const service = await PostgresService.connect({
				connectionString: url,
				buckets: 4,
				embedding: { provider: "local" },
			});
			await service.migrate();
			const stored = async () => {
				const found = await service.buckets.status();
				return found.reduce((sum, bucket) => sum + bucket.rows, 0);
			};
			const killed = await remProcess(load, {
				env,
				onStart: async (child) => {
					while ((await stored()) === 0) await sleep(5);
					child.kill("SIGKILL");
				},
			});
			expect(killed.code).toBeNull();
			const committed = await stored();
			expect(committed % 100).toBe(0);
			expect(committed).toBeLessThan(rows);

			const ended = await remProcess([...load, "--verify", "--json"], { env });
			expect(ended).toMatchObject({ code: 0 });
			expect(JSON.parse(ended.stdout).files[0]).toMatchObject({
				inserted: rows - committed,
				updated: 0,
				unchanged: committed,
				verified: { rows, tenants, missing: 0, differing: 0 },
			});
			await service.close();
		});
	},
);

/** Of a database without buckets. */
async function exportOfManyTenants(): Promise<string> {
	const service = await PostgresService.connect({
		connectionString: await emptyDatabase("server"),
		embedding: { provider: "local" },
	});
	await service.migrate();
	for (let tenant = 0; tenant < tenants; tenant++)
		await service.batchUpsert({
			tableName: "resources",
			tenantId: `tenant ${tenant}`,
			entities: Array.from({ length: rows / tenants }, (_, at) => ({
				name: `row ${at}`,
				content: `Row ${at} of tenant ${tenant}`,
			})),
		});
	let text = "";
	await service.exportRows({
		vectors: true,
		write: (lines) => {
			text += lines;
		},
	});
	await service.close();
	return text;
}
