import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod";
import {
	type Check,
	type ConnectOptions,
	defineEntity,
	type Entity,
	PostgresService,
} from "../../src/index.ts";
import { createDatabase, engine, useService } from "../support/engine.ts";
import { bucketGrants } from "../support/schemas.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		year: z.int().optional(),
	},
	{ entityKeyField: "name" },
);

const embedding = { provider: "local", dimensions: 8 } as const;
const db = useService({ models: [Note], embedding, poolSize: 4 });

/** What the doctor says of a matter, the worst first. */
async function checksOf(
	name: string,
	service: { doctor: PostgresService["doctor"] } = db.service,
	options = {},
): Promise<Check[]> {
	const { checks } = await service.doctor(options);
	const worst = ["failed", "warning", "ok"];
	return checks
		.filter((check) => check.name === name)
		.sort((a, b) => worst.indexOf(a.state) - worst.indexOf(b.state));
}

const stateOf = async (name: string) => (await checksOf(name))[0]?.state;

/** Spoils something, expects a line that says so, takes it back, and expects that the line is gone. */
async function expectToBeFound(
	name: string,
	{ spoil, mend, says }: { spoil: string; mend: string; says: Partial<Check> },
): Promise<void> {
	const found =
		says.found === undefined
			? {}
			: { found: expect.stringContaining(says.found) };
	const remedy =
		says.remedy === undefined
			? {}
			: { remedy: expect.stringContaining(says.remedy) };
	await db.service.execute(spoil);
	try {
		const checks = await checksOf(name);
		expect(checks[0]).toMatchObject({ ...says, ...found, ...remedy });
		const { state } = await db.service.doctor();
		expect(["warning", "failed"]).toContain(state);
	} finally {
		await db.service.execute(mend);
	}
	expect(await stateOf(name)).toBe("ok");
}

async function connect<const M extends readonly Entity[]>(
	url: string,
	options: ConnectOptions<M>,
) {
	const service = await PostgresService.connect({
		connectionString: url,
		embedding,
		poolSize: 4,
		...options,
	});
	onTestFinished(() => service.close());
	return service;
}

async function openEmpty(models: readonly Entity[] = [Note]) {
	const { url, drop } = await createDatabase({ hasExtensions: false });
	onTestFinished(drop);
	return connect(url, { models });
}

afterEach(async () => {
	await db.service.execute(
		"DELETE FROM notes; DELETE FROM rem_embedding_queue",
	);
});

describe("the doctor", () => {
	test("finds nothing wrong with a database that was set up", async () => {
		await db.service.batchUpsert({
			tableName: "notes",
			entities: [{ name: "a", content: "some text" }, { name: "b" }],
		});
		const { checks } = await db.service.doctor();
		const server = [
			"pool",
			"pooler",
			"standby",
			"publications",
			"subscriptions",
		];
		expect(checks.map(({ name }) => name)).toEqual([
			"connection",
			"versions",
			"extensions",
			"clock",
			...(engine === "server" ? server : []),
			"migrations",
			"locale",
			"schema",
			...(engine === "server" ? ["tenancy"] : []),
			"kv store",
			...(engine === "server" ? ["autovacuum", "statistics"] : []),
			"indexes",
			...(engine === "server" ? ["memory"] : []),
			"words",
			"embeddings",
			"queue",
		]);
		// Tests are a superuser's, and share their server with others.
		const others = ["tenancy", "pool"];
		expect(
			checks.filter(
				({ name, state }) => state !== "ok" && !others.includes(name),
			),
		).toEqual([]);
		expect((await checksOf("kv store"))[0]?.found).toBe(
			"ready, 2 names, unlogged; 2 of them compared",
		);
		expect((await checksOf("embeddings"))[0]?.found).toBe(
			"notes in local/lexical-v1 (8): 100 % of 1 texts",
		);
	});

	test("says of an empty database only that it is one", async () => {
		const service = await openEmpty();
		const { state, checks } = await service.doctor();
		expect(state).toBe("failed");
		expect(checks.at(-1)).toEqual({
			name: "migrations",
			state: "failed",
			found: "nothing was applied yet",
			remedy: expect.stringContaining("rem migrate"),
		});
		expect(await checksOf("extensions", service)).toMatchObject([
			{ state: engine === "server" ? "failed" : "ok" },
		]);
	});

	test("finds an extension that is gone", async () => {
		const service = await openEmpty([]);
		await service.migrate();
		await service.execute("DROP EXTENSION btree_gin CASCADE");
		expect(await checksOf("extensions", service)).toMatchObject([
			{
				state: "failed",
				found: "1 extension missing: btree_gin",
				remedy: expect.stringContaining("CREATE EXTENSION btree_gin"),
			},
		]);
		expect((await checksOf("schema", service))[0]?.state).not.toBe("ok");
	});

	test("finds an extension older than the one that is installed", () =>
		expectToBeFound("extensions", {
			spoil:
				"UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'",
			mend: "UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') WHERE extname = 'vector'",
			says: { state: "warning", remedy: "ALTER EXTENSION vector UPDATE" },
		}));

	test("finds a pgvector that is too old to search with", () =>
		expectToBeFound("versions", {
			spoil:
				"UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'",
			mend: "UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') WHERE extname = 'vector'",
			says: { state: "failed", found: "pgvector 0.7.4" },
		}));

	// The embedded database has the time of its process.
	test.skipIf(engine === "embedded")(
		"finds a clock that is wrong",
		async () => {
			const real = Date.now;
			vi.spyOn(Date, "now").mockImplementation(() => real() + 60_000);
			onTestFinished(() => void vi.restoreAllMocks());
			const [check] = await checksOf("clock");
			expect(check).toMatchObject({
				state: "warning",
				remedy: expect.any(String),
			});
			expect(check?.found).toMatch(
				/^the server is (59|60)\.\d s behind this machine$/,
			);
		},
	);
});

