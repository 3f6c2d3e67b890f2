import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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
		const dry = await withFolder("migrate", "--dry-run");
		expect(dry.stdout).toContain("would apply 0001_year_as_text.sql\n");
		expect(dry.stdout).toContain("[type-change]");
		const applied = await withFolder("migrate");
		expect(applied.code).toBe(0);
		expect(applied.stdout).toContain("applied 0001_year_as_text.sql\n");
		expect(applied.stderr).toContain("warning: 0001_year_as_text.sql, line ");
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
-- dangerous (data-loss): the values of the column are lost
-- rem: undecided
-- ALTER TABLE "public"."films" DROP COLUMN IF EXISTS "year";
`);
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

test("migrate lint needs no database, and ends with 1 if it finds something", async () => {
	const cwd = temporaryFolder();
	mkdirSync(join(cwd, "sql"));
	writeFileSync(join(cwd, "sql/1_a.sql"), "SELECT 1;\nDROP TABLE t;");
	const args = ["migrate", "lint", "--migrations", "sql"];
	const found = await rem(args, { cwd });
	expect(found.code).toBe(1);
	expect(found.stdout).toContain("warning: 1_a.sql, line 2: ");
	writeFileSync(join(cwd, "sql/1_a.sql"), "SELECT 1");
	expect(await rem(args, { cwd })).toMatchObject({
		code: 0,
		stdout: "0 warnings in 1 file\n",
	});
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
