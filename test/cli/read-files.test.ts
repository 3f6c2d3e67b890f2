import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { jsonErrorOffset } from "../../src/cli/load/json-position.ts";
import { openFiles } from "../../src/cli/load/open-files.ts";
import { parseMarkdown } from "../../src/cli/load/read-markdown.ts";
import { fileError, type SourceRow } from "../../src/cli/load/source.ts";
import { temporaryFolder } from "./run-rem.ts";

/** The groups of a file with all their rows. */
async function read(name: string, text: string | Uint8Array) {
	const { groups } = await openFiles([
		join(temporaryFolder({ [name]: text }), name),
	]);
	return Promise.all(
		groups.map(async ({ table, rows }) => ({
			table,
			rows: await allOf(name, typeof rows === "function" ? rows() : rows),
		})),
	);
}

async function allOf(
	name: string,
	rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
): Promise<SourceRow[]> {
	const all: SourceRow[] = [];
	for await (const row of rows) {
		// Such a row stops the load, unless it is to be skipped.
		if (row.problem !== undefined)
			throw fileError({ file: name, line: row.line }, row.problem);
		all.push(row);
	}
	return all;
}

async function valuesOf(name: string, text: string) {
	const [group] = await read(name, text);
	return group?.rows.map(({ value }) => value);
}

/** What is wrong with the file, without its path. */
async function problemOf(
	name: string,
	text: string | Uint8Array,
): Promise<string> {
	try {
		await read(name, text);
	} catch (error) {
		const { code, message } = error as { code?: string; message: string };
		return `${code} ${message.replace(/^.*[\\/]/, "")}`;
	}
	return "no problem";
}

describe("JSON", () => {
	test("an array of objects is rows without a table", async () => {
		expect(await read("a.json", '[{"name": "x"}, {"name": "y"}]')).toEqual([
			{
				table: undefined,
				rows: [{ value: { name: "x" } }, { value: { name: "y" } }],
			},
		]);
	});

	test("{ table, rows } names the table, and stands beside others", async () => {
		const text =
			'[{"table": "users", "rows": [{"name": "x"}]}, {"table": "files", "rows": []}]';
		expect((await read("a.json", text)).map(({ table }) => table)).toEqual([
			"users",
			"files",
		]);
	});

	test("a byte order mark is passed over", async () => {
		expect(await valuesOf("a.json", "\ufeff[1]")).toEqual([1]);
	});

	test("half a file is an error with its last line", async () => {
		expect(await problemOf("a.json", '[\n{"name": "x"},\n{"na')).toBe(
			"VALIDATION a.json, line 3: the JSON ends too early",
		);
	});

	test("a mistake is an error with its line and without the file's content", async () => {
		expect(await problemOf("a.json", '[\n{"secret": 1},\n{secret: 2}\n]')).toBe(
			"VALIDATION a.json, line 3: is not valid JSON",
		);
	});

	test.each([
		['{"a": [1, 2, {"b": "\\u00e9\\n"}]}', 32],
		['{"a": tru}', 6],
		["[1,]", 3],
		["[1 2]", 3],
		['["a\nb"]', 3],
		['{"a" 1}', 5],
		["{,}", 1],
		["[] x", 3],
		["01", 1],
		['["\u0085"]', 5],
	])("in %j the first wrong character is %i", (text, offset) => {
		expect(jsonErrorOffset(text)).toBe(offset);
	});
});

test("JSON that nests deeper than the stack is looked through all the same", () => {
	expect(jsonErrorOffset(`${"[".repeat(100_000)}x`)).toBe(100_000);
});

describe("JSON Lines", () => {
	test("rows know their lines; empty lines are passed over", async () => {
		const [group] = await read("a.jsonl", '{"a":1}\r\n\n{"a":"\u2028"}');
		expect(group?.rows).toEqual([
			{ value: { a: 1 }, line: 1 },
			{ value: { a: "\u2028" }, line: 3 },
		]);
	});

	test("half a line is an error with its number", async () => {
		expect(await problemOf("a.ndjson", '{"a":1}\n{"a":2}\n{"a":')).toBe(
			"VALIDATION a.ndjson, line 3: is not valid JSON, or only half of it",
		);
	});

	test("text that is not UTF-8 is an error with its line", async () => {
		const bytes = Buffer.from('{"a":1}\n{"a":"caf\xe9"}\n', "latin1");
		expect(await problemOf("a.jsonl", bytes)).toBe(
			"VALIDATION a.jsonl, line 2: is not UTF-8 text",
		);
	});
});

