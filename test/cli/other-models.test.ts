import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, engines, rem, temporaryFolder } from "./run-rem.ts";

const folder = temporaryFolder({
	"films.js": `
import { z } from "zod";
import { defineEntity } from "remdb";
export const Film = defineEntity("films", { name: z.string() }, { entityKeyField: "name" });
export const Note = defineEntity("notes", { name: z.string() }, { entityKeyField: "name" });
`,
	"people.js": `
import { z } from "zod";
import { defineEntity } from "remdb";
export const Person = defineEntity("people", { name: z.string() }, { entityKeyField: "name" });
`,
	"films.jsonl": '{"name":"Alien"}\n{"name":"Brazil"}\n',
	"resources.jsonl": '{"name":"a","content":"b"}\n',
});
const undescribed =
	"this database has films, notes, which no model here describes";

describe.each(engines)("a database of other models: %s", (engine) => {
	let url = "";
	const run = (...args: readonly string[]) =>
		rem([...args, "--url", url], {
			cwd: folder,
			env: { EMBEDDING__PROVIDER: "local" },
		});
	const filmsOf = async () => {
		const args = ["list", "films", "--models", "films.js", "--tenant", "acme"];
		const { stdout } = await run(...args, "--json");
		return JSON.parse(stdout).rows.map(({ name }: { name: string }) => name);
	};
	beforeAll(async () => {
		url = await emptyDatabase(engine);
		const args = ["load", "films.jsonl", "-t", "films", "--tenant", "acme"];
		expect(await run(...args, "--models", "films.js")).toMatchObject({
			code: 0,
		});
	});

	test.each([
		["forget", "--tenant", "acme", "--yes"],
		["export", "-o", "all.jsonl"],
		["export", "--format", "markdown", "-o", "all"],
	])("rem %s %s … is refused without --models", async (...args) => {
		const { code, stdout, stderr } = await run(...args);
		expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		expect(stderr).toContain(`${undescribed} [CONFIG_INVALID]`);
		expect(stderr).toContain("hint: pass --models PATH");
	});

	test("what was refused erased nothing", async () => {
		expect(await filmsOf()).toEqual(["Alien", "Brazil"]);
	});

	test.each([
		["recall", "alien"],
		["query", 'SEARCH "x" IN resources'],
		["export", "--table", "resources", "-o", "r.jsonl"],
		["embeddings", "sync"],
	])("rem %s %s … names --models", async (...args) => {
		const { stderr } = await run(...args);
		expect(stderr).toContain(undescribed);
		expect(stderr).toContain("pass --models PATH");
	});

	test.each([["lookup", "alien"], ["doctor"], ["kv", "status"]])(
		"rem %s %s warns",
		async (...args) => {
			const { stderr } = await run(...args);
			expect(stderr).toContain(`${undescribed}: pass --models PATH`);
		},
	);

	test("none of them created a table", async () => {
		const { code, stderr } = await run("list", "resources");
		expect(code).toBe(1);
		expect(stderr).toContain(`[SCHEMA_DRIFT]\nhint: ${undescribed}`);
	});

	test("models of another path are named too", async () => {
		const { code, stderr } = await run(
			...["list", "people", "--models", "people.js"],
		);
		expect(code).toBe(1);
		expect(stderr).toContain(
			`hint: ${undescribed}: add their models to those of --models`,
		);
	});

	test("a table without a model gets a suggestion, and --models", async () => {
		const { stderr } = await run("list", "films");
		expect(stderr).toContain(
			'hint: did you mean "files"? A table of your own needs --models PATH\n',
		);
	});

	test("a load into a built-in table creates it; then only what is about all tables is refused", async () => {
		const loaded = await run("load", "resources.jsonl", "-t", "resources");
		expect(loaded).toMatchObject({ code: 0 });
		const listed = await run("list", "resources");
		expect(listed.code).toBe(0);
		expect(listed.stderr).not.toContain(undescribed);
		expect(await run("export", "-o", "all.jsonl")).toMatchObject({ code: 1 });
	});

	test("with a path, tables it does not describe are left alone and named", async () => {
		const args = ["forget", "--tenant", "acme", "--yes"];
		const { code, stderr } = await run(...args, "--models", "films.js");
		expect(code).toBe(0);
		expect(stderr).toContain("which no model here describes");
		expect(await filmsOf()).toEqual([]);
	});
});

test("MODELS__PATH is as good as --models", async () => {
	writeFileSync(join(folder, "one.json"), '[{ "name": "Ada" }]');
	const env = { MODELS__PATH: "people.js" };
	const { stderr } = await rem(["list", "persons", "--url", "memory:"], {
		cwd: folder,
		env,
	});
	expect(stderr).not.toContain("--models");
});
