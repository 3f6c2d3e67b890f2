import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { emptyDatabase, engines, rem, temporaryFolder } from "./run-rem.ts";

const model = (fields: string) => `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Film = defineEntity("films", { name: z.string(), ${fields} }, { entityKeyField: "name" });`;

// Where there is a server it is enough: test/engine compares on both.
test.each(engines.slice(-1))(
	"a model's changes go through diff, a written migration and migrate (%s)",
	async (engine) => {
		const cwd = temporaryFolder({
			"film.ts": model("year: z.int().optional()"),
		});
		const url = await emptyDatabase(engine);
		const run = (...args: string[]) =>
			rem([...args, "--url", url, "--models", "film.ts"], { cwd });
		expect((await run("migrate")).code).toBe(0);
		const same = await run("schema", "diff");
		expect(same).toMatchObject({
			code: 0,
			stdout: "the database is as the models are\n",
		});

		writeFileSync(
			join(cwd, "film.ts"),
			model("year: z.string().optional(), rating: z.number().default(0)"),
		);
		expect(await run("migrate")).toMatchObject({ code: 1 });
		const differs = await run(
			"schema",
			"diff",
			"--write",
			"year_as_text",
			"--migrations",
			"migrations",
			"--include-dangerous",
		);
		expect(differs.code).toBe(3);
		expect(differs.stdout).toContain('-- films: column "rating" is missing');
		expect(differs.stdout).toContain(
			'-- films: column "year" is bigint, expected text',
		);
		expect(differs.stdout).toContain("-- dangerous (rewrite): ");
		expect(readdirSync(join(cwd, "migrations"))).toEqual([
			"0001_year_as_text.sql",
		]);

		const withFolder = (...args: string[]) =>
			run(...args, "--migrations", "migrations");
		const twice = ["schema", "diff", "--write", "again"];
		const refusedAgain = await withFolder(...twice, "--include-dangerous");
		expect(refusedAgain.code).toBe(1);
		expect(refusedAgain.stderr).toContain(
			"0001_year_as_text.sql has the same statements; nothing was written",
		);
		const dry = await withFolder("migrate", "--dry-run");
		expect(dry.stdout).toContain("would apply 0001_year_as_text.sql\n");
		const applied = await withFolder("migrate");
		expect(applied.code).toBe(0);
		expect(applied.stdout).toContain("applied 0001_year_as_text.sql\n");
		expect((await run("schema", "diff")).code).toBe(0);

		const status = await withFolder("migrate", "status", "--json");
		expect(JSON.parse(status.stdout)).toContainEqual({
			name: "0001_year_as_text.sql",
			kind: "file",
			state: "applied",
			applied_at: expect.any(String),
			applied_by: expect.any(String),
			duration_ms: expect.any(Number),
		});

		const path = join(cwd, "migrations/0001_year_as_text.sql");
		writeFileSync(path, `${readFileSync(path, "utf8")}-- a comment\n`);
		const refused = await withFolder("migrate");
		expect(refused.code).toBe(1);
		expect(refused.stderr).toContain(
			"0001_year_as_text.sql was edited after it was applied [MIGRATION_FAILED]",
		);
		const repaired = await withFolder(
			"migrate",
			"repair",
			"0001_year_as_text.sql",
		);
		expect(repaired.stdout).toBe("accepted 0001_year_as_text.sql\n");
		expect((await withFolder("migrate")).stdout).toBe(
			"up to date: nothing to do\n",
		);
	},
);

