import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, fewEngines, rem, temporaryFolder } from "./run-rem.ts";

const folder = temporaryFolder({
	"notes.json": JSON.stringify([
		{
			name: "note-1",
			content: "Pruning apple trees in winter",
			metadata: { sourceKey: "A" },
			tags: ["garden"],
		},
		{
			name: "note-2",
			content: "Sharpening a spade",
			graph_edges: [{ dst: "note-1", rel_type: "before" }],
		},
	]),
	"models.ts": `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Plant = defineEntity("plants", { name: z.string(), notes: z.string().optional(), heightCm: z.number().optional() }, { entityKeyField: "name" });`,
});

describe.each(fewEngines)("on the %s", (engine) => {
	let url: string;
	const run = (...args: string[]) =>
		rem([...args, "--url", url, "--tenant", "acme"], {
			cwd: folder,
			env: { EMBEDDING__PROVIDER: "local" },
		});

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		const { code } = await run("load", "notes.json", "--table", "resources");
		expect(code).toBe(0);
	});

	test("traverse by a mistyped type finds nothing, and names the types there are", async () => {
		const ended = await run("traverse", "note-2", "--type", "befor");
		expect(ended).toMatchObject({ code: 0, stdout: "" });
		expect(ended.stderr).toContain('its edges are of the types "before"');
		const asked = await run("query", 'TRAVERSE befor WITH LOOKUP "note-2"');
		expect(asked).toMatchObject({ code: 0, stdout: "" });
		expect(asked.stderr).toContain('its edges are of the types "before"');
		const all = await run("query", 'TRAVERSE before WITH LOOKUP "note-2"');
		expect(all.stderr).not.toContain("of the types");
		const right = await run("traverse", "note-2", "--type", "before");
		expect(right.stderr).not.toContain("of the types");
		const leaf = await run("traverse", "note-1", "--type", "before");
		expect(leaf.stderr).not.toContain("of the types");
	});

	test("recall returns as many items as fit where --max-tokens alone is given", async () => {
		const rows = Array.from({ length: 15 }, (_, at) => ({
			name: `hive-${at}`,
			content: `Bees of hive ${at}`,
		}));
		writeFileSync(join(folder, "hives.json"), JSON.stringify(rows));
		const bees = (...args: string[]) =>
			rem([...args, "--url", url, "--tenant", "bees", "--json"], {
				cwd: folder,
				env: { EMBEDDING__PROVIDER: "local" },
			});
		await bees("load", "hives.json", "--table", "resources");
		const count = async (...args: string[]) =>
			JSON.parse((await bees("recall", "bees of a hive", ...args)).stdout).items
				.length;
		expect(await count()).toBe(10);
		expect(await count("--max-tokens", "4000")).toBe(15);
		expect(await count("--max-tokens", "4000", "--limit", "3")).toBe(3);
	});

	test("query prints a table of the columns that have values", async () => {
		const { code, stdout } = await run(
			"query",
			"SQL resources WHERE tags @> ARRAY['garden']",
		);
		expect(code).toBe(0);
		const [titles = "", row = "", ...more] = stdout.trimEnd().split("\n");
		expect(titles).toMatch(/^NAME +CONTENT +.*TAGS +CREATED_AT$/);
		expect(row).toMatch(/^note-1 +Pruning apple trees in winter +.*garden/);
		expect(more).toEqual([]);
	});

	test.each([
		["lookup", "note-1"],
		["fuzzy", "note-1"],
		["search", "apple trees", "--table", "resources"],
		["traverse", "note-2"],
		["query", 'LOOKUP "note-1"'],
	])(
		"%s --consistency replica asks the replica, if there is one",
		async (...args) => {
			const read = [...args, "--tenant", "acme", "--consistency"];
			const env = { EMBEDDING__PROVIDER: "local", DATABASE_URL: url };
			const away = { ...env, POSTGRES__READ_HOST: "127.0.0.1:1" };
			const run = (consistency: string) =>
				rem([...read, consistency], { cwd: folder, env: away });
			const primary = await run("primary");
			expect(primary).toMatchObject({ code: 0 });
			expect(primary.stdout).toContain("note-1");
			expect(primary.stderr).not.toContain("replica");
			const { code, stdout, stderr } = await run("replica");
			expect({ code, stdout }).toEqual({ code: 0, stdout: primary.stdout });
			if (engine === "server")
				expect(stderr).toContain("reads go to the primary");
			const wrong = await run("eventual");
			expect(wrong.code).toBe(2);
		},
	);

	test("query --json gives the kind and the rows by their columns", async () => {
		const { stdout } = await run(
			"query",
			'SEARCH "apple trees" LIMIT 1',
			"--json",
		);
		expect(JSON.parse(stdout)).toMatchObject({
			kind: "search",
			rows: [
				{
					entity_type: "resources",
					name: "note-1",
					tenant_id: "acme",
					metadata: { sourceKey: "A" },
					matched_field: "content",
				},
			],
		});
	});

	test("words need no quotes where the shell leaves them alone", async () => {
		const found = await run("query", "LOOKUP", "NOTE-2,", "note_1");
		expect(found.stdout).toMatch(/^note-2\n[\s\S]*^note-1\n/m);
		const nothing = await run("query", "LOOKUP", "nobody");
		expect(nothing).toMatchObject({ code: 0, stdout: "" });
		expect(nothing.stderr).toContain("nothing was found");
	});

	test("query --explain shows plan, SQL and timing", async () => {
		const { stdout } = await run("query", "--explain", "FUZZY note LIMIT 3");
		expect(stdout).toMatch(/^plan\n {2}kind: fuzzy\n/);
		expect(stdout).toMatch(/\nstatement 1: \d rows? in [\d.]+ m?s\n/);
		expect(stdout).toContain("similarity(");
		expect(stdout).toMatch(/\n {4}.*Scan/);
	});
});

test("a mistake is reported with its position, as text and as JSON", async () => {
	const url = "memory:";
	const text = await rem(["query", "SERCH x", "--url", url]);
	expect(text.code).toBe(1);
	expect(text.stderr).toBe(
		'error: unknown verb "SERCH", at character 1 [QUERY_SYNTAX]\nhint: did you mean "SEARCH"?\n',
	);
	const json = await rem([
		"query",
		"SQL users WHERE x = 1",
		"--json",
		"--url",
		url,
	]);
	expect(JSON.parse(json.stderr)).toMatchObject({
		error: { code: "UNKNOWN_FIELD", position: 17 },
	});
	expect((await rem(["query"])).code).toBe(2);
});

test("--help-llm describes the language and the models, without a database", async () => {
	const { code, stdout } = await rem(
		["query", "--help-llm", "--models", "models.ts", "--url", "mysql://none"],
		{ cwd: folder },
	);
	expect(code).toBe(0);
	for (const verb of ["LOOKUP", "FUZZY", "SEARCH", "TRAVERSE", "SQL"])
		expect(stdout).toMatch(new RegExp(`^${verb} `, "m"));
	expect(stdout).toContain(
		"- plants (key name): name text, notes text*, height_cm double precision\n",
	);
});
