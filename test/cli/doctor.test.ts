import { describe, expect, test } from "vitest";
import { emptyDatabase, engines, execute, rem } from "./run-rem.ts";

describe.each(engines)(
	"rem doctor --isolation on the %s database",
	(engine) => {
		test("says that tenants are kept apart, of every table, and leaves nothing", async () => {
			const url = await emptyDatabase(engine);
			const run = (...args: string[]) =>
				rem([...args, "--url", url, "--quiet"], {
					env: { EMBEDDING__PROVIDER: "local" },
				});
			await run("migrate");
			expect(await run("doctor", "--isolation")).toEqual({
				code: 0,
				stdout: `tenants are kept apart by every read and write of 12 tables
row level security is not set up (optional: rem schema generate --rls)
`,
				stderr: "",
			});
			// A process that boots the embedded database may take its time.
			if (engine === "embedded") return;
			const json = await run("doctor", "--isolation", "--json");
			expect(JSON.parse(json.stdout)).toMatchObject({
				library: [],
				database: { is_set_up: false, problems: [] },
			});
			const status = await run("kv", "status", "--json");
			const { entries } = JSON.parse(status.stdout);
			expect(Object.values(entries).every((count) => count === 0)).toBe(true);
		}, 240_000);
	},
);

describe.runIf(engines.includes("server"))("with row level security", () => {
	test("a superuser is found, and the command ends with 1", async () => {
		const url = await emptyDatabase("server");
		const run = (...args: string[]) =>
			rem(args, { env: { EMBEDDING__PROVIDER: "local" } });
		await run("migrate", "--url", url, "--quiet");
		const { stdout } = await run("schema", "generate", "--rls");
		await execute(url, stdout);
		const found = await run("doctor", "--isolation", "--url", url, "--json");
		expect(found.code).toBe(1);
		const { library, database } = JSON.parse(found.stdout);
		expect(library).toEqual([]);
		expect(database.is_set_up).toBe(true);
		expect(database.problems).toContainEqual(
			expect.stringContaining("is a superuser"),
		);
		expect(database.problems).toContain(
			"SQL can read another tenant's row of resources",
		);
	}, 240_000);
});
