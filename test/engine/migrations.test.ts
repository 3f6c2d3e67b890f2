import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type Entity,
	PostgresService,
	RemError,
} from "../../src/index.ts";
import { codeOf, createDatabase, engine } from "../support/engine.ts";

/** More rounds by hand: REM_TEST_ROUNDS=20. */
const rounds = Number(process.env.REM_TEST_ROUNDS ?? 2);

const Note = defineEntity(
	"notes",
	{ name: z.string(), year: z.int().optional() },
	{ entityKeyField: "name" },
);

function folderOf(files: Readonly<Record<string, string>>): string {
	const folder = mkdtempSync(join(tmpdir(), "rem-migrations-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	for (const [name, text] of Object.entries(files))
		writeFileSync(join(folder, name), text);
	return folder;
}

const connect = async (url: string, models: readonly Entity[] = []) => {
	const service = await PostgresService.connect({
		connectionString: url,
		models,
		embedding: { provider: "local", dimensions: 8 },
	});
	onTestFinished(() => service.close());
	return service;
};

async function open(models: readonly Entity[] = []) {
	const { url, drop } = await createDatabase({ hasExtensions: false });
	onTestFinished(drop);
	return { url, service: await connect(url, models) };
}

const errorOf = async (promise: Promise<unknown>): Promise<RemError> => {
	const error = await promise.then(
		() => undefined,
		(thrown: unknown) => thrown,
	);
	if (error instanceof RemError) return error;
	throw error ?? new Error("it did not fail");
};

const statesOf = async (
	service: Awaited<ReturnType<typeof connect>>,
	migrations: string,
) =>
	(await service.schema.status({ migrations }))
		.filter(({ kind }) => kind === "file")
		.map(({ name, state }) => `${name} ${state}`);

describe("files of one's own", () => {
	test("are applied once each, in the order of their numbers, before the models", async () => {
		const { service } = await open([Note]);
		const migrations = folderOf({
			"10_last.sql": "INSERT INTO steps (name) VALUES ('last')",
			"2_second.sql": "INSERT INTO steps (name) VALUES ('second');\r\n",
			"0001_first.sql": "CREATE TABLE steps (id serial, name text);",
			"readme.md": "not a migration",
		});
		expect((await service.migrate({ migrations })).applied.slice(2)).toEqual([
			"file:0001_first.sql",
			"file:2_second.sql",
			"file:10_last.sql",
			"entity:notes",
		]);
		expect(await service.migrate({ migrations })).toEqual({ applied: [] });
		writeFileSync(
			join(migrations, "2_second.sql"),
			"INSERT INTO steps (name) VALUES ('second');\n",
		);
		expect(await service.migrate({ migrations })).toEqual({ applied: [] });
		const { rows } = await service.execute(
			"SELECT name FROM steps ORDER BY id",
		);
		expect(rows).toEqual([{ name: "second" }, { name: "last" }]);
	});

	test("stop at the one that was asked for", async () => {
		const { service } = await open([Note]);
		const migrations = folderOf({
			"1_a.sql": "CREATE TABLE a ()",
			"2_b.sql": "CREATE TABLE b ()",
		});
		const { applied } = await service.migrate({ migrations, to: "1_a.sql" });
		expect(applied.slice(2)).toEqual(["file:1_a.sql"]);
		expect(await statesOf(service, migrations)).toEqual([
			"1_a.sql applied",
			"2_b.sql pending",
		]);
		const error = await errorOf(
			service.migrate({ migrations, to: "1_aa.sql" }),
		);
		expect(error.code).toBe("VALIDATION");
		expect(error.hint).toContain("1_a.sql");
	});

	test("that were edited, removed or came late are refused by name, until they are accepted", async () => {
		const { service } = await open();
		const files = {
			"1_a.sql": "SELECT 1",
			"2_b.sql": "SELECT 2",
			"4_d.sql": "SELECT 4",
		};
		await service.migrate({ migrations: folderOf(files) });
		const migrations = folderOf({
			"1_a.sql": "SELECT 'edited'",
			"3_c.sql": "SELECT 3",
			"4_d.sql": "SELECT 4",
		});
		const error = await errorOf(service.migrate({ migrations }));
		expect(error.code).toBe("MIGRATION_FAILED");
		expect(error.issues.map(({ message }) => message)).toEqual([
			"1_a.sql was edited after it was applied",
			"2_b.sql was applied and is not in the folder",
			"3_c.sql comes before files that are applied already",
		]);
		const names = ["1_a.sql", "2_b.sql"];
		expect(await service.schema.repair({ migrations, names })).toEqual([
			{ name: "1_a.sql", done: "accepted" },
			{ name: "2_b.sql", done: "forgotten" },
		]);
		expect(await statesOf(service, migrations)).toEqual([
			"1_a.sql applied",
			"3_c.sql out of order",
			"4_d.sql applied",
		]);
		expect(
			await codeOf(service.schema.repair({ migrations, names: ["3_c.sql"] })),
		).toBe("VALIDATION");
	});

	test("that fail leave nothing, and name the line", async () => {
		const { service } = await open();
		const migrations = folderOf({
			"1_a.sql": "CREATE TABLE kept ();",
			"2_b.sql":
				"-- a comment\nCREATE TABLE gone ();\n\n/* ä */ INSERT INTO nowhere VALUES (1);\n",
		});
		const error = await errorOf(service.migrate({ migrations }));
		expect(error.code).toBe("MIGRATION_FAILED");
		expect(error.message).toBe(
			'2_b.sql, line 4: relation "nowhere" does not exist',
		);
		expect(error.sqlState).toBe("42P01");
		const { rows } = await service.execute(
			"SELECT to_regclass('kept') IS NOT NULL AS kept, to_regclass('gone') IS NOT NULL AS gone",
		);
		expect(rows).toEqual([{ kept: true, gone: false }]);
		writeFileSync(join(migrations, "2_b.sql"), "CREATE TABLE gone ();");
		expect((await service.migrate({ migrations })).applied).toEqual([
			"file:2_b.sql",
		]);
	});

	test.each([
		["what is no SQL", "SELEC 1", /line 1: syntax error/],
		["commands of psql", "SELECT 1;\n\\i other.sql", /line 2: syntax error/],
		[
			"a COMMIT in their midst",
			"SELECT 1;\nCOMMIT;\nSELECT 2",
			/line 2: .*one transaction/,
		],
		[
			"CONCURRENTLY in a transaction",
			"CREATE INDEX CONCURRENTLY i ON pg_class (oid)",
			/cannot run in a transaction/,
		],
		[
			"a misspelt directive",
			"-- rem: no-transactions\nSELECT 1",
			/means nothing/,
		],
	])("refuse %s", async (_, text, message) => {
		const { service } = await open();
		const migrations = folderOf({ "1_a.sql": text });
		expect((await errorOf(service.migrate({ migrations }))).message).toMatch(
			message,
		);
	});

	test("may have BEGIN and COMMIT around everything, as psql needs them", async () => {
		const { service } = await open();
		const migrations = folderOf({
			"1_a.sql": "BEGIN;\nCREATE TABLE framed ();\nCOMMIT;",
		});
		await service.migrate({ migrations });
		expect(await statesOf(service, migrations)).toEqual(["1_a.sql applied"]);
	});

	test("are refused with a name that has no number", async () => {
		const { service } = await open();
		const migrations = folderOf({ "init.sql": "SELECT 1" });
		expect(await codeOf(service.migrate({ migrations }))).toBe("VALIDATION");
		expect(
			await codeOf(service.migrate({ migrations: join(migrations, "no") })),
		).toBe("VALIDATION");
	});
});

describe("a file that is no transaction", () => {
	const text = `-- rem: no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS numbers_n ON numbers (n);
INSERT INTO steps (name) VALUES ('between');
CREATE UNIQUE INDEX CONCURRENTLY numbers_unique ON numbers (n);
BEGIN;
INSERT INTO steps (name) VALUES ('framed');
INSERT INTO steps (name) VALUES ('framed too');
COMMIT;
`;

	async function withDuplicates() {
		const { url, service } = await open();
		await service.execute(
			"CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (1), (1); CREATE TABLE steps (name text)",
		);
		const migrations = folderOf({ "1_indexes.sql": text });
		return { url, service, migrations };
	}

	const stepsOf = async (service: Awaited<ReturnType<typeof connect>>) =>
		(
			await service.execute<{ name: string }>("SELECT name FROM steps")
		).rows.map(({ name }) => name);

	test("that stopped goes on where it stopped, each statement once", async () => {
		const { service, migrations } = await withDuplicates();
		const error = await errorOf(service.migrate({ migrations }));
		expect(error.message).toMatch(/^1_indexes\.sql, line 4: /);
		expect(error.hint).toContain("2 of its 4 statements are applied");
		expect(await statesOf(service, migrations)).toEqual([
			"1_indexes.sql interrupted",
		]);
		await service.execute("DELETE FROM numbers");
		expect((await service.migrate({ migrations })).applied).toEqual([
			"file:1_indexes.sql",
		]);
		expect(await stepsOf(service)).toEqual(["between", "framed", "framed too"]);
		const { rows } = await service.execute(
			"SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = 'numbers'::regclass AND indisvalid ORDER BY 1",
		);
		expect(rows).toEqual([{ name: "numbers_n" }, { name: "numbers_unique" }]);
	});

	test("may be edited after the statement where it stopped, not before", async () => {
		const { service, migrations } = await withDuplicates();
		await service.migrate({ migrations }).catch(() => {});
		const file = join(migrations, "1_indexes.sql");
		writeFileSync(file, text.replace("'between'", "'other'"));
		expect((await errorOf(service.migrate({ migrations }))).message).toContain(
			"were edited since",
		);
		writeFileSync(file, text.replace("CREATE UNIQUE", "CREATE"));
		await service.migrate({ migrations });
		expect(await service.migrate({ migrations })).toEqual({ applied: [] });
	});

	test("does not repeat what was done and not noted before a crash", async () => {
		const { service, migrations } = await withDuplicates();
		await service.migrate({ migrations }).catch(() => {});
		await service.execute("DELETE FROM numbers");
		await service.execute(
			"DROP INDEX numbers_unique; CREATE UNIQUE INDEX numbers_unique ON numbers (n)",
		);
		await service.migrate({ migrations });
		expect(await stepsOf(service)).toEqual(["between", "framed", "framed too"]);
	});
});

describe("what a migration would do", () => {
	test("is reported and not done", async () => {
		const { service } = await open([Note]);
		const migrations = folderOf({
			"1_a.sql": "ALTER TABLE t DROP COLUMN c;",
		});
		const plan = await service.schema.plan({ migrations });
		expect(plan.files.map(({ name }) => name)).toEqual([
			"001_setup_extensions.sql",
			"002_kv_store_cache.sql",
			"file:1_a.sql",
		]);
		expect(plan.differences.length).toBeGreaterThan(0);
		const { rows } = await service.execute(
			"SELECT to_regclass('rem_migrations') IS NULL AS untouched",
		);
		expect(rows).toEqual([{ untouched: true }]);
	});
});

test("a database that a newer version migrated is refused", async () => {
	const { service } = await open([Note]);
	await service.migrate();
	await service.execute(
		"INSERT INTO rem_migrations (name, sha256, duration_ms) VALUES ('900_later.sql', 'x', 1)",
	);
	const error = await errorOf(service.migrate());
	expect(error.code).toBe("MIGRATION_FAILED");
	expect(error.message).toContain("900_later.sql");
});

test("a trigger that was disabled or changed is repaired, and the cache with it", async () => {
	const { service } = await open([Note]);
	await service.migrate();
	await service.execute(
		"ALTER TABLE notes DISABLE TRIGGER trg_notes_kv_store_insert; INSERT INTO notes (tenant_id, name) VALUES ('t', 'unseen')",
	);
	const differences = await service.schema.diff();
	expect(differences.flatMap(({ messages }) => messages)).toEqual([
		'trigger "trg_notes_kv_store_insert" is disabled',
	]);
	expect((await service.migrate()).applied).toEqual(["entity:notes"]);
	expect(await service.schema.diff()).toEqual([]);
	const found = await service.lookupEntity({
		entityKey: "unseen",
		tenantId: "t",
	});
	expect(found?.entityKey).toBe("unseen");
});

// Several processes, and connections that are cut, need a server.
describe.skipIf(engine === "embedded")("on a server", () => {
	test("four migrators at once apply each file once", {
		timeout: 300_000 * rounds,
	}, async () => {
		for (let round = 0; round < rounds; round++) {
			const { url, service } = await open([Note]);
			const migrations = folderOf({
				"1_table.sql": "CREATE TABLE marks (file text)",
				"2_mark.sql": "INSERT INTO marks VALUES ('2'); SELECT pg_sleep(0.05)",
				"3_index.sql":
					"-- rem: no-transaction\nINSERT INTO marks VALUES ('3');\nCREATE INDEX CONCURRENTLY marks_file ON marks (file);",
			});
			const services = [
				service,
				await connect(url, [Note]),
				await connect(url, [Note]),
				await connect(url, [Note]),
			];
			const results = await Promise.all(
				services.map((one) => one.migrate({ migrations })),
			);
			expect(results.map(({ applied }) => applied.length).sort()).toEqual([
				0, 0, 0, 6,
			]);
			const { rows } = await service.execute(
				"SELECT file FROM marks ORDER BY file",
			);
			expect(rows).toEqual([{ file: "2" }, { file: "3" }]);
		}
	});

	test("a migrator whose connections are cut anywhere can be run again", {
		timeout: 300_000 * rounds,
	}, async () => {
		for (let round = 0; round < rounds; round++) {
			const { url, service } = await open([Note]);
			const migrations = folderOf({
				"1_table.sql": "CREATE TABLE marks (file text); SELECT pg_sleep(0.05)",
				"2_mark.sql": "INSERT INTO marks VALUES ('2'); SELECT pg_sleep(0.05)",
				"3_index.sql":
					"-- rem: no-transaction\nINSERT INTO marks VALUES ('3');\nCREATE INDEX CONCURRENTLY marks_file ON marks (file);\nINSERT INTO marks VALUES ('4');",
			});
			const stop = cutConnections(url);
			let cut = 0;
			for (;;) {
				const done = await service.migrate({ migrations }).then(
					() => true,
					(error: RemError) => {
						expect([
							"CONNECTION_FAILED",
							"OUTCOME_UNKNOWN",
							"DATABASE",
						]).toContain(error.code);
						return false;
					},
				);
				if (done) break;
				if (++cut === 5) await stop();
			}
			await stop();
			const { rows } = await service.execute(
				"SELECT file FROM marks ORDER BY file",
			);
			expect(rows).toEqual([{ file: "2" }, { file: "3" }, { file: "4" }]);
			expect(await service.schema.diff()).toEqual([]);
		}
	});

	test("a step that waits for a lock does not block readers, and is tried again", async () => {
		const { url, service } = await open([Note]);
		await service.migrate();
		const reader = new pg.Client({ connectionString: url });
		await reader.connect();
		onTestFinished(() => reader.end());
		await reader.query("BEGIN; SELECT * FROM notes");
		const More = defineEntity(
			"notes",
			{
				name: z.string(),
				year: z.int().optional(),
				title: z.string().optional(),
			},
			{ entityKeyField: "name" },
		);
		const other = await connect(url, [More]);
		const error = await errorOf(
			other.migrate({ lockTimeoutMs: 50, lockAttempts: 2 }),
		);
		expect(error.code).toBe("MIGRATION_FAILED");
		expect(error.sqlState).toBe("55P03");
		const migrating = other.migrate({ lockTimeoutMs: 50 });
		await service.execute("SELECT * FROM notes");
		await reader.query("COMMIT");
		expect((await migrating).applied).toEqual(["entity:notes"]);
	});

	test("a role that may not create extensions gets their names, and succeeds if they exist", async () => {
		const { url, service } = await open();
		const role = `rem_role_${process.pid}_${Date.now()}`;
		await service.execute(
			`CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO ${role}; GRANT CREATE ON DATABASE ${new URL(url).pathname.slice(1)} TO ${role}`,
		);
		const asRole = new URL(url);
		asRole.username = role;
		asRole.password = "x";
		const limited = await PostgresService.connect({
			connectionString: asRole.href,
			models: [Note],
		});
		onTestFinished(async () => {
			await limited.close();
			await service.execute(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
		});
		const error = await errorOf(limited.migrate());
		expect(error.code).toBe("EXTENSION_MISSING");
		expect(error.hint).toContain("CREATE EXTENSION vector");
		await service.execute("CREATE EXTENSION vector");
		expect((await limited.migrate()).applied).toContain("entity:notes");
	});
});

/** Ends every other connection to the database now and then; returns what stops it. */
function cutConnections(url: string): () => Promise<void> {
	const client = new pg.Client({ connectionString: url });
	let isStopped = false;
	const cutting = (async () => {
		await client.connect();
		while (!isStopped) {
			await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
			await client.query(
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
			);
		}
		await client.end();
	})();
	// Stopping twice is fine.
	return async () => {
		isStopped = true;
		await cutting;
	};
}