describe("of the schema, the doctor", () => {
	test("finds what migrate() mends", () =>
		expectToBeFound("schema", {
			spoil: "ALTER TABLE notes ALTER content SET NOT NULL",
			mend: "ALTER TABLE notes ALTER content DROP NOT NULL",
			says: {
				state: "warning",
				found: 'notes: column "content" is NOT NULL',
				remedy: "rem migrate",
			},
		}));

	test("finds what migrate() refuses", () =>
		expectToBeFound("schema", {
			spoil:
				"INSERT INTO notes (tenant_id, name) VALUES ('t', 'a'); ALTER TABLE notes ALTER year TYPE integer",
			mend: "ALTER TABLE notes ALTER year TYPE bigint",
			says: { state: "failed", remedy: "rem schema diff" },
		}));

	test("finds a model that was not applied", async () => {
		const Other = defineEntity(
			"others",
			{ name: z.string() },
			{ entityKeyField: "name" },
		);
		const service = await openEmpty([Note]);
		await service.migrate();
		service.registry.add(Other);
		expect(await checksOf("migrations", service)).toMatchObject([
			{
				state: "warning",
				found: "model others is pending",
				remedy: "rem migrate",
			},
		]);
	});

	test("finds files that were edited, and those that wait", async () => {
		const folder = mkdtempSync(join(tmpdir(), "rem-doctor-"));
		onTestFinished(() => rmSync(folder, { recursive: true }));
		const service = await openEmpty([]);
		writeFileSync(join(folder, "1_a.sql"), "CREATE TABLE a (n int)");
		await service.migrate({ migrations: folder });
		writeFileSync(join(folder, "2_b.sql"), "CREATE TABLE b (n int)");
		const options = { migrations: folder };
		expect(await checksOf("migrations", service, options)).toMatchObject([
			{ state: "warning", found: "2_b.sql is pending" },
		]);
		writeFileSync(join(folder, "1_a.sql"), "CREATE TABLE a (n bigint)");
		expect(await checksOf("migrations", service, options)).toMatchObject([
			{ state: "failed", found: "1_a.sql is edited" },
		]);
	});

	test("finds that a newer remdb was here", () =>
		expectToBeFound("migrations", {
			spoil:
				"INSERT INTO rem_migrations (name, sha256, duration_ms) VALUES ('900_later.sql', 'x', 1)",
			mend: "DELETE FROM rem_migrations WHERE name = '900_later.sql'",
			says: { state: "failed", found: "900_later.sql", remedy: "upgrade" },
		}));
});

describe("of the cache of names, the doctor", () => {
	test("finds that it was emptied", () =>
		expectToBeFound("kv store", {
			spoil: "UPDATE kv_state SET kind = 'hidden' WHERE kind = 'ready'",
			mend: "UPDATE kv_state SET kind = 'ready' WHERE kind = 'hidden'",
			says: {
				state: "warning",
				found: "emptied by a crash",
				remedy: "rem kv rebuild",
			},
		}));

	test("finds a trigger that is switched off", () =>
		expectToBeFound("kv store", {
			spoil: "ALTER TABLE notes DISABLE TRIGGER trg_notes_kv_store_update",
			mend: "ALTER TABLE notes ENABLE ALWAYS TRIGGER trg_notes_kv_store_update",
			says: { state: "failed", found: "disabled", remedy: "ENABLE ALWAYS" },
		}));

	test.for([
		["missing", "DELETE FROM kv_store"],
		["stale", "UPDATE kv_store SET content_summary = 'another'"],
		["extra", "UPDATE kv_store SET entity_id = gen_random_uuid()"],
	] as const)("finds an entry that is %s", async ([kind, spoil]) => {
		await db.service.batchUpsert({
			tableName: "notes",
			entities: [{ name: "a", content: "some text" }],
		});
		await expectToBeFound("kv store", {
			spoil,
			mend: "DELETE FROM kv_store; DELETE FROM notes",
			says: {
				state: "failed",
				found: `${kind} notes "a"`,
				remedy: "rem kv verify",
			},
		});
	});
});

