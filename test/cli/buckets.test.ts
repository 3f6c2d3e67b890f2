import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { exportText } from "../../src/store/export-format.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { call, newClient } from "../support/mcp.ts";
import { commands } from "./commands.ts";
import {
	emptyDatabase,
	fewEngines,
	main,
	rem,
	temporaryFolder,
} from "./run-rem.ts";

// Every command on a database whose tenants are spread over buckets. Those of
// `withoutDatabase` open none.

const withoutDatabase = [
	"init",
	"quickstart",
	"schema generate",
	"schema validate",
	"completion",
];

const tenants = ["acme", "globex", "initech", "umbrella", "hooli"];

const folder = temporaryFolder({
	"models.ts": `import * as z from "zod";
import { defineEntity } from "remdb";
export const Note = defineEntity("notes", { name: z.string(), content: z.string().optional() }, { entityKeyField: "name" });
export const Country = defineEntity("countries", { name: z.string() }, { entityKeyField: "name", tenantScoped: false });`,
	"notes.jsonl": tenants
		.flatMap((tenantId) =>
			["one", "two", "three"].map((name) =>
				JSON.stringify({
					name,
					content: `The ${name} note of ${tenantId}`,
					tenantId,
					graphEdges: [{ dst: "one", rel_type: "follows" }],
				}),
			),
		)
		.join("\n"),
	"countries.json": '[{ "name": "chile" }]',
	"queries.jsonl": '{"query":"the two note","relevant":["two"]}\n',
});
const file = (name: string) => join(folder, name);
const rows = tenants.length * 3;

