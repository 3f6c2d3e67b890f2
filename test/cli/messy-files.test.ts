import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { checkRows, readRows } from "../../src/cli/load/check-rows.ts";
import { openFiles } from "../../src/cli/load/open-files.ts";
import { RowShaper } from "../../src/cli/load/shape-row.ts";
import { defineEntity } from "../../src/index.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { messyCells, messyFiles } from "./messy-files.ts";
import { emptyDatabase, main, rem, temporaryFolder } from "./run-rem.ts";

describe.each(messyFiles)("$title", ({ file, bytes, rows, problem, hint }) => {
	const path = () => join(temporaryFolder({ [file]: bytes }), file);

	if (rows !== undefined)
		test("gives its rows with their lines", async () => {
			expect(await read(path())).toEqual(rows);
		});
	else
		test("is an error that names the line and the remedy", async () => {
			const error = await read(path()).catch((cause: unknown) => cause);
			expect(error).toMatchObject({
				code: "VALIDATION",
				message: expect.stringContaining(problem ?? ""),
				hint: expect.stringContaining(hint ?? ""),
			});
		});
});

const Thing = defineEntity(
	"things",
	{
		name: z.string(),
		n: z.int().optional(),
		x: z.number().optional(),
		b: z.boolean().optional(),
		d: z.date().optional(),
		l: z.array(z.int()).optional(),
		s: z.array(z.string()).optional(),
		j: z.unknown().optional(),
		t: z.string().optional(),
		sizeBytes: z.int().optional(),
	},
	{ entityKeyField: "name" },
);

test.each(messyCells)(
	"$field: $cell",
	async ({ field, cell, value, problem }) => {
		const file = temporaryFolder({ "a.csv": `name,${field}\nx,${cell}\n` });
		const { rows, issues } = await shaped(join(file, "a.csv"));
		if (problem === undefined) {
			expect(issues).toEqual([]);
			expect(rows).toEqual([
				{ name: "x", ...(value === undefined ? {} : { [field]: value }) },
			]);
		} else
			expect(issues).toMatchObject([
				{ line: 2, field, message: expect.stringContaining(problem) },
			]);
	},
);

test("two properties that are one field are refused, not one of them taken", async () => {
	const folder = temporaryFolder({
		"a.jsonl": '{"name":"x","sizeBytes":1,"size_bytes":2}\n',
	});
	const { issues } = await shaped(join(folder, "a.jsonl"));
	expect(issues).toMatchObject([
		{
			line: 1,
			field: "sizeBytes",
			message: '"sizeBytes" and "size_bytes" are both this field',
		},
	]);
});

test("lines of a large file of mixed line ends are counted across the pieces it is read in", async () => {
	const ends = ["\n", "\r\n", "\r"];
	const lines = Array.from(
		{ length: 60_000 },
		(_, at) => `row-${at},${"x".repeat(40)}${ends[at % 3]}`,
	);
	const folder = temporaryFolder({ "a.csv": `name,note\n${lines.join("")}` });
	const rows = await read(join(folder, "a.csv"));
	expect(rows).toHaveLength(lines.length);
	expect(rows.findIndex(([line], at) => line !== at + 2)).toBe(-1);
});

test("--skip-invalid skips broken lines and loads the others", async () => {
	const url = await emptyDatabase("embedded");
	const folder = temporaryFolder({
		"a.jsonl": '{"name":"x"}\n{"name":\n{"name":"y"}\n',
	});
	const file = join(folder, "a.jsonl");
	const args = ["load", file, "--table", "resources", "--url", url];
	const refused = await rem([...args, "--dry-run"]);
	expect(refused.code).toBe(1);
	expect(refused.stderr).toContain("a.jsonl, line 2: is not valid JSON");
	const loaded = await rem([...args, "--skip-invalid", "--json"]);
	expect(JSON.parse(loaded.stdout)).toMatchObject({ inserted: 2, skipped: 1 });
});

test("a load without a provider's key fails before it creates anything", async () => {
	const url = await emptyDatabase("embedded");
	const folder = temporaryFolder({ "a.jsonl": '{"name":"x","content":"y"}' });
	const args = ["load", join(folder, "a.jsonl"), "--table", "resources"];
	const env = { EMBEDDING__PROVIDER: "openai", DATABASE_URL: url };
	const refused = await rem(args, { env });
	expect(refused.code).toBe(1);
	expect(refused.stderr).toContain("creating the embedded database in ");
	expect(refused.stderr).toContain("[PROVIDER_NOT_CONFIGURED]");
	expect(refused.stderr).not.toContain("set up the database");
	// Rows may still be written without vectors.
	const loaded = await rem([...args, "--no-embeddings"], { env });
	expect(loaded.stderr).toContain("set up the database");
	expect(loaded.stderr).not.toContain("creating the embedded database");
});

