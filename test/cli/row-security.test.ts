import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { coreEntities, PostgresService } from "../../src/index.ts";
import { login } from "../support/row-security.ts";
import { engines, migratedDatabase, rem, temporaryFolder } from "./run-rem.ts";

describe.runIf(engines.includes("server"))(
	"as a member of rem_app, under row level security",
	() => {
		const folder = temporaryFolder({
			"rows.json": '[{"name":"plan","content":"What we want to do."}]',
		});
		let owner: PostgresService;
		let app: Awaited<ReturnType<typeof login>>;
		const run = (...args: readonly string[]) =>
			rem([...args, "--url", app.url, "--json"], {
				cwd: folder,
				env: { EMBEDDING__PROVIDER: "local" },
			});
		const done = async (...args: readonly string[]) => {
			const { code, stdout, stderr } = await run(...args);
			expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
			return JSON.parse(stdout);
		};

		beforeAll(async () => {
			const url = await migratedDatabase("server");
			owner = await PostgresService.connect({
				connectionString: url,
				embedding: { provider: "local" },
			});
			app = await login(
				{ service: owner as never, url },
				coreEntities,
				"rem_app",
			);
		});
		afterAll(async () => {
			await app?.drop();
			await owner?.close();
		});

		test("load stores rows of the tenant, and so does the load of an export", async () => {
			await done("load", "rows.json", "-t", "resources", "-T", "acme");
			expect(await done("lookup", "plan", "-T", "acme")).toHaveLength(1);
			expect(await done("lookup", "plan", "-T", "globex")).toEqual([]);
			await done("export", "--vectors", "-T", "acme", "-o", "acme.jsonl");
			const parts = ["--commit-every", "1", "--verify"];
			await done("load", "acme.jsonl", "-T", "acme", ...parts);
			const copy = ["--from-tenant", "acme", "--new-ids", "--verify"];
			await done("load", "acme.jsonl", "-T", "globex", ...copy);
			expect(await done("lookup", "plan", "-T", "globex")).toHaveLength(1);
		});

		test("a worker ends at once, and names the role that it needs", async () => {
			const { code, stderr } = await run("worker");
			expect(code).toBe(1);
			expect(JSON.parse(stderr).error).toMatchObject({
				code: "CONFIG_INVALID",
				hint: expect.stringContaining("rem_owner"),
			});
		});
	},
);
