import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeArguments } from "../support/child-arguments.ts";
import {
	engines,
	migratedDatabase,
	remProcess,
	rem as run,
	temporaryFolder,
} from "./run-rem.ts";

const rem = (args: readonly string[]) =>
	run(args, { env: { EMBEDDING__PROVIDER: "local" } });

const rows = [
	'{"name":"one","content":"the first text","metadata":{"n":12345678901234567890},"graph_edges":[{"dst":"two","rel_type":"knows"}]}',
	'{"name":"two","content":"another text","userId":"me"}',
].join("\n");
const load = (url: string, folder: string) =>
	rem([
		"load",
		join(folder, "rows.jsonl"),
		"--table",
		"resources",
		"--url",
		url,
		"--tenant",
		"t",
	]);

describe.each(engines)("on the %s engine", (engine) => {
	test("an export of a tenant is loaded for another one, beside it", async () => {
		const folder = temporaryFolder({ "rows.jsonl": rows });
		const url = await migratedDatabase(engine);
		expect(await load(url, folder)).toMatchObject({ code: 0 });
		const file = join(folder, "t.jsonl");
		const of = ["--tenant", "t", "--vectors", "-o", file, "--url", url];
		expect(await rem(["export", ...of])).toMatchObject({ code: 0 });
		const to = ["load", file, "--tenant", "other", "--url", url];
		const refused = await rem(to);
		expect(refused).toMatchObject({ code: 1, stdout: "" });
		expect(refused.stderr).toContain("rem load --from-tenant");
		const taken = await rem([...to, "--from-tenant", "t"]);
		expect(taken.code).toBe(1);
		expect(taken.stderr).toContain("--new-ids");
		const moved = [...to, "--from-tenant", "t", "--new-ids"];
		const loaded = await rem([...moved, "--verify", "--json"]);
		expect(loaded).toMatchObject({ code: 0 });
		expect(JSON.parse(loaded.stdout)).toMatchObject({
			inserted: 2,
			files: [{ verified: { rows: 2, missing: 0, differing: 0 } }],
		});
		expect(
			await rem(["lookup", "one", "--tenant", "other", "--url", url]),
		).toMatchObject({ code: 0, stdout: expect.stringContaining("one") });
		expect(
			await rem([
				"load",
				join(folder, "rows.jsonl"),
				"--table",
				"resources",
				"--from-tenant",
				"t",
				"--url",
				url,
			]),
		).toMatchObject({ code: 2 });
	});

	test("an export is loaded as it was, and no text is embedded", async () => {
		const folder = temporaryFolder({ "rows.jsonl": rows });
		const url = await migratedDatabase(engine);
		expect(await load(url, folder)).toMatchObject({ code: 0 });
		const file = join(folder, "all.jsonl");
		const exported = await rem([
			"export",
			"--vectors",
			"-o",
			file,
			"--url",
			url,
			"--json",
		]);
		expect(exported).toMatchObject({ code: 0 });
		expect(JSON.parse(exported.stdout)).toMatchObject({ rows: 2, vectors: 2 });
		expect(readdirSync(folder).sort()).toEqual(["all.jsonl", "rows.jsonl"]);
		const to = await migratedDatabase("embedded");
		const loaded = await rem(["load", file, "--url", to, "--json"]);
		expect(loaded).toMatchObject({ code: 0 });
		expect(JSON.parse(loaded.stdout)).toMatchObject({
			inserted: 2,
			vectors: 2,
			embeddings_generated: 0,
			embeddings_queued: 0,
		});
		const again = await rem(["export", "--vectors", "--url", to]);
		const lines = (text: string) => text.split("\n").slice(1);
		expect(lines(again.stdout)).toEqual(lines(readFileSync(file, "utf8")));
	});

	test("an export that is cut off is refused, and nothing is written", async () => {
		const folder = temporaryFolder({ "rows.jsonl": rows });
		const url = await migratedDatabase(engine);
		await load(url, folder);
		const { stdout } = await rem([
			"export",
			"--table",
			"resources",
			"--url",
			url,
		]);
		const file = join(folder, "half.jsonl");
		const to = await migratedDatabase("embedded");
		for (const [text, message] of [
			[
				stdout.slice(0, -40),
				/half\.jsonl: line \d: is not valid JSON|ends early/,
			],
			[stdout.split("\n").slice(0, -2).join("\n"), /ends early/],
			[
				stdout.replace('"version":1', '"version":9'),
				/version 9.*reads version 1/,
			],
		] as const) {
			writeFileSync(file, text);
			const refused = await rem(["load", file, "--url", to]);
			expect(refused.code).toBe(1);
			expect(refused.stderr).toMatch(message);
			expect(refused.stderr).toMatch(/hint: /);
		}
		const counted = await rem(["export", "--table", "resources", "--url", to]);
		expect(counted.stdout).toContain('{"end":{"rows":0,"vectors":0}}');
	});
});