test("search without --table searches every table, and names that of each row", async () => {
	const url = await emptyDatabase("embedded");
	const folder = temporaryFolder({
		"a.jsonl": '{"name":"x","content":"how to deploy"}',
	});
	const env = { DATABASE_URL: url };
	await rem(["load", join(folder, "a.jsonl"), "--table", "resources"], { env });
	const named = ["--table", "resources", "--json"];
	const searched = await rem(["search", "deploy", "--json"], { env });
	const [row] = JSON.parse(
		(await rem(["search", "deploy", ...named], { env })).stdout,
	);
	expect(JSON.parse(searched.stdout)).toEqual([
		{ ...row, entity_type: "resources" },
	]);
});

describe("standard input", () => {
	test.each([
		["JSON", [], '[{"name":"x"},{"name":"y"}]', 2],
		["JSON Lines", [], '{"name":"x"}\n{"name":"y"}\n', 2],
		["CSV with --format", ["--format", "csv"], "name\nx\ny\nz\n", 3],
	])("%s is loaded, and its copy removed", async (_, options, text, rows) => {
		const before = copies();
		const { stdout, stderr } = await remWithInput(
			["load", "-", "--table", "resources", "--dry-run", "--json", ...options],
			text,
		);
		expect({ stderr, rows: JSON.parse(stdout).rows }).toEqual({
			stderr: "",
			rows,
		});
		expect(copies()).toEqual(before);
	});

	test("whose content does not show its format is an error naming --format", async () => {
		const { code, stderr } = await remWithInput(
			["load", "-", "--table", "resources", "--dry-run"],
			"name\nx\n",
		);
		expect(code).toBe(1);
		expect(stderr).toContain("--format");
	});

	test("that is empty is an error that names the cause", async () => {
		const { code, stderr } = await remWithInput(
			["load", "-", "--table", "resources", "--dry-run"],
			"",
		);
		expect(code).toBe(1);
		expect(stderr).toContain("standard input: is empty");
	});

	test("a pipe that the shell names is loaded too", async () => {
		const folder = temporaryFolder({ "rows.txt": "name\nx\ny\n" });
		const command = `"$0" ${nodeArguments.join(" ")} "$1" load <(cat "$2") --format csv --table resources --dry-run --json`;
		const { stdout } = await run("bash", [
			"-c",
			command,
			process.execPath,
			main,
			join(folder, "rows.txt"),
		]);
		expect(JSON.parse(stdout).rows).toBe(2);
	});
});

/** Rows as the model gets them, and what is wrong with the others. */
async function shaped(file: string) {
	const { groups } = await openFiles([file]);
	const [group] = groups;
	if (group === undefined) throw new Error("no rows");
	const shaper = new RowShaper(Thing, [], group.isUntyped);
	const { issues, omitted } = await checkRows(group, {
		entity: Thing,
		shaper,
		scope: { defaultTenant: "t" },
		leavesOut: false,
		skipsInvalid: true,
		signal: new AbortController().signal,
		onProgress: () => {},
	});
	const rows: unknown[] = [];
	for await (const { value } of readRows(group))
		if (!omitted.has(rows.length)) rows.push(shaper.shape(value).row);
	return { rows, issues };
}

/** Line and value of each row, or what is wrong with it. */
async function read(file: string): Promise<[number | undefined, unknown][]> {
	const { groups } = await openFiles([file]);
	const found: [number | undefined, unknown][] = [];
	for (const { rows } of groups)
		for await (const { line, value, problem } of typeof rows === "function"
			? rows()
			: rows)
			found.push([line, problem ?? value]);
	return found;
}

function copies(): string[] {
	return readdirSync(tmpdir()).filter((name) => name.startsWith("rem-load-"));
}

function remWithInput(args: readonly string[], input: string) {
	return run(process.execPath, [...nodeArguments, main, ...args], input);
}

function run(
	program: string,
	args: readonly string[],
	input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
	return new Promise((resolve) => {
		const child = execFile(
			program,
			args,
			{ cwd: tmpdir(), env: { PATH: process.env.PATH } },
			(error, stdout, stderr) =>
				resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
		);
		child.stdin?.end(input);
	});
}
