import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, expect, test } from "vitest";
import { PostgresService, Resource } from "../../src/index.ts";
import {
	deployFolder,
	documents,
	ofKind,
	textOf,
} from "../support/deploy/manifests.ts";
import {
	codeOf,
	createDatabase,
	engine,
	useService,
} from "../support/engine.ts";
import { psql } from "../support/psql.ts";
import { schemas } from "../support/schemas.ts";

// The SQL of deploy/: metrics and grants, run on a migrated database.

const db = useService({ models: [Resource] });

interface Query {
	readonly query: string;
	readonly predicate_query?: string;
	readonly metrics: readonly Readonly<Record<string, unknown>>[];
}

const config = ofKind("ConfigMap").find(
	({ body }) => body.metadata.name === "rem-queries",
);
const [queries] = documents(config?.body.data.queries) as [
	Readonly<Record<string, Query>>,
];

async function metricsOf(name: string): Promise<Record<string, number>> {
	const { query } = queries[name] as Query;
	const { rows } = await db.service.execute(query);
	expect(rows).toHaveLength(1);
	return Object.fromEntries(
		Object.entries(rows[0] ?? {}).map(([key, value]) => [key, Number(value)]),
	);
}

test("every metric's query runs and returns what it describes", async () => {
	for (const [name, { predicate_query, metrics }] of Object.entries(queries)) {
		if (predicate_query !== undefined) {
			const { rows } = await db.service.execute(predicate_query);
			expect(Object.values(rows[0] ?? {})).toEqual([true]);
		}
		expect(Object.keys(await metricsOf(name))).toEqual(
			metrics.flatMap((metric) => Object.keys(metric)),
		);
	}
});

test("the metrics show an emptied cache, a failed index, queued and dead-lettered texts", async () => {
	const { service } = db;
	expect(await metricsOf("rem_kv")).toEqual({ ready: 1 });
	await service.execute("TRUNCATE kv_store");
	expect(await metricsOf("rem_kv")).toEqual({ ready: 0 });
	await service.kv.rebuild();
	expect(await metricsOf("rem_kv")).toEqual({ ready: 1 });

	expect(await metricsOf("rem_indexes")).toEqual({ invalid: 0 });
	await service.execute("CREATE INDEX left_over ON resources (name)");
	await service.execute(
		"UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'left_over'::regclass",
	);
	expect(await metricsOf("rem_indexes")).toEqual({ invalid: schemas.length });
	await service.execute("DROP INDEX left_over");

	expect(await metricsOf("rem_embedding_queue")).toEqual({
		pending: 0,
		dead: 0,
		oldest_seconds: 0,
	});
	await service.execute(
		`INSERT INTO rem_embedding_queue (entity_type, entity_id, field_name, provider, model, dimensions, state, queued_at)
		SELECT 'resources', gen_random_uuid(), 'content', 'local', 'semantic-v1', 612, state, now() - interval '1 hour'
		FROM unnest(ARRAY['pending', 'pending', 'dead']) AS state`,
	);
	const waiting = await metricsOf("rem_embedding_queue");
	expect(waiting).toMatchObject({ pending: 2, dead: 1 });
	expect(waiting.oldest_seconds).toBeGreaterThanOrEqual(3600);
	await service.execute("DELETE FROM rem_embedding_queue");
});

// The embedded database has one user.
const role = `rem_app_${process.pid}`;
const onServer = engine === "server";
afterAll(async () => {
	if (!onServer) return;
	// Before the database is dropped: its grants depend on the role.
	await db.service.execute(`DROP OWNED BY ${role}`);
	await db.service.execute(`DROP ROLE ${role}`);
});