test("options about rows are refused for an export", async () => {
	const folder = temporaryFolder({ "rows.jsonl": rows });
	const url = await migratedDatabase("embedded");
	await load(url, folder);
	const file = join(folder, "all.jsonl");
	await rem(["export", "-o", file, "--url", url]);
	for (const option of [
		["--table", "users"],
		["--map", "name=x"],
		["--skip-invalid"],
		["--bulk"],
	]) {
		const refused = await rem(["load", file, ...option, "--url", url]);
		expect(refused).toMatchObject({
			code: 2,
			stderr: expect.stringContaining(option[0] ?? ""),
		});
	}
});

describe.runIf(existsSync("/dev/full"))("a disk that is full", () => {
	test("is 1, with the reason, and leaves the older file", async () => {
		const folder = temporaryFolder({ "rows.jsonl": rows });
		const url = await migratedDatabase("embedded");
		await load(url, folder);
		const direct = await remProcess([
			"export",
			"-o",
			"/dev/full",
			"--url",
			url,
		]);
		expect(direct).toMatchObject({
			code: 1,
			stderr: expect.stringMatching(
				/error: cannot write "\/dev\/full": there is no space left[^\n]*\nhint: /,
			),
		});
		// A folder in the way of the rename: whatever stops it, no draft remains.
		mkdirSync(join(folder, "taken"));
		const folderNamed = await rem([
			"export",
			"-o",
			join(folder, "taken"),
			"--url",
			url,
		]);
		expect(folderNamed.code).toBe(1);
		const missing = await rem([
			"export",
			"-o",
			join(folder, "no", "x.jsonl"),
			"--url",
			url,
		]);
		expect(missing).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("no such folder"),
		});
		expect(readdirSync(folder).sort()).toEqual(["rows.jsonl", "taken"]);
	});

	test("of standard output is 1, in one line, for every command", async () => {
		const { spawnSync } = await import("node:child_process");
		const { openSync } = await import("node:fs");
		const { main } = await import("./run-rem.ts");
		for (const args of [["--help"], ["export", "--url", "memory:"]]) {
			const { status, stderr } = spawnSync(
				process.execPath,
				[...nodeArguments, main, ...args],
				{
					stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
					encoding: "utf8",
					env: { PATH: process.env.PATH },
					cwd: temporaryFolder(),
				},
			);
			expect({ status, stderr }).toMatchObject({
				status: 1,
				stderr: expect.stringContaining(
					"cannot write standard output: there is no space left",
				),
			});
			expect(stderr).not.toContain("    at ");
		}
	});
});

