import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PostgresService } from "../../src/index.ts";
import { rem, temporaryFolder } from "./run-rem.ts";

test("a folder that another process has open is an error that names the process", async () => {
	const folder = temporaryFolder();
	const connectionString = `file:${join(folder, ".rem")}`;
	const service = await PostgresService.connect({ connectionString });
	try {
		const { code, stdout, stderr } = await rem(["lookup", "x"], {
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
	const folder = temporaryFolder();
	const { code, stdout, stderr } = await rem(["lookup", "x"], { cwd: folder });
	expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
	expect(stderr).toContain("set up the database");
	expect(existsSync(join(folder, ".rem/data"))).toBe(true);
});

test("SIGTERM stops a load between chunks; what is committed stays and is told", async () => {
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

function stopWhenSetUp(child: ChildProcess): void {
	child.stderr?.on("data", (text: string) => {
		if (text.includes("set up the database"))
			setTimeout(() => child.kill("SIGTERM"), 1000);
	});
}
