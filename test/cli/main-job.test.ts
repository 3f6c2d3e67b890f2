import { beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, engines, rem, temporaryFolder } from "./run-rem.ts";

const names = ["Sarah Chen", "Omar Haddad", "Sara Cheng", "Lena Voss"];

const folder = temporaryFolder({
	"people.csv": `name,summary,last_active_at,interests\n${names
		.map(
			(name, at) =>
				`${name},"Looks after gardens and tools, number ${at}",2025-01-0${at + 1},"[""trees""]"`,
		)
		.join("\n")}\n`,
	"notes.json": JSON.stringify([
		{
			name: "note-1",
			content: "Pruning apple trees in winter",
			metadata: { sourceKey: "A" },
		},
		{ name: "note-2", content: "Sharpening a spade" },
	]),
	"models.ts": `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Plant = defineEntity("plants", { name: z.string(), heightCm: z.number().optional() }, { entityKeyField: "name" });`,
	"team.yaml": `- table: users
  rows:
    - name: Ada
      graph_edges: [{ dst: bo, rel_type: leads }, { dst: Di, rel_type: knows }]
    - name: Bo
      graph_edges: [{ dst: cy, rel_type: knows }]
    - name: Cy
`,
	"plants.yaml": "- name: oak\n  height_cm: 2000\n",
});

