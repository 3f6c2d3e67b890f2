import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
	emptyDatabase,
	engines,
	execute,
	fewEngines,
	migratedDatabase,
	rem,
	temporaryFolder,
} from "./run-rem.ts";

const env = { EMBEDDING__PROVIDER: "local" };

// The check tries every verb on every table: two of them where it is run again.
const fewTables = [
	"--models",
	join(
		temporaryFolder({
			"models.ts": `import * as z from "zod";
import { defineEntity } from "remdb";
export const Note = defineEntity("notes", { name: z.string(), content: z.string().optional() }, { entityKeyField: "name" });
export const Person = defineEntity("people", { name: z.string(), age: z.int().optional() }, { entityKeyField: "name" });`,
		}),
		"models.ts",
	),
];

describe.each(fewEngines)(
	"rem doctor --isolation on the %s database",
	(engine) => {
		test("reports for every table that tenants are isolated, and leaves nothing", async () => {
			const url = await migratedDatabase(engine);
			const run = (...args: string[]) =>
				rem([...args, "--url", url, "--quiet"], { env });
			expect(await run("doctor", "--isolation")).toEqual({
				code: 0,
				stdout: `every read and write isolates the tenants of 12 tables
row level security is not set up (optional: rem schema generate --rls)
`,
				stderr: "",
			});
			const status = await run("kv", "status", "--json");
			const { entries } = JSON.parse(status.stdout);
			expect(Object.values(entries).every((count) => count === 0)).toBe(true);
		});

		test("reports it as JSON", async () => {
			const url = await emptyDatabase(engine);
			const run = (...args: string[]) =>
				rem([...args, ...fewTables, "--url", url, "--quiet"], { env });
			expect(await run("migrate")).toMatchObject({ code: 0 });
			const json = await run("doctor", "--isolation", "--json");
			expect(JSON.parse(json.stdout)).toMatchObject({
				library: [],
				database: { is_set_up: false, problems: [] },
			});
		});
	},
);

describe.runIf(engines.includes("server"))("with row level security", () => {
	test("a superuser is found, and the command ends with 1", async () => {
		const url = await emptyDatabase("server");
		const run = (...args: string[]) => rem([...args, ...fewTables], { env });
		expect(await run("migrate", "--url", url)).toMatchObject({ code: 0 });
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
			"SQL can read another tenant's row of notes",
		);
	});
});

describe.each(fewEngines)("rem doctor on the %s database", (engine) => {
	test("ends with 1 where something failed, and with 0 where all is well", async () => {
		const url = await emptyDatabase(engine);
		const run = (...args: string[]) =>
			rem([...args, "--url", url, "--quiet"], { env });
		const before = await run("doctor");
		expect(before.code).toBe(1);
		expect(before.stdout).toMatch(
			engine === "server"
				? /^failed {3}migrations +nothing was applied yet\n +→ rem migrate/m
				: /^failed {3}connection +there is no embedded database in \S+\n +→ rem migrate/m,
		);
		await run("migrate");
		const after = await run("doctor", "--json");
		expect(after.code).toBe(0);
		const { state, checks } = JSON.parse(after.stdout);
		expect(state).not.toBe("failed");
		expect(checks).toContainEqual({
			name: "schema",
			state: "ok",
			found: "the database is as the models are",
		});
	});
});

test("rem doctor says that there is no server, and nothing of the password", async () => {
	const run = (...args: string[]) =>
		rem([
			"doctor",
			"--url",
			"postgresql://app:secret@127.0.0.1:1/none",
			...args,
		]);
	const lines = await run();
	expect(lines.code).toBe(1);
	expect(lines.stdout).toMatch(
		/^failed {3}connection {2}cannot connect to 127.0.0.1:1/,
	);
	expect(lines.stdout + lines.stderr).not.toContain("secret");
	const { state, checks } = JSON.parse((await run("--json")).stdout);
	expect(state).toBe("failed");
	expect(checks).toMatchObject([{ name: "connection", state: "failed" }]);
});
