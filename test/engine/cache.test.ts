import { afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Handle, PostgresService } from "../../src/index.ts";
import { rebuildKv } from "../../src/kv/rebuild.ts";
import { cachedSql } from "../../src/query/cached-read.ts";
import { compile, ident, sql } from "../../src/sql.ts";
import { engine, useService } from "../support/engine.ts";
import { schemaOf, schemas } from "../support/schemas.ts";

const Page = defineEntity(
	"pages",
	{
		name: z.string(),
		summary: z.string().optional(),
		content: z.string().optional(),
	},
	{ entityKeyField: "name" },
);
const Chunk = defineEntity(
	"chunks",
	{
		uri: z.string(),
		ordinal: z.int().optional(),
		notes: z.string().optional(),
	},
	{ entityKeyField: ["uri", "ordinal"] },
);
const Common = defineEntity(
	"common",
	{ name: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);

const db = useService({
	models: [Page, Chunk, Common],
	embedding: { provider: "local", dimensions: 8 },
});

const run = (text: string, values: string[] = []) =>
	db.service.execute(text, values);

/** The table, for a transaction about a tenant. */
const pagesOf = (tenantId: string) => ident(schemaOf(tenantId), "pages");

const keysOf = async (tenantId: string, ...entityKeys: string[]) => {
	const hits = await db.service.lookupEntities({ entityKeys, tenantId });
	return hits.map(({ entityKey }) => entityKey);
};

/** What stands in the cache and in no source, or otherwise there; or is missing. */
async function differences(): Promise<unknown[]> {
	const columns =
		"tenant_id, entity_key, normalized_key, entity_type, entity_id, user_id, content_summary, metadata, graph_edges, created_at";
	const sources = ["pages", "chunks", "common"]
		.map((name) => `SELECT ${columns} FROM kv_source_${name}`)
		.join(" UNION ALL ");
	const { rows } = await db.service.execute(
		`(SELECT 'cache' AS only_in, * FROM (SELECT ${columns} FROM kv_store EXCEPT ALL (${sources})) c)
UNION ALL (SELECT 'source', * FROM ((${sources}) EXCEPT ALL SELECT ${columns} FROM kv_store) s)`,
	);
	return rows;
}

afterEach(async () => {
	expect(await differences()).toEqual([]);
});

describe("what another program writes is found at once:", () => {
	test("an INSERT, an UPDATE of what is shown, a rename, a DELETE", async () => {
		const tenantId = "foreign";
		await run(
			"INSERT INTO pages (tenant_id, name, content) VALUES ($1, 'By Hand', 'text'), ($1, 'Other', NULL)",
			[tenantId],
		);
		const lookup = { entityKey: "by-hand", tenantId };
		expect(await db.service.lookupEntity(lookup)).toMatchObject({
			contentSummary: "text",
			metadata: {},
		});
		await run(
			`UPDATE pages SET summary = 'first', metadata = '{"a":1}', graph_edges = '[{"dst":"x","rel_type":"y"}]', user_id = 'u' WHERE tenant_id = $1 AND name = 'By Hand'`,
			[tenantId],
		);
		expect(await db.service.lookupEntity(lookup)).toMatchObject({
			contentSummary: "first",
			metadata: { a: 1 },
			graphEdges: [{ dst: "x", rel_type: "y" }],
			userId: "u",
		});
		await run(
			"UPDATE pages SET name = name || ' renamed' WHERE tenant_id = $1",
			[tenantId],
		);
		expect(
			await keysOf(tenantId, "by hand", "by hand renamed", "other renamed"),
		).toEqual(["By Hand renamed", "Other renamed"]);
		const fuzzy = await db.service.fuzzySearch({
			query: "by hand renamed",
			tenantId,
		});
		expect(fuzzy[0]).toMatchObject({ entityKey: "By Hand renamed", score: 1 });
		await run("DELETE FROM pages WHERE tenant_id = $1 AND name LIKE 'By%'", [
			tenantId,
		]);
		expect(await keysOf(tenantId, "by hand renamed")).toEqual([]);
	});

	test("two rows that swap their names", async () => {
		const tenantId = "swap";
		await run(
			"INSERT INTO pages (tenant_id, name, content) VALUES ($1, 'a', 'was a'), ($1, 'b', 'was b')",
			[tenantId],
		);
		await db.service.transaction(async (tx) => {
			for (const [from, to] of [
				["a", "c"],
				["b", "a"],
				["c", "b"],
			] as const)
				await tx.query(
					sql`UPDATE ${pagesOf(tenantId)} SET name = ${to} WHERE tenant_id = ${tenantId} AND name = ${from}`,
				);
		});
		expect(
			await db.service.lookupEntity({ entityKey: "a", tenantId }),
		).toMatchObject({ contentSummary: "was b" });
	});

	test("an upsert, a MERGE, a data-modifying WITH, a savepoint rolled back", async () => {
		const tenantId = "ways";
		await run(
			"INSERT INTO pages (tenant_id, name) VALUES ($1, 'a') ON CONFLICT (tenant_id, user_id, name) WHERE deleted_at IS NULL DO UPDATE SET summary = 'no'",
			[tenantId],
		);
		await run(
			"INSERT INTO pages (tenant_id, name) VALUES ($1, 'a') ON CONFLICT (tenant_id, user_id, name) WHERE deleted_at IS NULL DO UPDATE SET summary = 'yes'",
			[tenantId],
		);
		await run(
			"MERGE INTO pages AS t USING (VALUES ('a'), ('m')) AS s (name) ON t.name = s.name AND t.tenant_id = $1 WHEN MATCHED THEN UPDATE SET name = 'a2' WHEN NOT MATCHED THEN INSERT (tenant_id, name) VALUES ($1, s.name)",
			[tenantId],
		);
		await run(
			"WITH gone AS (DELETE FROM pages WHERE tenant_id = $1 AND name = 'm' RETURNING *) INSERT INTO pages (tenant_id, name) SELECT tenant_id, name || '2' FROM gone",
			[tenantId],
		);
		await db.service.transaction(async (tx) => {
			await tx
				.transaction(async (inner) => {
					await inner.query(
						sql`DELETE FROM ${pagesOf(tenantId)} WHERE tenant_id = ${tenantId}`,
					);
					throw new Error("no");
				})
				.catch(() => {});
		});
		expect(await keysOf(tenantId, "a", "a2", "m", "m2")).toEqual(["a2", "m2"]);
	});

	test("a TRUNCATE, and only of that table", async () => {
		const tenantId = "truncated";
		await run("INSERT INTO pages (tenant_id, name) VALUES ($1, 'page')", [
			tenantId,
		]);
		await run(
			"INSERT INTO chunks (tenant_id, uri, ordinal) VALUES ($1, 'chunk', 1)",
			[tenantId],
		);
		await run("TRUNCATE pages CASCADE");
		expect(await keysOf(tenantId, "page", "chunk#1")).toEqual(["chunk#1"]);
	});

	test("writes of a restore or a replica, for which ordinary triggers do not fire", async () => {
		const tenantId = "replica role";
		await db.service.transaction(async (tx) => {
			const pages = `${schemaOf(tenantId)}.pages`;
			await tx.script(`SET LOCAL session_replication_role = replica;
INSERT INTO ${pages} (tenant_id, name) VALUES ('${tenantId}', 'a'), ('${tenantId}', 'b');
UPDATE ${pages} SET name = 'a2' WHERE tenant_id = '${tenantId}' AND name = 'a';
DELETE FROM ${pages} WHERE tenant_id = '${tenantId}' AND name = 'b'`);
		});
		expect(await keysOf(tenantId, "a", "a2", "b")).toEqual(["a2"]);
	});

	test("a key that gains and loses a part", async () => {
		const tenantId = "parts";
		await run("INSERT INTO chunks (tenant_id, uri) VALUES ($1, 'u')", [
			tenantId,
		]);
		expect(await keysOf(tenantId, "u", "u#7")).toEqual([]);
		await run("UPDATE chunks SET ordinal = 7 WHERE tenant_id = $1", [tenantId]);
		expect(await keysOf(tenantId, "u#7")).toEqual(["u#7"]);
		await run("UPDATE chunks SET ordinal = NULL WHERE tenant_id = $1", [
			tenantId,
		]);
		expect(await keysOf(tenantId, "u#7")).toEqual([]);
	});

	test("a row whose id changes", async () => {
		const tenantId = "new id";
		const id = crypto.randomUUID();
		await run("INSERT INTO pages (tenant_id, name) VALUES ($1, 'a')", [
			tenantId,
		]);
		await run("UPDATE pages SET id = $2 WHERE tenant_id = $1", [tenantId, id]);
		const hit = await db.service.lookupEntity({ entityKey: "a", tenantId });
		expect(hit?.entityId).toBe(id);
	});

	test("a key that is too long, by refusing it", async () => {
		await expect(
			run("INSERT INTO pages (tenant_id, name) VALUES ('long', $1)", [
				"k".repeat(256),
			]),
		).rejects.toMatchObject({ sqlState: "23514" });
	});

	test("even past a temporary table that is called kv_store", async () => {
		const tenantId = "temp";
		await db.service.transaction(async (tx) => {
			await tx.script(
				`CREATE TEMP TABLE kv_store (LIKE ${schemaOf(tenantId)}.kv_store) ON COMMIT DROP`,
			);
			await tx.query(
				sql`INSERT INTO ${pagesOf(tenantId)} (tenant_id, name) VALUES (${tenantId}, 'a')`,
			);
		});
		expect(await keysOf(tenantId, "a")).toEqual(["a"]);
	});

	test("a REPEATABLE READ transaction's rows, and its TRUNCATE by refusing it", async () => {
		const tenantId = "snapshot";
		const isolation = { isolation: "repeatable read" } as const;
		await db.service.transaction(async (tx) => {
			await tx.query(
				sql`INSERT INTO ${pagesOf(tenantId)} (tenant_id, name) VALUES (${tenantId}, 'a'), (${tenantId}, 'b')`,
			);
			await tx.query(
				sql`DELETE FROM ${pagesOf(tenantId)} WHERE tenant_id = ${tenantId} AND name = 'a'`,
			);
		}, isolation);
		expect(await keysOf(tenantId, "a", "b")).toEqual(["b"]);
		await expect(
			db.service.transaction(
				(tx) => tx.script(`TRUNCATE ${schemaOf(tenantId)}.pages CASCADE`),
				isolation,
			),
		).rejects.toMatchObject({ sqlState: "0A000" });
	});
});

test("rows that do not change what is cached are not rewritten in it", async () => {
	const tenantId = "quiet";
	const upsert = (entity: object) =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "a", ...entity }],
			tenantId,
		});
	await upsert({ summary: "s", content: "one" });
	const version = async () => {
		const { rows } = await run(
			"SELECT xmin::text AS version FROM kv_store WHERE tenant_id = $1",
			[tenantId],
		);
		return rows[0]?.version;
	};
	const before = await version();
	await upsert({ content: "two", tags: ["t"] });
	expect(await version()).toBe(before);
	await upsert({ metadata: { a: 1 } });
	expect(await version()).not.toBe(before);
});