describe.each(fewEngines)("on the %s engine", (engine) => {
	let url = "";
	const env = { EMBEDDING__PROVIDER: "local", POSTGRES__BUCKETS: "4" };
	const models = ["--models", file("models.ts")];
	const run = (args: readonly string[]) =>
		rem([...args, "--url", url, ...models], { env });

	/** The document on stdout; the command has to end with the code. */
	async function json(args: readonly string[], code = 0) {
		const ended = await run([...args, "--json"]);
		expect(ended, `${args.join(" ")}: ${ended.stderr}`).toMatchObject({ code });
		return JSON.parse(ended.stdout);
	}

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		await json(["migrate"]);
		await json(["load", file("notes.jsonl"), "--table", "notes"]);
		await json(["load", file("countries.json"), "--table", "countries"]);
	});

	const acme = ["--tenant", "acme"];
	const checks: Readonly<Record<string, () => Promise<unknown>>> = {
		migrate: async () => {
			expect(await json(["migrate"])).toMatchObject({ applied: [] });
			const dry = await run(["migrate", "--dry-run"]);
			expect(dry.code).toBe(0);
		},
		"migrate status": () => json(["migrate", "status"]),
		"migrate repair": async () => {
			const migrations = temporaryFolder({ "0001_view.sql": "SELECT 1;" });
			const own = ["--migrations", migrations];
			await json(["migrate", ...own]);
			writeFileSync(join(migrations, "0001_view.sql"), "SELECT 2;");
			await json(["migrate", "repair", "0001_view.sql", ...own]);
		},
		"schema diff": async () => {
			const found = await run(["schema", "diff"]);
			expect(found).toMatchObject({ code: 0 });
		},
		load: async () => {
			const again = await json([
				"load",
				file("notes.jsonl"),
				"--table",
				"notes",
			]);
			expect(again).toMatchObject({ inserted: 0, updated: rows });
		},
		export: async () => {
			const all = file(`${engine}.jsonl`);
			const exported = await json(["export", "--vectors", "-o", all]);
			expect(exported).toMatchObject({ rows: rows + 1 });
			const loaded = await json([
				"load",
				all,
				"--commit-every",
				"4",
				"--verify",
			]);
			expect(loaded.files[0]).toMatchObject({
				inserted: 0,
				updated: 0,
				unchanged: rows + 1,
				verified: { tenants: tenants.length, missing: 0, differing: 0 },
			});
			const one = file(`${engine}-acme.jsonl`);
			await json(["export", "-o", one, ...acme]);
			expect(readFileSync(one, "utf8")).not.toContain("globex");
		},
		list: async () => {
			const found = await json(["list", "notes", ...acme]);
			expect(found.rows).toHaveLength(3);
			expect((await json(["list", "countries"])).rows).toHaveLength(1);
		},
		get: async () => {
			const found = await json(["get", "two", ...acme]);
			expect(JSON.stringify(found)).toContain("The two note of acme");
		},
		set: async () => {
			await json(["set", "three", "content=changed", ...acme]);
			const found = await json(["get", "three", ...acme]);
			expect(JSON.stringify(found)).toContain("changed");
			const other = await json(["get", "three", "--tenant", "hooli"]);
			expect(JSON.stringify(other)).toContain("of hooli");
		},
		lookup: async () => {
			const found = await json(["lookup", "one", ...acme]);
			expect(JSON.stringify(found)).toContain('"notes"');
		},
		fuzzy: async () => {
			const found = await json(["fuzzy", "thre", ...acme]);
			expect(JSON.stringify(found)).toContain('"three"');
		},
		search: async () => {
			const found = await json([
				"search",
				"two note",
				"--table",
				"notes",
				...acme,
			]);
			expect(JSON.stringify(found)).toContain("of acme");
			expect(JSON.stringify(found)).not.toContain("of globex");
		},
		recall: () => json(["recall", "two note", ...acme]),
		eval: () =>
			json(["eval", file("queries.jsonl"), "--table", "notes", ...acme]),
		query: async () => {
			const found = await json(["query", "SQL notes WHERE TRUE", ...acme]);
			expect(JSON.stringify(found)).toContain("of acme");
		},
		traverse: async () => {
			const found = await json(["traverse", "two", ...acme]);
			expect(JSON.stringify(found)).toContain('"one"');
		},
		"index status": () => json(["index", "status"]),
		"index build": () => json(["index", "build"]),
		"index repair": () => json(["index", "repair"]),
		"kv status": async () => {
			const status = await json(["kv", "status"]);
			expect(status).toMatchObject({
				ready: true,
				entries: { notes: rows },
			});
		},
		"kv rebuild": () => json(["kv", "rebuild"]),
		"kv verify": async () => {
			expect(await json(["kv", "verify"])).toMatchObject({ differing: 0 });
		},
		"embeddings status": () => json(["embeddings", "status"]),
		"embeddings sync": () => json(["embeddings", "sync"]),
		"embeddings retry": () => json(["embeddings", "retry"]),
		"embeddings switch": async () => {
			const ended = await run(["embeddings", "switch", "lexical-v1", "--json"]);
			expect(ended).toMatchObject({ code: 1, stdout: "" });
			expect(JSON.parse(ended.stderr).error.message).toContain("lexical-v1");
		},
		"embeddings prune": () => json(["embeddings", "prune", "lexical-v1"]),
		doctor: async () => {
			const report = await json(["doctor"]);
			expect(report.state).not.toBe("failed");
		},
		"buckets status": async () => {
			const { buckets } = await json(["buckets", "status"]);
			expect(buckets).toHaveLength(4);
			const sum = (name: string) =>
				buckets.reduce(
					(total: number, bucket: Record<string, number>) =>
						total + (bucket[name] ?? 0),
					0,
				);
			// A row without a tenant is in every bucket.
			expect(sum("rows")).toBe(rows + 4);
			expect(sum("tenants")).toBe(tenants.length);
			const { stdout } = await run(["buckets", "status"]);
			expect(stdout).toMatch(/^4 buckets: 19 rows of 5 tenants, /m);
		},
		"buckets move": async () => {
			const args = ["buckets", "move", "1", "--to", "elsewhere", "--yes"];
			const ended = await run([...args, "--json"]);
			expect(ended).toMatchObject({ code: 1, stdout: "" });
			expect(JSON.parse(ended.stderr).error.code).toBe("SERVER_UNSUPPORTED");
		},
		worker: () => until(["worker", "--health-port", "0"], /readyz on port/),
		studio: () => until(["studio", "--no-open", "--port", "0"], /http:\/\//),
		mcp: async () => {
			const transport = new StdioClientTransport({
				command: process.execPath,
				args: [...nodeArguments, main, "mcp", "--url", url, ...models, ...acme],
				env: { PATH: process.env.PATH ?? "", ...env },
				cwd: tmpdir(),
				stderr: "pipe",
			});
			const client = newClient("legacy");
			await client.connect(transport);
			onTestFinished(() => client.close());
			const found = await call(client, "lookup", { keys: ["one"] });
			expect(JSON.stringify(found)).toContain("of acme");
		},
		delete: async () => {
			await json(["delete", "two", "--table", "notes", ...acme, "--yes"]);
			const found = await json(["list", "notes", ...acme]);
			expect(found.rows).toHaveLength(2);
		},
		forget: async () => {
			expect(await json(["forget", ...acme, "--yes"])).toMatchObject({
				rows: 3,
			});
			const { buckets } = await json(["buckets", "status"]);
			const left = buckets.reduce(
				(total: number, { tenants }: { tenants: number }) => total + tenants,
				0,
			);
			expect(left).toBe(tenants.length - 1);
		},
	};

	/** Runs in a process of its own until it has printed that, then ends by SIGTERM. */
	async function until(args: readonly string[], ready: RegExp) {
		const child = spawn(
			process.execPath,
			[...nodeArguments, main, ...args, "--url", url, ...models],
			{
				cwd: tmpdir(),
				env: { PATH: process.env.PATH, ...env },
				stdio: ["ignore", "pipe", "pipe"],
			},
		);
		onTestFinished(() => void child.kill("SIGKILL"));
		let printed = "";
		for (const stream of [child.stdout, child.stderr])
			stream.setEncoding("utf8").on("data", (text) => {
				printed += text;
			});
		const exited = once(child, "exit");
		await expect.poll(() => printed).toMatch(ready);
		child.kill("SIGTERM");
		const [code] = await exited;
		expect({ code, printed }).toMatchObject({ code: 0 });
	}

	test("every command has a check here", () => {
		const names = commands.map((command) => command.join(" "));
		expect([...Object.keys(checks), ...withoutDatabase].toSorted()).toEqual(
			names.toSorted(),
		);
	});

	test.each(Object.entries(checks))("rem %s", async (_, check) => {
		await check();
	});

	test("--verify ends with 3 and names the rows that are not stored as in the file", async () => {
		const all = file(`${engine}-changed.jsonl`);
		const id = "0190a6f0-0000-7000-8000-000000000001";
		const of = (name: string) =>
			exportText("notes", { id, tenant_id: "stark", name }).split("\n");
		const [header, first] = of("first");
		const [, second] = of("second");
		const last = '{"end":{"rows":2,"vectors":0}}';
		// The second row replaces the first.
		writeFileSync(all, [header, first, second, last, ""].join("\n"));
		const ended = await run(["load", all, "--commit-every", "1", "--verify"]);
		expect(ended).toMatchObject({ code: 3 });
		expect(ended.stdout).toContain(`line 2: notes ${id} differs in name`);
	});

	test("--verify and --commit-every are for exports", async () => {
		const args = ["load", file("notes.jsonl"), "--table", "notes"];
		for (const option of [["--verify"], ["--commit-every", "10"]])
			expect(await run([...args, ...option])).toMatchObject({ code: 2 });
	});

	test("status of buckets that do not exist is an error", async () => {
		const empty = await emptyDatabase(engine);
		const args = ["buckets", "status", "--url", empty, ...models];
		const ended = await rem(args, { env });
		expect(ended).toMatchObject({ code: 1, stdout: "" });
		expect(ended.stderr).toContain(
			"none of the 4 buckets has the tables of the models [SCHEMA_DRIFT]",
		);
	});

	test("another number of buckets is refused", async () => {
		const ended = await rem(["list", "notes", "--url", url, ...models], {
			env: { ...env, POSTGRES__BUCKETS: "8" },
		});
		expect(ended.code).toBe(1);
		expect(ended.stderr).toContain("CONFIG_INVALID");
	});
});
