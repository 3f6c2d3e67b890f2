import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../../src/index.ts";
import { createDatabase, engine } from "../../support/engine.ts";

/** More rounds by hand: REM_TEST_ROUNDS=20. */
const rounds = Number(process.env.REM_TEST_ROUNDS ?? 1);
const killsPerRound = 3;

// As test/support/migrate-child.ts has it.
const Note = defineEntity(
	"notes",
	{ name: z.string(), year: z.int().optional() },
	{ entityKeyField: "name" },
);

/** Long enough that a kill falls into each of them, and between them. */
const files = {
	"1_table.sql": "CREATE TABLE marks (file text); SELECT pg_sleep(0.1)",
	"2_mark.sql":
		"INSERT INTO marks VALUES ('2'); INSERT INTO marks SELECT NULL FROM generate_series(1, 100000)",
	"3_index.sql": `-- rem: no-transaction
INSERT INTO marks VALUES ('3');
CREATE INDEX CONCURRENTLY marks_once ON marks (file);
INSERT INTO marks VALUES ('4');
DROP INDEX CONCURRENTLY marks_once;
CREATE INDEX CONCURRENTLY marks_file ON marks (file);
BEGIN;
INSERT INTO marks VALUES ('5');
SELECT pg_sleep(0.1);
COMMIT;`,
};

test("a migrator that is killed anywhere can be run again", {
	timeout: 300_000 * rounds,
}, async () => {
	let kills = 0;
	for (let round = 0; round < rounds; round++) {
		const url = await emptyDatabase();
		const migrations = temporaryFolder();
		for (const [name, text] of Object.entries(files))
			writeFileSync(join(migrations, name), text);
		for (let kill = 0; kill < killsPerRound; kill++)
			if (await migrateAndKill(url, migrations, kill === 0)) kills++;
		const service = await PostgresService.connect({
			connectionString: url,
			models: [Note],
			embedding: { provider: "local", dimensions: 8 },
		});
		try {
			await service.migrate({ migrations });
			const { rows } = await service.execute(
				"SELECT file FROM marks WHERE file IS NOT NULL ORDER BY file",
			);
			expect(rows).toEqual(["2", "3", "4", "5"].map((file) => ({ file })));
			const indexes = await service.execute(
				"SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = 'marks'::regclass AND indisvalid",
			);
			expect(indexes.rows).toEqual([{ name: "marks_file" }]);
			expect(await service.schema.diff()).toEqual([]);
			expect(await service.migrate({ migrations })).toEqual({ applied: [] });
		} finally {
			await service.close();
		}
	}
	expect(kills).toBeGreaterThan(0);
});

/**
 * Whether it was killed before it was done: the first of a round certainly is,
 * among the files; a later one may find nothing left to do.
 */
async function migrateAndKill(
	url: string,
	migrations: string,
	isFirst: boolean,
): Promise<boolean> {
	const jiti = join(
		dirname(createRequire(import.meta.url).resolve("jiti/package.json")),
		"lib/jiti-cli.mjs",
	);
	const script = fileURLToPath(
		new URL("../../support/migrate-child.ts", import.meta.url),
	);
	const child = spawn(process.execPath, [jiti, script, url, migrations], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	const lastLine = randomInt(isFirst ? 4 : 6);
	let lines = 0;
	const reached = new Promise<void>((resolve) => {
		createInterface({ input: child.stdout }).on("line", () => {
			if (lines++ === lastLine) resolve();
		});
	});
	await Promise.race([reached, ended]);
	await sleep(randomInt(isFirst ? 100 : 300));
	child.kill("SIGKILL");
	await ended;
	return child.signalCode === "SIGKILL";
}

function temporaryFolder(): string {
	const folder = mkdtempSync(join(tmpdir(), "rem-migration-kills-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** What a killed process leaves must be there for the next: in memory nothing is. */
async function emptyDatabase(): Promise<string> {
	if (engine === "embedded") return `file:${join(temporaryFolder(), "data")}`;
	const { url, drop } = await createDatabase();
	onTestFinished(drop);
	return url;
}
