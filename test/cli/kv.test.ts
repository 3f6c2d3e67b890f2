import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { emptyDatabase, fewEngines, rem, temporaryFolder } from "./run-rem.ts";

const people = "- { name: sarah-chen }\n- { name: tom-reed }\n";

describe.each(fewEngines)("rem kv on the %s database", (engine) => {
	test("prints its state, rebuilds, verifies with exit code 3 and repairs", async () => {
		const url = await emptyDatabase(engine);
		const folder = temporaryFolder({ "people.yaml": people });
		const run = (...args: string[]) =>
			rem([...args, "--url", url, "--quiet"], {
				cwd: folder,
				env: { EMBEDDING__PROVIDER: "local" },
			});
		await run("load", "people.yaml", "--table", "users");
		const model = join(folder, "break.mjs");
		writeFileSync(model, breakCache(url));
		await import(model);
		const differs = await run("kv", "verify");
		expect(differs.code).toBe(3);
		expect(differs.stdout).toBe(`missing  users "tom-reed" of default
2 entities compared: 1 entry differs: rem kv verify --repair repairs them
`);
		const json = await run("kv", "verify", "--repair", "--json");
		expect(json.code).toBe(0);
		expect(JSON.parse(json.stdout)).toMatchObject({
			differing: 1,
			repaired: 1,
			differences: [
				{ kind: "missing", entity_type: "users", entity_key: "tom-reed" },
			],
		});
		const status = await run("kv", "status", "--json");
		expect(JSON.parse(status.stdout)).toMatchObject({
			ready: true,
			persistence: "unlogged",
			entries: { users: 2 },
			problems: [],
		});
		// A process that boots the embedded database may take its time.
		if (engine === "embedded") return;
		expect((await run("kv", "rebuild")).stdout).toBe(
			"ready: nothing was missing\n",
		);
		expect((await run("kv", "verify")).stdout).toBe(
			"2 entities compared: nothing differs\n",
		);
	});
});

/** As another program would, with the package as it is built. */
function breakCache(url: string): string {
	const index = new URL("../../dist/index.js", import.meta.url).href;
	return `import { PostgresService } from ${JSON.stringify(index)}
const service = await PostgresService.connect({ connectionString: ${JSON.stringify(url)} })
await service.execute("DELETE FROM kv_store WHERE entity_key = 'tom-reed'")
await service.close()`;
}