describe("an emptied cache", () => {
	const tenantId = "emptied";

	beforeAll(async () => {
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [
				...Array.from({ length: 1500 }, (_, i) => ({
					name: `row ${i}`,
					summary: `summary ${i}`,
					...(i % 3 === 0 ? { userId: "u" } : {}),
				})),
				{
					name: "Sarah Chen",
					metadata: { a: 1 },
					graphEdges: [{ dst: "x", rel_type: "y" }],
				},
				{ name: "sarah-chen", userId: "u" },
			],
			tenantId,
			generateEmbeddings: false,
		});
		await db.service.batchUpsert({
			tableName: "common",
			entities: [{ name: "sarah chen" }],
		});
		await db.service.batchUpsert({
			tableName: "chunks",
			entities: [{ uri: "file", ordinal: 3, notes: "n" }],
			tenantId,
		});
	});

	const schema = schemaOf(tenantId);
	const empty = async () => {
		await run(`DELETE FROM ${schema}.kv_state`);
		await run(`DELETE FROM ${schema}.kv_store`);
	};

	async function answers() {
		const { service } = db;
		return Promise.all([
			service.lookupEntities({
				entityKeys: ["sarah chen", "row-7", "FILE#3", "missing"],
				tenantId,
			}),
			service.lookupEntities({
				entityKeys: ["sarah chen", "row 3"],
				tenantId,
				userId: "u",
			}),
			service.lookupEntities({
				entityKeys: ["sarah chen", "row 3"],
				tenantId,
				userId: null,
			}),
			service.lookupEntities({
				entityKeys: ["sarah chen"],
				tenantId,
				entityType: "common",
			}),
			service.lookupEntities({
				entityKeys: ["sarah chen", "row 1"],
				tenantId: "nobody",
			}),
			service.fuzzySearch({ query: "sara chen", tenantId, threshold: 0.2 }),
			service.fuzzySearch({
				query: "row 77",
				tenantId,
				threshold: 0.4,
				limit: 50,
			}),
			service.fuzzySearch({
				query: "row 77",
				tenantId,
				userId: "u",
				entityType: "pages",
			}),
		]);
	}

	test("answers the same from the primary tables, then is rebuilt", async () => {
		await db.service.kv.ensureReady();
		const expected = await answers();
		expect(expected[0].map(({ entityKey }) => entityKey)).toEqual([
			"sarah chen",
			"Sarah Chen",
			"sarah-chen",
			"row 7",
			"file#3",
		]);
		await empty();
		expect(await answers()).toEqual(expected);
		await db.service.kv.ensureReady();
		expect(await db.service.kv.status()).toMatchObject({
			ready: true,
			rebuilding: false,
		});
		expect(await answers()).toEqual(expected);
	});

	test("is rebuilt by a read alone", async () => {
		await empty();
		expect(await keysOf(tenantId, "row 9")).toEqual(["row 9"]);
		await expect
			.poll(async () => (await db.service.kv.status()).ready)
			.toBe(true);
	});

	test("is rebuilt once, however many reads find it so", async () => {
		await run("CREATE TABLE rebuilds (kind TEXT)");
		await db.service.execute(`
CREATE FUNCTION note_rebuild() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.rebuilds VALUES (NEW.kind); RETURN NULL; END $$;
CREATE TRIGGER note_rebuild AFTER INSERT ON kv_state FOR EACH ROW
  WHEN (starts_with(NEW.kind, 'rebuild:')) EXECUTE FUNCTION note_rebuild()`);
		try {
			await empty();
			const reads = Array.from({ length: 20 }, (_, at) => [
				keysOf(tenantId, `row ${at}`),
				db.service.fuzzySearch({ query: `row ${at}`, tenantId }),
			]);
			await Promise.all(reads.flat());
			await expect
				.poll(async () => (await db.service.kv.status()).ready)
				.toBe(true);
			const { rows } = await run("SELECT count(*)::int AS n FROM rebuilds");
			expect(rows).toEqual([{ n: 1 }]);
		} finally {
			await db.service.execute(
				"DROP FUNCTION note_rebuild CASCADE; DROP TABLE rebuilds",
			);
		}
	});

	// With buckets, by the first read of its bucket.
	test.runIf(engine === "server" && schemas.length === 1)(
		"is rebuilt by the next service that connects, without a read",
		async () => {
			await empty();
			const service = await PostgresService.connect({
				connectionString: db.url,
				models: [Page],
				embedding: { provider: "local", dimensions: 8 },
			});
			const isReady = async () => {
				const { rows } = await run(
					`SELECT EXISTS (SELECT FROM ${schema}.kv_state WHERE kind = 'ready') AS ready`,
				);
				return rows[0]?.ready;
			};
			await expect.poll(isReady).toBe(true);
			await service.close();
		},
	);

	test("takes what is written while it is empty and while it is rebuilt", async () => {
		await empty();
		await run(
			"INSERT INTO pages (tenant_id, name) VALUES ($1, 'written empty')",
			[tenantId],
		);
		await run(
			"UPDATE pages SET name = 'renamed empty' WHERE tenant_id = $1 AND name = 'row 11'",
			[tenantId],
		);
		expect(
			await keysOf(tenantId, "written empty", "renamed empty", "row 11"),
		).toEqual(["written empty", "renamed empty"]);
		const rebuilding = db.service.kv.rebuild();
		for (let i = 0; i < 20; i++) {
			await run(
				"UPDATE pages SET summary = 'during', name = name || '!' WHERE tenant_id = $1 AND name = $2",
				[tenantId, `row ${100 + i}`],
			);
			await run(
				"UPDATE pages SET deleted_at = now() WHERE tenant_id = $1 AND name = $2",
				[tenantId, `row ${200 + i}`],
			);
		}
		await rebuilding;
		expect(await keysOf(tenantId, "row 100!", "row 100", "row 200")).toEqual([
			"row 100!",
		]);
	});

	test("may be rebuilt by several at once", async () => {
		await empty();
		const { db: handle } = db.service.core;
		const [one, other, keys] = await Promise.all([
			rebuildKv(handle, schema),
			rebuildKv(handle, schema),
			keysOf(tenantId, "row 5"),
		]);
		expect((one?.entries ?? 0) + (other?.entries ?? 0)).toBeGreaterThan(1400);
		expect(keys).toEqual(["row 5"]);
		expect(await rebuildKv(handle, schema)).toEqual({ entries: 0 });
	});

	test("is noticed when only its file is another, as after a TRUNCATE of it", async () => {
		await run(`TRUNCATE ${schema}.kv_store`);
		expect(await db.service.kv.status()).toMatchObject({ ready: false });
		expect(await keysOf(tenantId, "row 5")).toEqual(["row 5"]);
		await db.service.kv.ensureReady();
	});

	test("emptied in the middle of a rebuild is not marked ready by it", async () => {
		await empty();
		const { db: real } = db.service.core;
		let truncations = 0;
		const truncating: Handle = {
			script: (text) => real.script(text),
			vectorOid: () => real.vectorOid(),
			transaction: (...given) => real.transaction(...given),
			query: async (...given) => {
				const [statement] = given;
				const { text } = "text" in statement ? statement : compile(statement);
				// Just before it would set the marker: the first time, the cache loses its rows.
				if (text.includes("'ready', token, filenode") && truncations++ === 0)
					await real.script(`TRUNCATE ${schema}.kv_store`);
				return real.query(...given);
			},
		};
		await rebuildKv(truncating, schema);
		expect(truncations).toBe(2);
		expect(await db.service.kv.status()).toMatchObject({ ready: true });
	});
});