describe.each(engines)("on the %s", (engine) => {
	let url: string;
	const run = (...args: string[]) =>
		rem([...args, "--url", url], { cwd: folder, env });
	const env = { EMBEDDING__PROVIDER: "local" };

	beforeAll(async () => {
		url = await emptyDatabase(engine);
	});

	test("load sets the database up, reports that, and counts what it did", async () => {
		const { code, stdout, stderr } = await run(
			"load",
			"people.csv",
			"--table",
			"users",
			"--tenant",
			"acme",
		);
		expect(code).toBe(0);
		expect(stderr).toMatch(
			/^(?:creating the embedded database in \S+\n)?set up the database: 2 base files, \d+ tables/,
		);
		expect(stdout).toMatch(
			/^people\.csv → users of tenant "[^"]+": 4 rows in /,
		);
		expect(stdout).toContain(
			"  4 inserted, 0 updated, 4 texts embedded, 4 names to look up\n",
		);
	});

	test("loading again changes nothing and embeds nothing", async () => {
		const { code, stdout, stderr } = await run(
			"load",
			"people.csv",
			"--table",
			"users",
			"--tenant",
			"acme",
			"--json",
		);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		expect(JSON.parse(stdout)).toMatchObject({
			inserted: 0,
			updated: 4,
			unchanged: 4,
			embeddings_generated: 0,
			embeddings_reused: 4,
			kv_entries: 4,
			files: [{ file: "people.csv", table: "users" }],
		});
	});

	test("lookup finds names in any case, and reports those it does not find", async () => {
		const { code, stdout, stderr } = await run(
			"lookup",
			"sarah_chen",
			"nobody",
			"--tenant",
			"acme",
		);
		expect(code).toBe(0);
		expect(stdout).toMatch(/^Sarah Chen\n {2}table {5}users\n/);
		expect(stderr).toContain('nothing is named "nobody"');
	});

	test("traverse shows where edges lead, and as JSON all there is to know", async () => {
		await run("load", "team.yaml", "--tenant", "team", "--quiet");
		const args = ["traverse", "ada", "--tenant", "team", "--depth", "2"];
		const { code, stdout, stderr } = await run(...args);
		expect(code).toBe(0);
		expect(stdout).toMatch(/^DEPTH {2}NAME +TABLE +BY +WAY\n {4}1 {2}Bo /);
		expect(stdout).toMatch(/ {4}2 {2}Cy +users +knows → +Ada · Bo\n/);
		expect(stderr).toContain('nothing is named "Di"');
		const { stdout: json } = await run(...args, "--type", "leads", "--json");
		expect(JSON.parse(json)).toMatchObject({
			from: { entity_key: "Ada" },
			nodes: [{ entity_key: "Bo", depth: 1, edge: { rel_type: "leads" } }],
			is_complete: true,
		});
	});

	test("lookup --hydrate shows the whole row", async () => {
		const args = ["lookup", "omar-haddad", "--tenant", "acme", "--hydrate"];
		const { stdout } = await run(...args);
		expect(stdout).toMatch(/^ {4}lastActiveAt = 2025-01-02T/m);
		const { stdout: json } = await run(...args, "--json");
		expect(JSON.parse(json)).toMatchObject([
			{ entity_key: "Omar Haddad", record: { interests: ["trees"] } },
		]);
	});

	test("fuzzy --mode word finds a part of a name", async () => {
		const { stdout } = await run(
			...["fuzzy", "hadad", "--tenant", "acme", "--mode", "word", "--json"],
		);
		expect(JSON.parse(stdout)).toMatchObject([{ entity_key: "Omar Haddad" }]);
	});

	test("fuzzy finds a misspelt name, the closest first", async () => {
		const { code, stdout } = await run(
			"fuzzy",
			"sarah chan",
			"--tenant",
			"acme",
			"--limit",
			"2",
			"--json",
		);
		expect(code).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject([
			{
				entity_key: "Sarah Chen",
				entity_type: "users",
				score: expect.any(Number),
			},
			{ entity_key: "Sara Cheng" },
		]);
	});

	test("search finds rows and prints columns, keys in JSON as they are", async () => {
		await run(
			"load",
			"notes.json",
			"--table",
			"resources",
			"--tenant",
			"acme",
			"--user",
			"sam",
			"--quiet",
		);
		const { code, stdout } = await run(
			"search",
			"apple trees",
			"--table",
			"resources",
			"--tenant",
			"acme",
			"--limit",
			"1",
			"--json",
		);
		expect(code).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject([
			{
				name: "note-1",
				user_id: "sam",
				related_entities: [],
				metadata: { sourceKey: "A" },
				similarity: expect.any(Number),
				matched_field: "content",
			},
		]);
	});

	test("search --hybrid --explain shows ranks, and how it was made", async () => {
		const args = ["search", "apple trees", "--table", "resources", "--tenant"];
		const where = [
			"--where",
			'{"metadata": {"path": ["sourceKey"], "eq": "A"}}',
		];
		const shown = await run(...args, "acme", ...where, "--hybrid", "--explain");
		expect(shown.code).toBe(0);
		expect(shown.stdout).toMatch(/SCORE +NAME +RANKS +TEXT\n/);
		expect(shown.stdout).toMatch(/vector 1, text 1/);
		expect(shown.stdout).toMatch(/exact: every vector was compared/);
		expect(shown.stdout).toMatch(/planning [\d.]+ ms/);
		const json = await run(...args, "acme", "--explain", "--json");
		expect(JSON.parse(json.stdout)).toMatchObject({
			hits: expect.any(Array),
			explain: { is_exact: true, sql: expect.stringContaining("SELECT") },
		});
		const fused = await run(...args, "acme", "--hybrid", "--explain", "--json");
		const { lists } = JSON.parse(fused.stdout).explain;
		expect(lists.text.candidates[0]).toEqual({
			id: expect.any(String),
			entity_key: "note-1",
			rank: 1,
			value: expect.any(Number),
		});
		const recalled = await run(
			"recall",
			"note-1",
			"--tenant",
			"acme",
			"--explain",
			"--json",
		);
		const { candidates, tables } = JSON.parse(recalled.stdout).explain;
		expect(candidates).toContainEqual({
			entity_type: "resources",
			entity_id: expect.any(String),
			entity_key: "note-1",
			reason: { step: "lookup", rank: 1, via: "note-1" },
			value: 1.1,
		});
		expect(tables.resources.lists.text.candidates[0]).toMatchObject({
			entity_key: "note-1",
		});
		const wrong = await run(...args, "acme", "--where", "year=1");
		expect(wrong.code).toBe(2);
	});

	test("another tenant finds nothing, with exit code 0", async () => {
		expect(
			await run("lookup", "sarah-chen", "--tenant", "other", "--quiet"),
		).toEqual({ code: 0, stdout: "", stderr: "" });
	});

	test("an unknown table is an error before anything is asked", async () => {
		const { code, stdout, stderr } = await run(
			"search",
			"x",
			"--table",
			"resorces",
			"--json",
		);
		expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		expect(JSON.parse(stderr).error).toMatchObject({
			code: "UNKNOWN_ENTITY",
			hint: 'did you mean "resources"? A table of your own needs --models PATH',
		});
	});

	test("migrate --models makes tables of the user's models, which load takes", async () => {
		const first = await run("migrate", "--models", "models.ts");
		expect(first.code).toBe(0);
		expect(first.stdout).toContain("applied table plants\n");
		expect((await run("migrate", "--models", "models.ts")).stdout).toBe(
			"up to date: nothing to do\n",
		);
		const loaded = await run(
			"load",
			"plants.yaml",
			"--table",
			"plants",
			"--models",
			"models.ts",
			"--json",
		);
		expect(JSON.parse(loaded.stdout)).toMatchObject({
			inserted: 1,
			embeddings_generated: 0,
		});
	});
});

test("a server refuses an unknown user without the password being printed", async ({
	skip,
}) => {
	if (process.env.REM_TEST_DATABASE_URL === undefined) skip("no server");
	const url = new URL(process.env.REM_TEST_DATABASE_URL ?? "");
	url.username = "nobody_here";
	url.password = "geheim";
	const { code, stderr } = await rem(["migrate", "--url", url.href]);
	expect(code).toBe(1);
	expect(stderr).toContain("[CONNECTION_FAILED]");
	expect(stderr).not.toContain("geheim");
});
