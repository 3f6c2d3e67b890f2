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
import { bucketSchemas } from "../../../src/buckets/bucket-names.ts";
import { PostgresService } from "../../../src/index.ts";
import { createDatabase, engine } from "../../support/engine.ts";
import { Note, ofBuckets } from "../../support/migrated-models.ts";

/** More rounds by hand: REM_TEST_ROUNDS=20. */
const rounds = Number(process.env.REM_TEST_ROUNDS ?? 1);
const killsPerRound = 3;

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
			if (await migrateAndKill(url, migrations, momentOf(kill === 0))) kills++;
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

const bucketFiles = {
	"1_table.sql": "CREATE TABLE marks (file text); SELECT pg_sleep(0.02)",
	"2_mark.sql":
		"INSERT INTO marks VALUES ('2'); INSERT INTO marks SELECT NULL FROM generate_series(1, 10000)",
	"3_index.sql": `-- rem: no-transaction
INSERT INTO marks VALUES ('3');
CREATE INDEX CONCURRENTLY marks_once ON marks (file);
INSERT INTO marks VALUES ('4');
DROP INDEX CONCURRENTLY marks_once;
CREATE INDEX CONCURRENTLY marks_file ON marks (file);`,
};
const buckets = 8;
const schemas = bucketSchemas("public", buckets);
const killsOverBuckets = 5;

// A process of its own cannot open an embedded database that this one reads between the kills.
test.runIf(engine === "server")(
	"a migrator of buckets that is killed anywhere leaves none half-made, and the next continues",
	{ timeout: 300_000 * rounds },
	async () => {
		let kills = 0;
		let partly = 0;
		for (let round = 0; round < rounds; round++) {
			const url = await emptyDatabase();
			const migrations = temporaryFolder();
			for (const [name, text] of Object.entries(bucketFiles))
				writeFileSync(join(migrations, name), text);
			const connect = () =>
				PostgresService.connect({
					connectionString: url,
					models: ofBuckets,
					embedding: { provider: "local", dimensions: 8 },
					buckets,
				});
			for (let kill = 0; kill < killsOverBuckets; kill++) {
				// Each bucket has five lines, and the first is migrated alone.
				const line = kill === 0 ? randomInt(6, 10) : randomInt(8);
				const moment = { line, afterMs: randomInt(100) };
				if (await migrateAndKill(url, migrations, moment, buckets)) kills++;
				const service = await connect();
				const behind = await bucketsBehind(service, migrations);
				if (behind.size > 0 && behind.size < buckets) partly++;
				await service.close();
			}
			const service = await connect();
			try {
				const behind = await bucketsBehind(service, migrations);
				const { applied } = await service.migrate({ migrations });
				for (const name of applied)
					expect(behind).toContain(name.split("/")[0]);
				expect(await bucketsBehind(service, migrations)).toEqual(new Set());
				expect(await service.schema.diff()).toEqual([]);
				expect(await service.migrate({ migrations })).toEqual({ applied: [] });
				for (const schema of schemas) {
					const { rows } = await service.execute(
						`SELECT file FROM ${schema}.marks WHERE file IS NOT NULL ORDER BY file`,
					);
					expect(rows).toEqual(["2", "3", "4"].map((file) => ({ file })));
					const indexes = await service.execute(
						"SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index WHERE indrelid = $1::regclass",
						[`${schema}.marks`],
					);
					expect(indexes.rows).toEqual([
						{ name: `${schema}.marks_file`, valid: true },
					]);
				}
				const tenants = Array.from({ length: 40 }, (_, at) => `tenant-${at}`);
				await service.batchUpsert({
					tableName: "notes",
					entities: tenants.map((tenantId) => ({ name: "Kept", tenantId })),
				});
				for (const tenantId of tenants)
					expect(
						await service.lookupEntity({ tenantId, entityKey: "Kept" }),
					).toMatchObject({ entityType: "notes" });
				expect((await service.kv.status()).ready).toBe(true);
			} finally {
				await service.close();
			}
		}
		expect(kills).toBeGreaterThan(0);
		expect(partly).toBeGreaterThan(0);
	},
);

/**
 * The buckets that the status names as not migrated to the end. What it calls
 * applied is complete: no table of such a model differs from it.
 */
async function bucketsBehind(
	service: Pick<PostgresService, "schema">,
	migrations: string,
): Promise<Set<string>> {
	const status = await service.schema.status({ migrations });
	const behind = status.filter(({ state }) => state !== "applied");
	// Tables of no model are those of the files of remdb.
	const unfinished = behind.map(({ bucket, name, kind }) =>
		kind === "remdb" ? `${bucket}/remdb` : `${bucket}/${name}`,
	);
	for (const { bucket, table, messages } of await service.schema.diff())
		expect(unfinished, messages.join("; ")).toContain(`${bucket}/${table}`);
	return new Set(behind.map(({ bucket }) => String(bucket)));
}

interface Moment {
	/** After how many lines of progress, from 0. */
	readonly line: number;
	readonly afterMs: number;
}

/** The first of a round is certainly among the files; a later one may find nothing left to do. */
const momentOf = (isFirst: boolean): Moment => ({
	line: randomInt(isFirst ? 4 : 6),
	afterMs: randomInt(isFirst ? 100 : 300),
});

/** Whether it was killed before it was done. */
async function migrateAndKill(
	url: string,
	migrations: string,
	{ line: lastLine, afterMs }: Moment,
	buckets?: number,
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
		env: {
			...process.env,
			...(buckets === undefined ? {} : { POSTGRES__BUCKETS: String(buckets) }),
		},
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	let lines = 0;
	const reached = new Promise<void>((resolve) => {
		createInterface({ input: child.stdout }).on("line", () => {
			if (lines++ === lastLine) resolve();
		});
	});
	await Promise.race([reached, ended]);
	await sleep(afterMs);
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
