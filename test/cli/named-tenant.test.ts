import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
	fewEngines,
	migratedDatabase,
	rem,
	temporaryFolder,
} from "./run-rem.ts";

const cwd = temporaryFolder({
	"rows.jsonl": '{"name":"alien","content":"a ship"}\n',
	"two.jsonl":
		'{"name":"a","tenantId":"acme"}\n{"name":"b","tenantId":"globex"}\n',
});
const env = { EMBEDDING__PROVIDER: "local" };

describe.each(fewEngines)("the tenant is named: %s", (engine) => {
	let url = "";
	const run = (...args: readonly string[]) =>
		rem([...args, "--url", url], { cwd, env });

	beforeAll(async () => {
		url = await migratedDatabase(engine);
	});

	test("by a load, also where the option is missing", async () => {
		const args = ["load", "rows.jsonl", "-t", "resources"];
		const { stdout } = await run(...args, "--tenant", "acme");
		expect(stdout).toContain('→ resources of tenant "acme": 1 row in ');
		const without = await run(...args, "--dry-run");
		expect(without.stdout).toContain('→ resources of tenant "default": 1 row');
		const two = await run("load", "two.jsonl", "-t", "resources", "--dry-run");
		expect(two.stdout).toContain("→ resources of 2 tenants: 2 rows");
	});

	test.each([
		["search", "ship", "-t", "resources"],
		["search", "ship", "--hybrid"],
		["recall", "zebra"],
		["list", "resources"],
		["lookup", "zebra"],
		["fuzzy", "zebra"],
		["get", "zebra"],
		["traverse", "zebra"],
		["query", "LOOKUP zebra"],
		["export", "-o", join(cwd, "none.jsonl")],
	])("by rem %s %s that finds nothing", async (...args) => {
		const { code, stderr } = await run(...args, "--tenant", "amce");
		expect(code).toBe(0);
		expect(stderr).toContain('in tenant "amce", which has no rows\n');
	});

	test("that has rows, by a search that finds none of them", async () => {
		const { stderr } = await run("list", "files", "--tenant", "acme");
		expect(stderr).toContain('there are no such rows in tenant "acme"\n');
	});
});
