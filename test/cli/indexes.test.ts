import pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, fewEngines, rem, temporaryFolder } from "./run-rem.ts";

const folder = temporaryFolder({
	"models.ts": `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Plant = defineEntity("plants", { name: z.string(), about: z.string().optional().meta({ embed: true }) }, { entityKeyField: "name" });`,
	"plants.json": JSON.stringify([{ name: "oak", about: "a tall tree" }]),
	"more.json": JSON.stringify([
		{ name: "reed", about: "a tall grass" },
		{ name: "moss", about: "a low carpet" },
	]),
});
const env = { EMBEDDING__PROVIDER: "local" };
const hnsw = /^hnsw_plants__about__local__/;

describe.each(fewEngines)("rem index on the %s", (engine) => {
	let url: string;
	const run = (...args: string[]) =>
		rem([...args, "--models", "models.ts", "--url", url], { cwd: folder, env });
	const status = async () => {
		const { code, stdout } = await run("index", "status", "--json");
		expect(code).toBe(0);
		return JSON.parse(stdout).indexes as {
			index_name: string;
			state: string;
		}[];
	};

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		await run("load", "plants.json", "--table", "plants");
	});

	test("status counts what would not pay, and shows the rest", async () => {
		const { code, stdout } = await run("index", "status");
		expect(code).toBe(0);
		expect(stdout).toMatch(/^index +table +state +size\n/);
		expect(stdout).toMatch(/idx_plants__created_at +plants +valid +\d/);
		const indexes = await status();
		const deferred = indexes.filter(({ state }) => state === "deferred");
		expect(stdout).toContain(
			`${deferred.length} indexes wait until their tables have enough rows to pay\n`,
		);
		const index = indexes.find(({ index_name }) => hnsw.test(index_name));
		expect(index).toEqual({
			index_name: expect.any(String),
			table_name: "embeddings_plants",
			index_type: "hnsw",
			state: "deferred",
			usable: false,
			size_bytes: 0,
			attempts: 0,
			next_attempt_at: null,
			error: null,
			sql_state: null,
			percent: null,
			phase: null,
			eta_ms: null,
			left_to: null,
			waits_for: null,
		});
	});

	test("build makes them all the same, and says which", async () => {
		const deferred = (await status()).filter(
			({ state }) => state === "deferred",
		);
		const { code, stdout } = await run("index", "build");
		expect(code).toBe(0);
		expect(stdout).toContain("built gin_plants__edge_keys\n");
		expect(stdout.endsWith(`\n${deferred.length} indexes built\n`)).toBe(true);
		const states = (await status()).map(({ state }) => state);
		expect(new Set(states)).toEqual(new Set(["valid"]));
		expect((await run("index", "build")).stdout).toBe("nothing to do\n");
	});

	test("a load names the command that builds the indexes it left, unless it is quiet", async () => {
		const fresh = await emptyDatabase(engine);
		const load = (...args: string[]) =>
			rem(
				["load", "more.json", "--table", "plants", ...args].concat(
					"--models",
					"models.ts",
					"--url",
					fresh,
				),
				{
					cwd: folder,
					env: {
						...env,
						BACKGROUND_INDEX__MIN_ROWS: "1",
						BACKGROUND_INDEX__ENABLED: "false",
					},
				},
			);
		const first = await load();
		expect(first).toMatchObject({ code: 0 });
		expect(first.stderr).toMatch(
			/\d+ indexes are not built yet.*`rem index build`/,
		);
		for (const option of ["--quiet", "--json"])
			expect((await load(option)).stderr).not.toContain("not built yet");
		const built = ["index", "build", "--models", "models.ts", "--url", fresh];
		expect(
			await rem(built, {
				cwd: folder,
				env: { ...env, BACKGROUND_INDEX__MIN_ROWS: "1" },
			}),
		).toMatchObject({ code: 0 });
		expect((await load()).stderr).not.toContain("not built yet");
	});

	test("load --bulk drops the vector index for its time, says so, and leaves it valid", async () => {
		const load = (...args: string[]) =>
			rem(
				["load", "more.json", "--table", "plants", "--bulk", ...args].concat(
					"--models",
					"models.ts",
					"--url",
					url,
				),
				{ cwd: folder, env: { ...env, BACKGROUND_INDEX__MIN_ROWS: "1" } },
			);
		const { code, stdout, stderr } = await load();
		expect(code).toBe(0);
		expect(stdout).toContain("2 inserted, 0 updated, 2 texts embedded");
		expect(stderr).toMatch(
			/bulk: dropped hnsw_plants__about\S* for a load of 2 vectors.*searches compare every vector/,
		);
		const index = (await status()).find(({ index_name }) =>
			hnsw.test(index_name),
		);
		expect(index?.state).toBe("valid");
		const again = await load("--json");
		expect(JSON.parse(again.stdout).files[0].bulk).toEqual({
			dropped: [],
			explanation: expect.stringContaining("0 vectors is not large"),
		});
	});

	test.runIf(engine === "server")(
		"repair rebuilds an invalid one, and reports one that it cannot rebuild",
		async () => {
			const client = new pg.Client({ connectionString: url });
			await client.connect();
			const spoil =
				"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'gin_plants__metadata'::regclass";
			await client.query(spoil);
			const { code, stdout } = await run("index", "repair", "--json");
			expect(code).toBe(0);
			expect(JSON.parse(stdout)).toEqual({ built: ["gin_plants__metadata"] });
			await client.query(spoil);
			await client.query("DROP FUNCTION rem_edge_keys CASCADE");
			await client.query("DROP INDEX IF EXISTS gin_plants__edge_keys");
			await client.end();
			const failed = await run("index", "build", "--json");
			expect(failed.code).toBe(1);
			// The last line; the log's are before it.
			const [error = ""] = failed.stderr.trim().split("\n").slice(-1);
			expect(JSON.parse(error)).toMatchObject({
				error: { code: "INDEX_FAILED", sql_state: "42883" },
			});
		},
	);
});
