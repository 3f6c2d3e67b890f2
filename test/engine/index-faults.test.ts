import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService, RemError } from "../../src/index.ts";
import { openSnapshot, openWriter } from "../support/blocker.ts";
import { engine, useService } from "../support/engine.ts";
import { bundleUrl } from "../support/library-bundle.ts";
import { inSchemas, schemaOf, schemas } from "../support/schemas.ts";

// Everything that can happen to a build while others use the database; the
// embedded one has no others.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const logged: string[] = [];
const note = (_: unknown, message: string) => void logged.push(message);
const options = {
	models: [Page],
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false, retryMs: 10 },
	logger: { debug() {}, info: note, warn: note, error: note },
} as const;
const hnsw = "hnsw_pages__content__local__lexical-v1__8";
const hnswRequest = { tableName: "pages", indexType: "hnsw" } as const;

describe.runIf(engine === "server")("a build", () => {
	const db = useService(options);

	beforeEach(async () => {
		logged.length = 0;
		await db.service.batchUpsert({
			tableName: "pages",
			entities: Array.from({ length: 20 }, (_, at) => ({
				name: `page ${at}`,
				content: `page number ${at} of the book`,
			})),
		});
		await db.service.execute(`DROP INDEX IF EXISTS "${hnsw}"`);
	});

	const another = () =>
		PostgresService.connect({ ...options, connectionString: db.url });

	/** Of several buckets, that which is being built, or that of the tenant. */
	async function status(indexName = hnsw, tenantId = "default") {
		const { indexes } = await db.service.indexer.status();
		const all = indexes.filter((index) => index.indexName === indexName);
		const isOfTenant = ({ bucket = schemaOf(tenantId) }) =>
			bucket === schemaOf(tenantId);
		return all.find(({ phase }) => phase !== null) ?? all.find(isOfTenant);
	}

	async function untilWaiting(phase: string) {
		await expect
			.poll(async () => (await status())?.phase ?? "")
			.toContain(phase);
		return status();
	}

	async function builderPid(): Promise<number> {
		const { rows } = await db.service.execute<{ pid: number }>(
			"SELECT pid FROM pg_stat_progress_create_index WHERE datname = current_database()",
		);
		return rows[0]?.pid as number;
	}

	async function expectWhole() {
		const { indexes } = await db.service.indexer.status();
		expect(
			indexes
				.filter(({ indexName }) => indexName === hnsw)
				.map(({ state }) => state),
		).toEqual(schemas.map(() => "valid"));
		const { rows } = await db.service.execute(
			`SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid
       WHERE NOT indisvalid OR relname ~ '(__next|__old|_cc(new|old)[0-9]*)$'`,
		);
		expect(rows).toEqual([]);
	}

	test("reports which process it waits for, and its progress", async () => {
		const blocker = await openWriter(db.url, "embeddings_pages");
		const build = db.service.createIndexConcurrently(hnswRequest);
		const waiting = await untilWaiting("waiting for writers before build");
		expect(waiting).toMatchObject({
			state: "building",
			usable: false,
			attempts: 1,
			waitsFor: {
				processId: blocker.processId,
				application: "blocker",
				state: "idle in transaction",
			},
		});
		await blocker.release();
		await build;
		await expectWhole();
	});

	test.each(["pg_cancel_backend", "pg_terminate_backend"])(
		"ended by %s is tried again",
		async (end) => {
			const blocker = await openSnapshot(db.url);
			const build = db.service.createIndexConcurrently(hnswRequest);
			await untilWaiting("waiting for old snapshots");
			await db.service.execute(`SELECT ${end}($1)`, [await builderPid()]);
			await expect.poll(() => logged.join("\n")).toContain("next attempt");
			await blocker.release();
			await build;
			await expectWhole();
		},
	);

	test("that a transaction outlasts fails at last, and can be repaired", async () => {
		const impatient = await PostgresService.connect({
			...options,
			connectionString: db.url,
			backgroundIndex: { ...options.backgroundIndex, lockTimeoutMs: 50 },
		});
		const blocker = await openWriter(db.url, "embeddings_pages");
		const error = await impatient
			.createIndexConcurrently(hnswRequest)
			.catch((error: unknown) => error);
		expect(error).toBeInstanceOf(RemError);
		expect(error).toMatchObject({ code: "INDEX_FAILED", sqlState: "55P03" });
		expect((error as RemError).message).toContain("after 4 attempts");
		expect((error as RemError).hint).toContain(
			"BACKGROUND_INDEX__LOCK_TIMEOUT",
		);
		expect(await status()).toMatchObject({
			state: "failed",
			sqlState: "55P03",
			attempts: 4,
		});
		await blocker.release();
		expect(await impatient.indexer.repair()).toEqual(inSchemas(hnsw));
		await impatient.indexer.drain();
		await impatient.close();
		await expectWhole();
	});

	test("that deadlocks with a command of the user's, more often than it has attempts, is built", async () => {
		const user = new pg.Client({ connectionString: db.url });
		await user.connect();
		const building = db.service.createIndexConcurrently(hnswRequest);
		building.catch(() => {});
		try {
			// The process that checks for a deadlock first is its victim: not this one.
			await user.query("SET deadlock_timeout = '10min'");
			let deadlocks = 0;
			for (let round = 0; round < 12 && deadlocks < 5; round++) {
				await user.query(
					"BEGIN; LOCK TABLE embeddings_pages IN ROW EXCLUSIVE MODE",
				);
				await untilWaiting("waiting for writers");
				const seen = logged.length;
				await user.query("ANALYZE embeddings_pages");
				await user.query("COMMIT");
				await expect
					.poll(() => logged.slice(seen).join())
					.toMatch(/40P01|is built/);
				if (logged.slice(seen).join().includes("40P01")) deadlocks++;
			}
			expect(deadlocks).toBe(5);
		} finally {
			await user.end();
		}
		await building;
		expect(await status()).toMatchObject({ state: "valid", attempts: 0 });
	});

	test("beside ANALYZE and VACUUM without a pause is built", async () => {
		const stop = new AbortController();
		const loops = ["ANALYZE embeddings_pages", "VACUUM embeddings_pages"].map(
			async (command) => {
				const user = new pg.Client({ connectionString: db.url });
				await user.connect();
				while (!stop.signal.aborted)
					await user.query(command).catch((error: { code?: string }) => {
						// PostgreSQL may choose either of the two.
						if (error.code !== "40P01") throw error;
					});
				await user.end();
			},
		);
		try {
			for (let round = 0; round < 5; round++) {
				await db.service.execute(`DROP INDEX IF EXISTS "${hnsw}"`);
				await db.service.createIndexConcurrently(hnswRequest);
			}
		} finally {
			stop.abort();
			await Promise.all(loops);
		}
		await expectWhole();
	});

	test("of what was loaded just before is not queued after drain()", async () => {
		const service = await PostgresService.connect({
			...options,
			connectionString: db.url,
			backgroundIndex: { minRows: 10, retryMs: 10 },
		});
		try {
			await service.batchUpsert({
				tableName: "pages",
				tenantId: "loaded",
				entities: Array.from({ length: 50 }, (_, at) => ({
					name: `loaded ${at}`,
					content: `loaded ${at}`,
				})),
			});
			await service.indexer.drain();
			expect(await status(hnsw, "loaded")).toMatchObject({ state: "valid" });
			const queue = async () => {
				const { rows } = await db.service.execute(
					"SELECT index_name, finished_at FROM rem_index_builds ORDER BY 1",
				);
				return rows;
			};
			const before = await queue();
			await sleep(3000);
			expect(await queue()).toEqual(before);
			expect((await service.indexer.status()).running).toBe(false);
		} finally {
			await service.close();
		}
	});

	test("by two processes, of the same and of other indexes, deadlocks nowhere", async () => {
		const services = await Promise.all([another(), another(), another()]);
		const types = ["hnsw", "gin", "trgm", "btree"] as const;
		await Promise.all(
			services.flatMap((service) =>
				types.map((indexType) =>
					service.createIndexConcurrently({ tableName: "pages", indexType }),
				),
			),
		);
		await Promise.all(services.map((service) => service.close()));
		expect(logged.filter((line) => !line.includes("is built"))).toEqual([]);
		await expectWhole();
	});

	test("runs beside that of another table, one on each", async () => {
		const gin = "gin_pages__metadata";
		const service = await another();
		await service.execute(`DROP INDEX IF EXISTS "${gin}"`);
		const blockers = [
			await openWriter(db.url, "embeddings_pages"),
			await openWriter(db.url, "pages"),
		];
		const builds = [
			service.createIndexConcurrently(hnswRequest),
			service.createIndexConcurrently({ tableName: "pages", indexType: "gin" }),
		];
		const running = async () => {
			const { rows } = await db.service.execute<{ name: string }>(
				"SELECT relname AS name FROM pg_stat_progress_create_index JOIN pg_class ON oid = relid WHERE datname = current_database()",
			);
			return rows.map(({ name }) => name).sort();
		};
		await expect.poll(running).toEqual(["embeddings_pages", "pages"]);
		for (const blocker of blockers) await blocker.release();
		await Promise.all(builds);
		await service.close();
		await expectWhole();
		expect((await status(gin))?.state).toBe("valid");
	});

	test("that psql has begun is not touched, only waited for", async () => {
		const table = `${schemaOf()}.embeddings_pages`;
		const index = `${schemaOf()}."${hnsw}"`;
		const blocker = await openWriter(db.url, table);
		const psql = new pg.Client({ connectionString: db.url });
		await psql.connect();
		const foreign = psql.query(
			`CREATE INDEX CONCURRENTLY "${hnsw}" ON ${table} USING hnsw ((embedding::vector(8)) vector_cosine_ops)
       WITH (m = 16, ef_construction = 64) WHERE field_name = 'content' AND provider = 'local' AND model = 'lexical-v1' AND dimensions = 8`,
		);
		await untilWaiting("waiting for writers");
		const { rows } = await db.service.execute<{ oid: number }>(
			`SELECT '${index}'::regclass::oid AS oid`,
		);
		const build = db.service.createIndexConcurrently(hnswRequest);
		await expect
			.poll(async () => (await status())?.nextAttemptAt !== null)
			.toBe(true);
		await blocker.release();
		await foreign;
		await psql.end();
		await build;
		const after = await db.service.execute(
			`SELECT '${index}'::regclass::oid AS oid`,
		);
		expect(after.rows).toEqual(rows);
		await expectWhole();
	});

	test("after IF NOT EXISTS passed over an invalid index makes it whole", async () => {
		const cut = await openSnapshot(db.url);
		const psql = new pg.Client({ connectionString: db.url });
		await psql.connect();
		const statement = `CREATE INDEX CONCURRENTLY IF NOT EXISTS "${hnsw}" ON embeddings_pages USING hnsw ((embedding::vector(8)) vector_cosine_ops)
       WITH (m = 16, ef_construction = 64) WHERE field_name = 'content' AND provider = 'local' AND model = 'lexical-v1' AND dimensions = 8`;
		const foreign = psql.query(statement).catch(() => {});
		await untilWaiting("waiting for old snapshots");
		await db.service.execute("SELECT pg_cancel_backend($1)", [
			await builderPid(),
		]);
		await foreign;
		await cut.release();
		await psql.query(statement);
		await psql.end();
		expect(await status()).toMatchObject({ state: "invalid", usable: false });
		await db.service.indexer.repair();
		await db.service.indexer.drain();
		await expectWhole();
	});

	test("does not stop searches, before, during or after it", async () => {
		const search = async () => {
			const hits = await db.service.vectorSearch({
				tableName: "pages",
				queryText: "page number 7",
				limit: 5,
			});
			return hits.map(({ name }) => name);
		};
		const before = await search();
		expect(before).toHaveLength(5);
		const blocker = await openSnapshot(db.url);
		const build = db.service.createIndexConcurrently(hnswRequest);
		await untilWaiting("waiting for old snapshots");
		expect(await search()).toEqual(before);
		await blocker.release();
		await build;
		expect((await search()).sort()).toEqual([...before].sort());
	});

	test("without parallel workers follows one that they cost the memory", async () => {
		await db.service.execute(`
CREATE FUNCTION no_shared_memory() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('max_parallel_maintenance_workers') <> '0' THEN
    RAISE EXCEPTION 'could not resize shared memory segment' USING ERRCODE = '53100';
  END IF;
END $$;
CREATE EVENT TRIGGER no_shared_memory ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION no_shared_memory()`);
		try {
			await db.service.createIndexConcurrently(hnswRequest);
		} finally {
			await db.service.execute(
				"DROP EVENT TRIGGER no_shared_memory; DROP FUNCTION no_shared_memory()",
			);
		}
		expect(logged[0]).toContain("SQLSTATE 53100");
		await expectWhole();
	});

	test("that stop() does not wait for is finished by the server", async () => {
		const service = await another();
		const blocker = await openWriter(db.url, "embeddings_pages");
		const build = service
			.createIndexConcurrently(hnswRequest)
			.catch(({ code }) => code);
		await untilWaiting("waiting for writers before build");
		await service.indexer.stop({ waitMs: 0 });
		expect(await build).toBe("CANCELLED");
		await service.close();
		expect(await status()).toMatchObject({ state: "building" });
		await blocker.release();
		await db.service.indexer.drain();
		await expectWhole();
	});

	test.each(["ends by itself", "is killed"])(
		"whose process %s is finished by the server, and found by the next",
		async (how) => {
			const blocker = await openWriter(db.url, "embeddings_pages");
			const child = spawn(
				process.execPath,
				["--input-type=module", "-e", await builderProcess()],
				{
					env: { ...process.env, DATABASE_URL: db.url, HOW: how },
					stdio: ["ignore", "ignore", "inherit"],
				},
			);
			const exit = new Promise((resolve) =>
				child.on("exit", (code, signal) => resolve(signal ?? code)),
			);
			await untilWaiting("waiting for writers before build");
			if (how === "is killed") child.kill("SIGKILL");
			expect(await exit).toBe(how === "is killed" ? "SIGKILL" : 0);
			expect(await status()).toMatchObject({ state: "building" });
			await blocker.release();
			await db.service.indexer.drain();
			await expectWhole();
		},
	);

	test("without its extension fails at once, naming it", async () => {
		await db.service.execute("DROP EXTENSION pg_trgm CASCADE");
		const build = db.service.createIndexConcurrently({
			tableName: "kv_store",
			indexType: "trgm",
		});
		await expect(build).rejects.toMatchObject({
			code: "INDEX_FAILED",
			sqlState: "42704",
			message: expect.stringMatching(
				/"kv_store_content".*"gin_trgm_ops" does not exist/,
			),
			hint: expect.stringContaining("extension"),
		});
		expect(await status("kv_store_content")).toMatchObject({
			state: "failed",
			attempts: 1,
		});
	});

	test("on a read-only server is refused, and status still answers", async () => {
		await db.service.execute(
			`ALTER ROLE current_user IN DATABASE "${new URL(db.url).pathname.slice(1)}" SET default_transaction_read_only = on`,
		);
		const service = await another();
		await expect(
			service.createIndexConcurrently(hnswRequest),
		).rejects.toMatchObject({
			code: "INDEX_FAILED",
			sqlState: "25006",
			hint: expect.stringContaining("primary"),
		});
		const { indexes } = await service.indexer.status();
		expect(indexes.map(({ indexName }) => indexName)).toContain(hnsw);
		await service.close();
	});
});

/** Starts a build and does not wait for it. */
const builderProcess = async () => `
import * as z from "zod";
import { PostgresService, defineEntity } from "${await bundleUrl("src/index.ts")}";
const Page = defineEntity("pages", { name: z.string(), content: z.string() }, { entityKeyField: "name" });
const service = await PostgresService.connect({ models: [Page], embedding: { provider: "local", dimensions: 8 } });
await service.indexer.queueIndex({ tableName: "pages", indexType: "hnsw" });
const isBuilding = async () => (await service.indexer.status()).indexes.some(({ phase }) => phase !== null);
while (!(await isBuilding())) await new Promise((resolve) => setTimeout(resolve, 50));
if (process.env.HOW === "is killed") setInterval(() => {}, 1000);
`;