test.runIf(onServer)(
	"with the shipped grants the application reads, writes and fills the cache, and no more",
	async () => {
		await db.service.execute(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
		const grants = textOf("base/grants.sql").replaceAll("rem_app", role);
		const client = new pg.Client({ connectionString: db.url });
		await client.connect();
		await client.query(grants);
		await client.query(grants); // after every migration
		await client.query("SET ROLE pg_monitor");
		for (const { query } of Object.values(queries))
			expect((await client.query(query)).rows).toHaveLength(1);
		await client.end();

		const url = new URL(db.url);
		url.username = role;
		url.password = "secret";
		const app = await PostgresService.connect({
			connectionString: url.href,
			models: [Resource],
			embedding: { provider: "local" },
		});
		const entities = [{ name: "Grants", content: "first" }];
		const upsert = () => app.batchUpsert({ tableName: "resources", entities });
		await upsert();
		entities[0] = { name: "Grants", content: "second" };
		expect(await upsert()).toMatchObject({ updated: 1, kvEntries: 1 });
		const hit = await app.lookupEntity({ entityKey: "grants" });
		const found = await app.vectorSearch({
			tableName: "resources",
			queryText: "second",
		});
		expect(found[0]?.id).toBe(hit?.entityId);

		await db.service.execute("TRUNCATE kv_store");
		expect(await app.kv.rebuild()).toEqual({ entries: 1 });
		expect((await app.kv.status()).ready).toBe(true);

		const refused = [
			"DROP TABLE resources",
			"DELETE FROM rem_migrations",
			"ALTER TABLE resources ADD COLUMN more TEXT",
		];
		for (const text of refused)
			expect(await codeOf(app.execute(text))).toBe("DATABASE");
		await app.close();

		const { rows } = await db.service.execute(
			`SELECT DISTINCT relname::text FROM pg_class
			WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND relkind IN ('r', 'v') AND has_table_privilege('pg_monitor', oid, 'SELECT')
			ORDER BY 1`,
			[`{${schemas.join()}}`],
		);
		expect(rows.map(({ relname }) => relname)).toEqual([
			"kv_state",
			"rem_embedding_queue",
		]);
	},
);

test.runIf(onServer)(
	"compose's roles: the owner migrates and builds, the application reads and writes, neither is a superuser",
	async () => {
		const database = await createDatabase();
		const mark = `${process.pid}_${Date.now()}`;
		const named = (text: string) =>
			text
				.replaceAll("rem_owner", `rem_test_owner_${mark}`)
				.replaceAll("rem_app", `rem_test_app_${mark}`);
		const roles = named(
			readFileSync(join(deployFolder, "roles.sql"), "utf8"),
		).replace(/^\\getenv (\w+) \w+$/gm, "\\set $1 'secret'");
		const connect = (role: string) => {
			const url = new URL(database.url);
			url.username = named(role);
			url.password = "secret";
			return PostgresService.connect({
				connectionString: url.href,
				models: [Resource],
				embedding: { provider: "local" },
				backgroundIndex: { enabled: false },
			});
		};
		try {
			await psql(database.url, roles);
			const owner = await connect("rem_owner");
			await owner.migrate();
			await psql(database.url, roles); // with every start
			await owner.execute(named(textOf("base/grants.sql")));
			const app = await connect("rem_app");
			await app.batchUpsert({
				tableName: "resources",
				entities: [{ name: "Compose", content: "one machine" }],
			});
			await owner.execute("TRUNCATE kv_store");
			expect(await app.kv.rebuild()).toEqual({ entries: 1 });
			const gin = { tableName: "resources", indexType: "gin" } as const;
			expect(await codeOf(app.createIndexConcurrently(gin))).toBe(
				"INDEX_FAILED",
			);
			await owner.createIndexConcurrently(gin);
			const { checks } = await app.doctor();
			expect(
				checks.filter(
					({ name, state }) =>
						["tenancy", "statistics"].includes(name) && state !== "ok",
				),
			).toEqual([]);
			expect(await codeOf(app.execute("DROP TABLE resources"))).toBe(
				"DATABASE",
			);
			await app.close();
			await owner.close();
		} finally {
			await database.drop();
			await db.service.execute(
				named("DROP ROLE IF EXISTS rem_app; DROP ROLE IF EXISTS rem_owner"),
			);
		}
	},
);