test("a read checks the cache in its own statement", () => {
	const reader = { schema: "public", fallback: db.service.core.cacheFallback };
	const { text } = compile(
		cachedSql(reader, ({ from }) => sql`SELECT 1 FROM ${from} AS k`),
	);
	expect(text).toBe(`SELECT s.rem_ready, k.*
FROM (SELECT EXISTS (SELECT FROM "public"."kv_state" AS m
    WHERE m.kind = 'ready' AND m.filenode = pg_relation_filenode('"public"."kv_store"'::regclass)) AS rem_ready) AS s
LEFT JOIN LATERAL (SELECT TRUE AS rem_hit, m.* FROM (
SELECT 1 FROM "public"."kv_store" AS k
) AS m) AS k ON s.rem_ready`);
});

test.runIf(engine === "server")(
	"a writer never waits for a rebuild for long",
	async () => {
		await run("DELETE FROM kv_state");
		let rebuilding = true;
		const rebuildStarted = performance.now();
		const rebuild = db.service.kv.rebuild().finally(() => {
			rebuilding = false;
		});
		let longest = 0;
		while (rebuilding) {
			const started = performance.now();
			await run(
				"UPDATE pages SET summary = $2 WHERE tenant_id = $1 AND name = 'row 1400'",
				["emptied", String(started)],
			);
			longest = Math.max(longest, performance.now() - started);
		}
		await rebuild;
		// Of a machine that has other work, all takes longer.
		const wholeMs = performance.now() - rebuildStarted;
		expect(longest).toBeLessThan(Math.max(5000, 0.7 * wholeMs));
	},
);