describe("of indexes, the doctor", () => {
	test("finds one that is invalid", async () => {
		await db.service.createIndexConcurrently({
			tableName: "notes",
			indexType: "hnsw",
		});
		await expectToBeFound("indexes", {
			spoil:
				"UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT oid FROM pg_class WHERE relname LIKE 'hnsw_notes%')",
			mend: "UPDATE pg_index SET indisvalid = true WHERE NOT indisvalid",
			says: { state: "warning", found: "is invalid", remedy: "rem index" },
		});
	});

	test("finds one that was given up", () =>
		expectToBeFound("indexes", {
			spoil: `DROP INDEX IF EXISTS gin_notes__metadata;
INSERT INTO rem_index_builds (index_name, table_name, index_type, state, attempts, error)
VALUES ('gin_notes__metadata', 'notes', 'gin', 'failed', 5, 'no room') ON CONFLICT (index_name) DO UPDATE SET state = 'failed', error = 'no room'`,
			mend: "DELETE FROM rem_index_builds",
			says: { state: "failed", found: "no room", remedy: "rem index repair" },
		}));

	test("finds a model whose vectors no index takes", async () => {
		const { url, drop } = await createDatabase();
		onTestFinished(drop);
		const service = await connect(url, {
			models: [Note],
			embedding: { provider: "local", dimensions: 5000 },
		});
		await service.migrate();
		expect(await checksOf("indexes", service)).toMatchObject([
			{ state: "warning", found: expect.stringContaining("is impossible") },
		]);
	});
});

describe("of embeddings, the doctor", () => {
	test("finds rows that wait for their words", async () => {
		await db.service.execute(
			"INSERT INTO notes (tenant_id, name, content) VALUES ('t', 'a', 'some text')",
		);
		await expectToBeFound("words", {
			spoil:
				"UPDATE rem_word_sources SET is_filled = false WHERE entity_type = 'notes'",
			mend: "UPDATE rem_word_sources SET is_filled = true WHERE entity_type = 'notes'",
			says: {
				state: "warning",
				found: "notes: all 1 rows have their words, but are not marked",
				remedy: "rem index build",
			},
		});
		// As after a migration that renamed a column.
		await expectToBeFound("words", {
			spoil:
				"UPDATE rem_word_sources SET is_filled = false, version = version + 1 WHERE entity_type = 'notes'",
			mend: "UPDATE rem_word_sources SET is_filled = true, version = version - 1 WHERE entity_type = 'notes'",
			says: {
				state: "warning",
				found:
					"notes: 0 of 1 rows have their words (1 have those of an earlier version), searches compute the others",
				remedy: "rem index build",
			},
		});
	});

	test("finds texts without a vector that wait for none", async () => {
		await db.service.execute(
			"INSERT INTO notes (tenant_id, name, content) VALUES ('t', 'a', 'some text')",
		);
		expect(await checksOf("embeddings")).toMatchObject([
			{ state: "ok", found: expect.stringContaining(": 0 % of 1 texts") },
		]);
		await expectToBeFound("embeddings", {
			spoil: "DELETE FROM rem_embedding_queue",
			mend: "DELETE FROM notes",
			says: {
				state: "warning",
				found: "1 have no vector",
				remedy: "rem embeddings sync",
			},
		});
	});

	test("finds texts that wait for long", async () => {
		await db.service.execute(
			"INSERT INTO notes (tenant_id, name, content) VALUES ('t', 'a', 'some text')",
		);
		expect(await checksOf("queue")).toMatchObject([
			{ state: "ok", found: expect.stringContaining("1 texts wait") },
		]);
		await expectToBeFound("queue", {
			spoil:
				"UPDATE rem_embedding_queue SET queued_at = now() - interval '3 hours'",
			mend: "DELETE FROM rem_embedding_queue",
			says: {
				state: "warning",
				found: "the oldest for 3 h",
				remedy: "rem worker",
			},
		});
	});

	test("finds a table most of whose texts wait, before the queue is old", async () => {
		await db.service.execute(
			"INSERT INTO notes (tenant_id, name, content) VALUES ('t', 'a', 'some text')",
		);
		expect(await stateOf("embeddings")).toBe("ok");
		await expectToBeFound("embeddings", {
			spoil:
				"UPDATE rem_embedding_queue SET queued_at = now() - interval '4 minutes'",
			mend: "UPDATE rem_embedding_queue SET queued_at = now()",
			says: {
				state: "warning",
				found: "0 % of 1 texts; 1 wait for their vector, the oldest for 4 min",
				remedy: "rem worker",
			},
		});
		expect(await stateOf("queue")).toBe("ok");
	});

	test("finds texts that were given up", async () => {
		await db.service.execute(
			"INSERT INTO notes (tenant_id, name, content) VALUES ('t', 'a', 'some text')",
		);
		await expectToBeFound("queue", {
			spoil:
				"UPDATE rem_embedding_queue SET state = 'dead', reason = 'the provider refuses it'",
			mend: "DELETE FROM rem_embedding_queue",
			says: {
				state: "warning",
				found: "1 texts are dead-lettered (1 × the provider refuses it)",
				remedy: "rem embeddings retry",
			},
		});
	});
});

