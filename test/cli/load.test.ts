import { expect, test } from "vitest";
import { rem, temporaryFolder } from "./run-rem.ts";

const films = [
	{ title: "Dawn", year: 1990, plot: "A farmer.", cast: ["A"] },
	{ title: "Dawn", year: 1999, plot: "" },
	{ title: "Dusk", year: 1995 },
];

const folder = temporaryFolder({
	"films.json": JSON.stringify(films),
	"films.csv": "title,year,plot\nDawn,1990,A farmer.\nDusk,,\n",
	"half.jsonl": '{"name": "a"}\n{"name": "b"}\n{"name": "c',
	"bad.jsonl":
		'{"name": "a"}\n\n{"name": 5}\n{"name": "b", "ordinal": "many"}\n{}\n',
	"mixed.yaml":
		"- table: users\n  rows:\n    - name: ann\n      last_active_at: 2025-01-02\n- table: resources\n  rows:\n    - name: plan\n",
	"note.md": "---\ncategory: plan\n---\nFirst of all.\n",
	"plan.md": "Second.\n",
	"keys.jsonl": `{"name": "${"x".repeat(256)}"}\n{"name": "ok"}\n`,
	"escape.json": '[{"name": "a", "\\u001b[31mred": 1}]',
});

/** Checks without a database: nothing is opened, as `.rem` would show. */
function check(...args: string[]) {
	return rem(["load", ...args, "--dry-run"], { cwd: folder });
}

const mapped = [
	"--table",
	"resources",
	"--map",
	"name=title",
	"--map",
	"content=plot",
];

test("a dry run reports rows that share a key and rows without a text", async () => {
	const { code, stdout, stderr } = await check("films.json", ...mapped);
	expect(code).toBe(0);
	expect(stdout.split("\n")).toEqual([
		'films.json → resources of tenant "default": 3 rows can be loaded; nothing was written',
		"  1 row has the name of a later row: the later one counts (to keep both, build the name from several properties, as in --map 'name={title} ({year})')",
		"  2 rows have no text to embed: found by name, not by meaning",
		"",
	]);
	expect(stderr).toBe(
		'films.json: left out, being no fields of "resources": year, cast\n',
	);
});

test("a dry run as JSON has totals and files", async () => {
	const { stdout, stderr } = await check("films.json", ...mapped, "--json");
	expect(stderr).toBe("");
	expect(JSON.parse(stdout)).toEqual({
		rows: 3,
		duplicates: 1,
		skipped: 0,
		rows_without_text: 2,
		shortened_keys: 0,
		files: [
			{
				file: "films.json",
				table: "resources",
				rows: 3,
				duplicates: 1,
				skipped: 0,
				rows_without_text: 2,
				shortened_keys: 0,
				left_out: ["year", "cast"],
			},
		],
	});
});

test("several files, tables and formats in one run end with a total", async () => {
	const { code, stdout } = await check(
		"mixed.yaml",
		"note.md",
		"plan.md",
		"--table",
		"resources",
	);
	expect(code).toBe(0);
	expect(stdout.split("\n").filter((line) => !line.startsWith(" "))).toEqual([
		'mixed.yaml → users of tenant "default": 1 row can be loaded; nothing was written',
		'mixed.yaml → resources of tenant "default": 1 row can be loaded; nothing was written',
		'note.md and 1 more → resources of tenant "default": 2 rows can be loaded; nothing was written',
		"total: 4 rows of 2 files",
		"",
	]);
});

test("properties that are not a field are refused unless --map is used", async () => {
	const { code, stdout, stderr } = await check(
		"films.json",
		"--table",
		"resources",
	);
	expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
	expect(stderr).toContain(
		'films.json: 4 properties are no field of "resources" [UNKNOWN_FIELD]',
	);
	expect(stderr).toContain("  row 1, plot: unknown field");
	expect(stderr).toContain("--map name=title");
});

test("every bad row is named with its line, and with --skip-invalid left out", async () => {
	const { code, stderr } = await check("bad.jsonl", "--table", "resources");
	expect(code).toBe(1);
	expect(stderr.split("\n").slice(0, 4)).toEqual([
		'error: bad.jsonl: 3 rows cannot be loaded into "resources" [VALIDATION]',
		"  line 3, name: invalid input: expected string, received number",
		"  line 4, ordinal: invalid input: expected number, received string",
		"  line 5, name: invalid input: expected string, received undefined",
	]);
	const skipped = await check(
		"bad.jsonl",
		"--table",
		"resources",
		"--skip-invalid",
		"--json",
	);
	expect(skipped.code).toBe(0);
	expect(JSON.parse(skipped.stdout)).toMatchObject({
		rows: 4,
		skipped: 3,
		files: [
			{
				issues: [
					{ index: 1, line: 3 },
					{ index: 2, line: 4 },
					{ index: 3, line: 5 },
				],
			},
		],
	});
});

test("a key that is too long is cut, and the summary counts it", async () => {
	const { code, stdout } = await check("keys.jsonl", "--table", "resources");
	expect(code).toBe(0);
	expect(stdout).toContain("1 row has a name of over 255 characters: cut");
});

test.each([
	[
		["half.jsonl", "--table", "resources"],
		"half.jsonl, line 3: is not valid JSON, or only half of it [VALIDATION]",
	],
	[
		["no.json", "--table", "resources"],
		"no.json: there is no such file [VALIDATION]",
	],
	[
		["films.json", "--table", "resorces"],
		'unknown entity "resorces" [UNKNOWN_ENTITY]\nhint: did you mean "resources"?',
	],
	[
		["films.json", "--table", "resources", "--map", "nam=title"],
		'unknown field "nam" of "resources" [UNKNOWN_FIELD]\nhint: did you mean "name"?',
	],
])("rem load %j fails", async (args, message) => {
	const { code, stdout, stderr } = await check(...args);
	expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
	expect(stderr).toContain(`error: ${message}`);
});

test("rows whose file names no table need --table", async () => {
	const { code, stderr } = await check("films.json");
	expect(code).toBe(1);
	expect(stderr).toBe(
		"error: films.json: does not name a table [VALIDATION]\nhint: --table names the table of its rows; it may be left out where there is one model\n",
	);
});

test("data cannot drive the terminal", async () => {
	const { stderr } = await check("escape.json", "--table", "resources");
	expect(stderr).not.toContain("\x1b");
	expect(stderr).toContain("\\x1b[31mred: unknown field");
});