describe("YAML", () => {
	test("a list is rows with their lines", async () => {
		const [group] = await read(
			"a.yaml",
			"- name: x\n  year: 1990\n- name: y\n",
		);
		expect(group?.rows).toEqual([
			{ value: { name: "x", year: 1990 }, line: 1 },
			{ value: { name: "y" }, line: 3 },
		]);
	});

	test("each document of a stream is a row or a list", async () => {
		expect(
			await valuesOf("a.yml", "name: x\n---\n- name: y\n- name: z\n"),
		).toEqual([{ name: "x" }, { name: "y" }, { name: "z" }]);
	});

	test("{ table, rows } names the table", async () => {
		const text = "- table: users\n  rows:\n    - name: x\n";
		expect(await read("a.yaml", text)).toEqual([
			{ table: "users", rows: [{ value: { name: "x" }, line: 1 }] },
		]);
	});

	test("a mistake is an error with its line", async () => {
		expect(await problemOf("a.yaml", "- name: x\n- name: [\n")).toMatch(
			/^VALIDATION a\.yaml, line [23]: is not valid YAML/,
		);
	});

	test("aliases that multiply without end are refused", async () => {
		const levels = [..."abcdefghi"].map((name, at) =>
			at === 0
				? `${name}: &${name} [1,1,1,1,1,1,1,1,1]`
				: `${name}: &${name} [${Array(9)
						.fill(`*${"abcdefghi"[at - 1]}`)
						.join(",")}]`,
		);
		expect(await problemOf("a.yaml", levels.join("\n"))).toMatch(
			/^VALIDATION a\.yaml: is not valid YAML/,
		);
	});
});

describe("CSV", () => {
	test("rows take the names of the first line; empty cells are absent", async () => {
		const text = 'name,note\nx,"a, ""b""\nc"\ny,\n';
		const [group] = await read("a.csv", text);
		expect(group?.rows.map(({ value }) => value)).toEqual([
			{ name: "x", note: 'a, "b"\nc' },
			{ name: "y" },
		]);
	});

	test("rows know the line they begin at", async () => {
		const [group] = await read("a.csv", 'name\n"x\ny"\nz\n');
		expect(group?.rows.map(({ line }) => line)).toEqual([2, 4]);
	});

	test.each([
		["a,b\n1,2\n3\n", "line 3: has 1 cells, the first line has 2"],
		["a,a\n", 'line 1: two columns are named "a"'],
		[
			"a;b\n1;2\n",
			"line 1: cells are not separated by commas but by semicolons",
		],
		['a\n"x\n', "line 2: a quotation mark that opens here is never closed"],
		[
			'a\n1\n\n\r\n"x\n',
			"line 5: a quotation mark that opens here is never closed",
		],
		[
			'\n\na,b\n\n1,"x\n',
			"line 5: a quotation mark that opens here is never closed",
		],
		[
			'a\n"x"y\n',
			"line 2: a quotation mark is inside a quoted cell: double it",
		],
	])("%j is an error: %s", async (text, problem) => {
		expect(await problemOf("a.csv", text)).toBe(`VALIDATION a.csv, ${problem}`);
	});
});

describe("Markdown", () => {
	test("front matter is fields, the rest is content", () => {
		const text = "---\ntitle: A\ntags: [x]\n---\n\n# Head\n\nBody\n---\nmore\n";
		expect(parseMarkdown("docs/how-to.md", text)).toEqual({
			name: "how-to",
			title: "A",
			tags: ["x"],
			content: "# Head\n\nBody\n---\nmore",
		});
	});

	test("a file without front matter is named after the file", () => {
		expect(parseMarkdown("docs/how-to.md", "Body")).toEqual({
			name: "how-to",
			content: "Body",
		});
	});

	test("empty front matter and an empty body give the name alone", () => {
		expect(parseMarkdown("a.md", "---\n---\n")).toEqual({ name: "a" });
	});

	test("a mistake in the front matter is told with the file's line", () => {
		expect(() => parseMarkdown("a.md", "---\nname: x\nb: [\n---\n")).toThrow(
			/^a\.md, line [345]: is not valid YAML/,
		);
	});

	test("front matter that is a list is refused", () => {
		expect(() => parseMarkdown("a.md", "---\n- x\n---\n")).toThrow(
			"a.md, line 2: the front matter must be fields and values",
		);
	});
});

test.each([["a.txt", "has a format that is not known by its name"]])(
	"%s %s",
	async (name, problem) => {
		expect(await problemOf(name, "x")).toBe(`VALIDATION ${name}: ${problem}`);
	},
);

test("a missing file and a folder are errors", async () => {
	const folder = temporaryFolder();
	await expect(openFiles([join(folder, "no.json")])).rejects.toThrow(
		"no.json: there is no such file",
	);
	await expect(openFiles([folder])).rejects.toThrow("is a folder");
});