describe.skipIf(engine === "embedded")("of the server, the doctor", () => {
	test("finds a pool larger than what the database takes", async () => {
		const { url, drop } = await createDatabase();
		onTestFinished(drop);
		const service = await connect(url, { models: [], poolSize: 8 });
		const name = new URL(url).pathname.slice(1);
		await service.execute(`ALTER DATABASE ${name} CONNECTION LIMIT 5`);
		expect(await checksOf("pool", service)).toMatchObject([
			{
				state: "warning",
				found: expect.stringContaining("up to 8 connections of 5"),
				remedy: expect.stringContaining("POSTGRES__POOL_SIZE"),
			},
		]);
	});

	test("finds a superuser, and one who bypasses row level security", async () => {
		expect(await checksOf("tenancy")).toMatchObject([
			{ state: "warning", found: expect.stringContaining("is a superuser") },
		]);
		const role = `rem_doctor_${process.pid}_${Date.now()}`;
		await db.service.execute(`CREATE ROLE ${role} LOGIN BYPASSRLS PASSWORD 'x';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}; ${bucketGrants(role)}`);
		const asRole = new URL(db.url);
		asRole.username = role;
		asRole.password = "x";
		const service = await connect(asRole.href, { models: [Note] });
		onTestFinished(async () => {
			await service.close();
			await db.service.execute(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
		});
		expect(await checksOf("tenancy", service)).toMatchObject([
			{ state: "warning", found: `role "${role}" has BYPASSRLS` },
		]);
		await db.service.execute(`ALTER ROLE ${role} NOBYPASSRLS`);
		expect(await checksOf("tenancy", service)).toMatchObject([{ state: "ok" }]);
	});

	test("says what a role may not look at", async () => {
		const role = `rem_doctor_${process.pid}_${Date.now()}`;
		await db.service.execute(`CREATE ROLE ${role} LOGIN PASSWORD 'x';
GRANT SELECT ON rem_migrations, kv_state, rem_embedding_models TO ${role}; ${bucketGrants(role)}`);
		const asRole = new URL(db.url);
		asRole.username = role;
		asRole.password = "x";
		const service = await connect(asRole.href, { models: [Note] });
		onTestFinished(async () => {
			await service.close();
			await db.service.execute(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
		});
		expect(await checksOf("queue", service)).toMatchObject([
			{
				state: "warning",
				found: expect.stringContaining("not looked at"),
				remedy: "rem doctor as the tables' owner",
			},
		]);
	});

	test("finds a cache that autovacuum passes over", () =>
		expectToBeFound("autovacuum", {
			spoil: "ALTER TABLE kv_store SET (autovacuum_enabled = false)",
			mend: "ALTER TABLE kv_store RESET (autovacuum_enabled)",
			says: { state: "warning", remedy: "RESET (autovacuum_enabled)" },
		}));

	test("finds a subscription that is disabled", () =>
		expectToBeFound("subscriptions", {
			spoil:
				"CREATE SUBSCRIPTION rem_doctor CONNECTION 'dbname=none' PUBLICATION none WITH (connect = false)",
			mend: "ALTER SUBSCRIPTION rem_doctor SET (slot_name = NONE); DROP SUBSCRIPTION rem_doctor",
			says: { state: "warning", found: "rem_doctor", remedy: "ENABLE" },
		}));
});