describe("Markdown", () => {
	const notes = {
		"one.md":
			"---\ntags: [a]\nmetadata: {n: 12345678901234567890}\n---\n\nSee [[two]], [three](sub/three.md) and `[[code]]`.\n",
		"two.md": "No links: [web](https://example.org/x.md).\n",
	};
	const loadNotes = async (url: string, folder: string) =>
		rem(["load", folder, "--table", "resources", "--url", url, "--json"]);
	const edges = async (url: string) => {
		const { stdout } = await rem([
			"export",
			"--table",
			"resources",
			"--url",
			url,
		]);
		return Object.fromEntries(
			stdout
				.split("\n")
				.slice(1, -2)
				.map((line) => {
					const { row } = JSON.parse(line);
					return [
						row.name,
						row.graph_edges.map(({ dst }: { dst: string }) => dst),
					];
				}),
		);
	};

	test("a folder is loaded with its links as edges, and comes back the same", async () => {
		const folder = temporaryFolder(notes);
		mkdirSync(join(folder, "sub"));
		mkdirSync(join(folder, ".hidden"));
		writeFileSync(
			join(folder, "sub", "three.md"),
			"---\nname: Number 3: last\ngraph_edges:\n  - {dst: one, rel_type: knows, weight: 0.5}\n---\nBack to [one](../one.md#top).\n",
		);
		writeFileSync(join(folder, ".hidden", "x.md"), "no");
		writeFileSync(join(folder, "x.txt"), "no");
		const url = await migratedDatabase("embedded");
		// A name with a colon has to be quoted: the file and its line are named.
		const broken = await loadNotes(url, folder);
		expect(broken).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("three.md"),
		});
		writeFileSync(
			join(folder, "sub", "three.md"),
			'---\nname: "Number 3: last"\ngraph_edges:\n  - {dst: one, rel_type: knows, weight: 0.5}\n---\nBack to [one](../one.md#top).\n',
		);
		expect(JSON.parse((await loadNotes(url, folder)).stdout)).toMatchObject({
			inserted: 3,
		});
		const expected = {
			one: ["two", "Number 3: last"],
			two: [],
			"Number 3: last": ["one", "one"],
		};
		expect(await edges(url)).toEqual(expected);
		const out = join(temporaryFolder(), "out");
		const written = await rem([
			"export",
			"--table",
			"resources",
			"--format",
			"markdown",
			"-o",
			out,
			"--url",
			url,
		]);
		expect(written).toMatchObject({ code: 0, stdout: "resources: 3 files\n" });
		expect(readdirSync(out).sort()).toEqual([
			"Number 3%3A last.md",
			"one.md",
			"two.md",
		]);
		expect(readFileSync(join(out, "one.md"), "utf8")).toContain(
			'metadata: {"n":12345678901234567890}',
		);
		// The edge of the link that the exported name does not resolve is in the front matter.
		const again = await migratedDatabase("embedded");
		expect(JSON.parse((await loadNotes(again, out)).stdout)).toMatchObject({
			inserted: 3,
		});
		const arrived = await edges(again);
		expect(arrived.two).toEqual([]);
		expect(arrived.one).toEqual(expect.arrayContaining(expected.one));
	});

	test("an empty folder, vectors and standard output are refused", async () => {
		const folder = temporaryFolder();
		const empty = await loadNotes("memory:", folder);
		expect(empty).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("without files to load"),
		});
		for (const options of [
			[],
			["-o", folder, "--vectors"],
			["-o", folder, "--deleted"],
		])
			expect(
				await rem(["export", "--format", "markdown", ...options]),
			).toMatchObject({ code: 2 });
	});

	test("--watch loads what changes, survives a broken file, and ends with the signal", async () => {
		const folder = temporaryFolder(notes);
		const url = await migratedDatabase("embedded");
		let output = "";
		const seen = (text: RegExp) => expect.poll(() => output).toMatch(text);
		let stop = () => {};
		const ended = remProcess(
			[
				"load",
				folder,
				"--table",
				"resources",
				"--watch",
				"--delete-removed",
				"--url",
				url,
			],
			{
				onStart: (child) => {
					stop = () => child.kill("SIGINT");
					for (const stream of [child.stdout, child.stderr])
						stream?.on("data", (text) => {
							output += text;
						});
				},
			},
		);
		await seen(/2 rows[\s\S]*watching/);
		output = "";
		writeFileSync(join(folder, "four.md"), "---\nname: [\n---\n");
		await seen(/error: .*four\.md/);
		output = "";
		writeFileSync(join(folder, "four.md"), "See [[two]].\n");
		await seen(/four\.md → resources of tenant "[^"]+": 1 row/);
		output = "";
		rmSync(join(folder, "two.md"));
		await seen(/two\.md is removed: its row is soft-deleted/);
		stop();
		expect(await ended).toMatchObject({ code: 0 });
		expect(await edges(url)).toMatchObject({
			one: expect.any(Array),
			four: ["two"],
		});
		expect(Object.keys(await edges(url)).sort()).toEqual(["four", "one"]);
	});
});