test("what is dangerous is commented out, unless asked for", async () => {
	const cwd = temporaryFolder({ "film.ts": model("year: z.int().optional()") });
	const run = (...args: string[]) =>
		rem([...args, "--models", "film.ts"], { cwd });
	await run("migrate");
	writeFileSync(join(cwd, "film.ts"), model(""));
	await run("schema", "diff", "--write", "less", "--migrations", "sql");
	expect(
		readFileSync(join(cwd, "sql/0001_less.sql"), "utf8"),
	).toBe(`-- films: column "year" is not in the model
-- dangerous (data-loss): films: the values of column "year" are lost
-- rem: undecided
-- ALTER TABLE "public"."films" DROP COLUMN IF EXISTS "year";
`);
	const twice = ["schema", "diff", "--write", "again", "--migrations", "sql"];
	expect(await run(...twice)).toMatchObject({
		code: 1,
		stdout: "",
		stderr: expect.stringMatching(
			/^error: 0001_less\.sql, line 3: .*nothing was written/,
		),
	});
	expect(readdirSync(join(cwd, "sql"))).toEqual(["0001_less.sql"]);
	const withoutFolder = await run("schema", "diff", "--write", "more");
	expect(withoutFolder.code).toBe(2);

	// Neither run nor skipped silently.
	const preview = await run("migrate", "--migrations", "sql", "--dry-run");
	expect(preview).toMatchObject({
		code: 3,
		stdout: expect.stringContaining("would refuse 0001_less.sql: "),
	});
	const refused = await run("migrate", "--migrations", "sql");
	expect(refused.code).toBe(1);
	expect(refused.stderr).toContain(
		"0001_less.sql, line 3: a dangerous statement is not decided on [MIGRATION_FAILED]",
	);
	const path = join(cwd, "sql/0001_less.sql");
	writeFileSync(
		path,
		readFileSync(path, "utf8").replace("-- rem: undecided\n-- ", ""),
	);
	expect(await run("migrate", "--migrations", "sql")).toMatchObject({
		code: 0,
		stdout: expect.stringMatching(/^applied 0001_less\.sql\n/),
	});
	expect((await run("schema", "diff")).code).toBe(0);
});

test.each(engines)(
	"a change of the embedding model is shown before and after it is made (%s)",
	async (engine) => {
		const cwd = temporaryFolder({ "film.ts": model("content: z.string()") });
		const url = await emptyDatabase(engine);
		const run = (env: Readonly<Record<string, string>>, ...args: string[]) =>
			rem(["migrate", ...args, "--url", url, "--models", "film.ts"], {
				cwd,
				env,
			});
		const local = { EMBEDDING__PROVIDER: "local" };
		const openai = { EMBEDDING__PROVIDER: "openai", OPENAI_API_KEY: "x" };
		// Without a key the embedded database has its own model.
		const first = await run(engine === "embedded" ? {} : local);
		expect(first.stdout).not.toContain("embedding model");
		const change =
			"films: local semantic-v1 (612) → openai text-embedding-3-small (1536)";
		for (const _ of [1, 2])
			expect((await run(openai, "--dry-run")).stdout).toBe(
				`would change the embedding model of ${change}\n`,
			);
		expect((await run(openai)).stdout).toBe(`embedding model of ${change}\n`);
		expect((await run(openai)).stdout).toBe("up to date: nothing to do\n");
		const back = await run(local, "--dry-run", "--json");
		expect(JSON.parse(back.stdout).models).toMatchObject([
			{ tables: ["films"], from: "openai text-embedding-3-small (1536)" },
		]);
	},
);

test.each([
	["migrate", "--dry-run"],
	["migrate", "status"],
	["schema", "diff"],
	["doctor"],
	["doctor", "--isolation"],
	["lookup", "x"],
	["fuzzy", "x"],
	["search", "x"],
	["query", "LOOKUP x"],
	["traverse", "x"],
	["kv", "status"],
	["kv", "verify"],
	["index", "status"],
	["embeddings", "status"],
	["embeddings", "sync", "--dry-run"],
])("rem %s %s creates nothing where there is no database", async (...args) => {
	const cwd = temporaryFolder();
	const given = args.filter((argument) => argument !== undefined);
	const { stdout, stderr } = await rem(given, { cwd });
	expect(stdout + stderr).toContain("there is no embedded database in ./.rem");
	expect(readdirSync(cwd)).toEqual([]);
});

test("models may be JSON Schemas, as Pydantic exports them", async () => {
	const schema = {
		title: "Film",
		type: "object",
		properties: {
			name: { type: "string" },
			plot: { type: "string", embed: true },
		},
		required: ["name", "plot"],
	};
	const cwd = temporaryFolder({ "film.schema.json": JSON.stringify(schema) });
	const { stdout } = await rem(["schema", "generate", "--models", "."], {
		cwd,
	});
	expect(stdout).toContain('"plot" TEXT NOT NULL');
	expect(stdout).toContain('"public"."embeddings_films"');
	writeFileSync(join(cwd, "film.schema.json"), '{"title": "Film"}');
	const invalid = await rem(["schema", "validate", "--models", "."], { cwd });
	expect(invalid.code).toBe(1);
	expect(invalid.stdout).toContain("film.schema.json: cannot be loaded");
});
