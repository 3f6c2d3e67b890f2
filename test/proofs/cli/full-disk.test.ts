import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rem, temporaryFolder } from "../../cli/run-rem.ts";

// A disk that is full: a file system of 256 KB in memory, which only root can mount.

const disk = temporaryFolder();
const isMounted =
	process.platform === "linux" &&
	spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk])
		.status === 0;
afterAll(() => {
	if (isMounted) spawnSync("umount", [disk]);
});

describe.skipIf(!isMounted)(
	`a full disk${isMounted ? "" : " (skipped: only root can mount one)"}`,
	() => {
		const folder = temporaryFolder();
		const url = `file:${join(folder, "db")}`;
		beforeAll(async () => {
			const rows = Array.from({ length: 300 }, (_, at) => ({
				name: `row ${at}`,
				content: `text ${at} `.repeat(300),
			}));
			writeFileSync(join(folder, "rows.json"), JSON.stringify(rows));
			const loaded = await rem(
				[
					"load",
					join(folder, "rows.json"),
					"--table",
					"resources",
					"--no-embeddings",
					"--url",
					url,
				],
				{ cwd: folder },
			);
			expect(loaded).toMatchObject({ code: 0 });
		});

		test.each([false, true])(
			"export -o names the file, and leaves the older one (there is one: %s) and no draft",
			async (isThere) => {
				const file = join(disk, isThere ? "older.jsonl" : "new.jsonl");
				if (isThere) writeFileSync(file, "older\n");
				const before = readdirSync(disk);
				const { code, stdout, stderr } = await rem([
					"export",
					"-o",
					file,
					"--url",
					url,
				]);
				expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
				expect(stderr).toContain(
					`error: cannot write "${file}": there is no space left`,
				);
				expect(stderr).toContain("hint: ");
				expect(readdirSync(disk)).toEqual(before);
				if (isThere) expect(readFileSync(file, "utf8")).toBe("older\n");
			},
		);

		test("export --format markdown names the file", async () => {
			const out = join(disk, "notes");
			const { code, stderr } = await rem([
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
			expect(code).toBe(1);
			expect(stderr).toContain(`error: cannot write "${out}`);
			expect(stderr).toContain("there is no space left");
		});
	},
);
