import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PostgresService } from "../../src/index.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { rem, remProcess, temporaryFolder } from "./run-rem.ts";

test("a folder that another process has open is an error that names the process", async () => {
	const folder = temporaryFolder();
	const connectionString = `file:${join(folder, ".rem")}`;
	const service = await PostgresService.connect({ connectionString });
	try {
		const { code, stdout, stderr } = await remProcess(["lookup", "x"], {
			cwd: folder,
		});
		expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		expect(stderr).toContain("[EMBEDDED_LOCKED]");
		expect(stderr).toContain(`process ${process.pid}`);
	} finally {
		await service.close();
	}
});

test("without an address the embedded database in ./.rem is set up on first use", async () => {
	const folder = temporaryFolder({ "a.jsonl": '{"name":"x"}' });
	const read = await rem(["lookup", "x"], { cwd: folder });
	expect(read).toMatchObject({ code: 0, stdout: "" });
	expect(existsSync(join(folder, ".rem"))).toBe(false);
	const { code, stderr } = await rem(
		["load", "a.jsonl", "--table", "resources"],
		{ cwd: folder },
	);
	expect(code).toBe(0);
	expect(stderr).toContain("creating the embedded database in ./.rem");
	expect(stderr).toContain("set up the database");
	expect(existsSync(join(folder, ".rem/data"))).toBe(true);
});

test("a lookup does not load the modules of fetch, which it has no use for", async () => {
	const folder = temporaryFolder({
		"list.cjs": `process.on("exit", () => {
			const loaded = process.moduleLoadList.filter((name) => name.includes("undici/undici"));
			process.stderr.write(JSON.stringify({ loaded }));
		});`,
	});
	const { code, stderr } = await remProcess(["lookup", "x"], {
		cwd: folder,
		env: { NODE_OPTIONS: `--require ${join(folder, "list.cjs")}` },
	});
	expect(code).toBe(0);
	expect(stderr).toContain('{"loaded":[]}');
});

test("SIGTERM stops a load between chunks; what is committed stays and is reported", async () => {
	const row = (at: number) =>
		`{"name":"doc ${at}","content":"text number ${at}"}\n`;
	const rows = Array.from({ length: 20_000 }, (_, at) => row(at));
	const folder = temporaryFolder({ "many.jsonl": rows.join("") });
	const { code, stdout, stderr } = await rem(
		["load", "many.jsonl", "--table", "resources"],
		{ cwd: folder, onStart: stopWhenSetUp },
	);
	expect({ code, stdout }).toEqual({ code: 143, stdout: "" });
	expect(stderr).toContain("[CANCELLED]");
	expect(stderr).toMatch(
		/the first \d+ entities are committed.*; run the same command again|nothing was committed/,
	);
	expect(existsSync(join(folder, ".rem/lock"))).toBe(false);
});

test("a process that ends without close leaves an emptied cache, which the next one does not notice", async () => {
	const folder = temporaryFolder();
	const connectionString = `file:${join(folder, ".rem")}`;
	const exited = await new Promise((resolve) => {
		const child = spawn(
			process.execPath,
			[
				...nodeArguments,
				"--input-type=module",
				"-e",
				writeAndExit(connectionString),
			],
			{ stdio: ["ignore", "ignore", "inherit"] },
		);
		child.once("exit", resolve);
	});
	expect(exited).toBe(7);
	const service = await PostgresService.connect({
		connectionString,
		embedding: { provider: "local" },
	});
	try {
		// At once, one beside the other: whatever comes first answers.
		const [hit, fuzzy, walked] = await Promise.all([
			service.lookupEntity({ entityKey: "SARAH chen" }),
			service.fuzzySearch({ query: "sarah-chem", threshold: 0.5 }),
			service.traverse({ from: "sarah-chen", depth: 1 }),
		]);
		expect(hit).toMatchObject({ entityKey: "sarah-chen" });
		expect(fuzzy.map(({ entityKey }) => entityKey)).toEqual(["sarah-chen"]);
		expect(walked.nodes.map(({ entityKey }) => entityKey)).toContain(
			"tom-reed",
		);
		await service.kv.ensureReady();
		expect(await service.kv.verify()).toMatchObject({
			ready: true,
			compared: 2,
			differing: 0,
		});
	} finally {
		await service.close();
	}
});

/** As an application that forgets `close()`, with the package as it is built. */
function writeAndExit(connectionString: string): string {
	const index = new URL("../../dist/index.js", import.meta.url).href;
	return `import { PostgresService } from ${JSON.stringify(index)};
const service = await PostgresService.connect({ connectionString: ${JSON.stringify(connectionString)}, embedding: { provider: "local" } });
await service.migrate();
await service.batchUpsert({ tableName: "users", entities: [
	{ name: "sarah-chen", graphEdges: [{ dst: "tom-reed", rel_type: "manages" }] },
	{ name: "tom-reed" },
] });
if (!(await service.kv.status()).ready) process.exit(1);
process.exit(7);`;
}

function stopWhenSetUp(child: ChildProcess): void {
	child.stderr?.on("data", (text: string) => {
		if (text.includes("set up the database"))
			setTimeout(() => child.kill("SIGTERM"), 1000);
	});
}
