import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { whereSql } from "../../src/filters/where.ts";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { matchOf } from "../../src/query/fuzzy-match.ts";
import { queryOf } from "../../src/query/fuzzy-request.ts";
import { fuzzySql, securedFuzzySql } from "../../src/query/fuzzy-sql.ts";
import { compile, ident, type Sql, sql } from "../../src/sql.ts";
import { coreOf, engine, useService } from "../support/engine.ts";
import { login } from "../support/row-security.ts";

const Note = defineEntity(
	"notes",
	{ title: z.string(), about: z.string() },
	{ entityKeyField: "title" },
);
const models = [Note] as const;
const db = useService({ models });
const tenantId = "t1";
const schemaOf = () => coreOf(db.service, tenantId).settings.schema;

// The embedded database has one role, and that a superuser: policies apply to no role there.
describe.runIf(engine === "server")("with row level security", () => {
	let account: Awaited<ReturnType<typeof login>>;
	let app: PostgresService<typeof models>;
	/** A superuser's connection that continues as the application, and receives every plan. */
	let client: pg.Client;
	let plans: string[] = [];

	beforeAll(async () => {
		account = await login(db as never, models, "rem_app");
		await db.service.execute(`INSERT INTO notes (tenant_id, title, about, metadata, graph_edges)
SELECT 't' || n % 4, 'note of ' || md5(n::text), '', jsonb_build_object('n', n),
  jsonb_build_array(jsonb_build_object('dst', 'target ' || n, 'rel_type', 'r', 'weight', 0.5, 'properties', '{}'::jsonb, 'created_at', now()))
FROM generate_series(1, 20000) AS n`);
		await db.service.batchUpsert({
			tableName: "notes",
			tenantId,
			entities: [{ title: "长期记忆系统", about: "" }],
			generateEmbeddings: false,
		});
		const { indexer } = db.service;
		await indexer.repair({ missing: true });
		await indexer.drain();
		await db.service.execute("ANALYZE notes; ANALYZE kv_store");
		app = await PostgresService.connect({
			connectionString: account.url,
			models,
			poolSize: 1,
		});
		client = new pg.Client({ connectionString: db.url });
		await client.connect();
		client.on("notice", ({ message = "" }) => plans.push(message));
		await client.query(`LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET client_min_messages = log;
SET ROLE rem_app;
SET rem.tenant_id = '${tenantId}'`);
	});

	afterAll(async () => {
		await client?.end();
		await app?.close();
		await account?.drop();
	});

	/** The plans of the statement and of those in the functions that it calls. */
	async function plansOf(statement: Sql) {
		const { text, values } = compile(statement);
		plans = [];
		const { rows } = await client.query(text, [...values]);
		return { rows, plan: plans.join("\n") };
	}

	const fuzzy = { tenantId, query: `note of ${"c4ca4238a0b923820dcc"}` };
	const found = (where: object, hasRowSecurity: boolean) =>
		plansOf(sql`SELECT r.id FROM ${ident(schemaOf(), "notes")} AS r WHERE r.tenant_id = ${tenantId} AND r.deleted_at IS NULL
AND ${whereSql({ schema: schemaOf(), entity: Note, hasRowSecurity }, where as never, "r")}`);

	test.each(["key", "word", "content"] as const)(
		"FUZZY by %s uses its index",
		async (mode) => {
			const index = mode === "content" ? "kv_store_content" : "kv_store_fuzzy";
			const request = { ...fuzzy, mode, threshold: 0.5 };
			const match = matchOf(queryOf(request), {
				schema: schemaOf(),
				sample: undefined,
			});
			const held = await plansOf(securedFuzzySql(schemaOf(), request, match));
			expect(held.plan).toContain(`Bitmap Index Scan on ${index}`);
			expect(held.plan).toMatch(/Index Cond: .* %>? /);
			// Without the function only the tenant is looked for, so this test can fail.
			const plain = await plansOf(
				fuzzySql(ident(schemaOf(), "kv_store"), request, match),
			);
			expect(plain.plan).not.toMatch(/Index Cond: .* %>? /);
			expect(held.rows).toEqual(plain.rows);
		},
	);

	test.each(["word", "content"] as const)(
		"FUZZY by %s uses the index of letters without spaces",
		async (mode) => {
			const index =
				mode === "content" ? "kv_store_content_pairs" : "kv_store_key_pairs";
			const request = { tenantId, query: "记忆", mode };
			const match = matchOf(queryOf(request), {
				schema: schemaOf(),
				sample: undefined,
			});
			const held = await plansOf(securedFuzzySql(schemaOf(), request, match));
			expect(held.plan).toContain(`Bitmap Index Scan on ${index}`);
			expect(held.rows).toMatchObject(
				mode === "word" ? [{ entity_key: "长期记忆系统" }] : [],
			);
		},
	);

	test("FUZZY that reads some of the names in their order reads the tenant's only", async () => {
		const hits = await app.fuzzySearch({ query: "n", tenantId, limit: 5 });
		expect(hits).toHaveLength(5);
		expect(hits.bounded).toBeDefined();
		const { rows } = await db.service.execute<{ tenants: string }>(
			`SELECT string_agg(DISTINCT tenant_id, ',') AS tenants FROM notes WHERE id IN (${hits.map(({ entityId }) => `'${entityId}'`).join(", ")})`,
		);
		expect(rows).toEqual([{ tenants: tenantId }]);
	});

	test.each<[string, object, string]>([
		[
			"what metadata contains",
			{ metadata: { contains: { n: 1 } } },
			"gin_notes__metadata",
		],
		[
			"a path into metadata",
			{ metadata: { path: ["n"], eq: 1 } },
			"gin_notes__metadata",
		],
		[
			"what edges contain",
			{ graphEdges: { contains: [{ dst: "target 1" }] } },
			"gin_notes__graph_edges",
		],
	])("a filter on %s uses its index", async (_, where, index) => {
		const held = await found(where, true);
		expect(held.rows).toHaveLength(1);
		expect(held.plan).toContain(`Bitmap Index Scan on ${index}`);
		const plain = await found(where, false);
		expect(plain.rows).toEqual(held.rows);
		expect(plain.plan).not.toContain(index);
	});

	test("so do a query's condition, a traversal against the edges, and the calls themselves", async () => {
		const scans = async (index: string) => {
			// On the only connection: what it counted, others see.
			await app.execute("SELECT pg_stat_force_next_flush()");
			const { rows } = await db.service.execute<{ scans: number }>(
				"SELECT idx_scan::int AS scans FROM pg_stat_user_indexes WHERE indexrelname = $1",
				[index],
			);
			return rows[0]?.scans ?? 0;
		};
		const calls: [string, () => Promise<unknown>][] = [
			["kv_store_fuzzy", () => app.fuzzySearch({ ...fuzzy, threshold: 0.5 })],
			[
				"gin_notes__metadata",
				() =>
					app.query(`SQL notes WHERE metadata @> '{"n": 1}' LIMIT 5`, {
						tenantId,
					}),
			],
			[
				"gin_notes__metadata",
				() =>
					app
						.repository(Note)
						.find({ tenantId, metadata: { contains: { n: 1 } } }),
			],
			[
				"gin_notes__edge_keys",
				() =>
					app.traverse({
						from: "note of c4ca4238a0b923820dcc509a6f75849b",
						direction: "in",
						tenantId,
					}),
			],
		];
		for (const [index, call] of calls) {
			const before = await scans(index);
			await call();
			expect(await scans(index), index).toBeGreaterThan(before);
		}
	});
});
