import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
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

// The SQL of deploy/ on a database with buckets: metrics and grants.

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const options = {
	models: [Note],
	buckets: 3,
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false },
} as const;
const schemas = ["public_b00", "public_b01", "public_b02"];
// Each bucket has two or more of them.
const tenants = Array.from({ length: 9 }, (_, at) => `tenant-${at}`);

const config = ofKind("ConfigMap").find(
	({ body }) => body.metadata.name === "rem-queries",
);
const [queries] = documents(config?.body.data.queries) as [
	Readonly<Record<string, { query: string; predicate_query?: string }>>,
];

type Send = (text: string) => Promise<{ rows: unknown[] }>;

async function metricsOf(name: string, send: Send) {
	const { query = "", predicate_query } = queries[name] ?? {};
	if (predicate_query !== undefined) {
		const { rows } = await send(predicate_query);
		expect(Object.values(rows[0] as object)).toEqual([true]);
	}
	const { rows } = await send(query);
	expect(rows).toHaveLength(1);
	return Object.fromEntries(
		Object.entries(rows[0] as object).map(([key, value]) => [
			key,
			Number(value),
		]),
	);
}

describe("metrics", () => {
	const db = useService(options);
	const metrics = (name: string) =>
		metricsOf(name, (text) => db.service.execute(text));

	test("show the cache of one bucket emptied", async () => {
		expect(await metrics("rem_kv")).toEqual({ ready: 1 });
		await db.service.execute("TRUNCATE public_b01.kv_store");
		expect(await metrics("rem_kv")).toEqual({ ready: 0 });
		await db.service.kv.rebuild();
		expect(await metrics("rem_kv")).toEqual({ ready: 1 });
	});

	test("count failed indexes and queued texts of all buckets", async () => {
		const { service } = db;
		expect(await metrics("rem_indexes")).toEqual({ invalid: 0 });
		for (const schema of schemas.slice(1))
			await service.execute(
				`CREATE INDEX left_over ON ${schema}.notes (name);
				UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = '${schema}.left_over'::regclass`,
			);
		expect(await metrics("rem_indexes")).toEqual({ invalid: 2 });
		for (const schema of schemas.slice(1))
			await service.execute(`DROP INDEX ${schema}.left_over`);

		expect(await metrics("rem_embedding_queue")).toEqual({
			pending: 0,
			dead: 0,
			oldest_seconds: 0,
		});
		for (const [at, schema] of schemas.entries())
			await service.execute(
				`INSERT INTO ${schema}.rem_embedding_queue (entity_type, entity_id, field_name, provider, model, dimensions, state, queued_at)
				SELECT 'notes', gen_random_uuid(), 'content', 'local', 'semantic-v1', 8, state, now() - interval '${at} hours'
				FROM unnest(ARRAY['pending', 'pending', 'dead']) AS state`,
			);
		const waiting = await metrics("rem_embedding_queue");
		expect(waiting).toMatchObject({ pending: 6, dead: 3 });
		expect(waiting.oldest_seconds).toBeGreaterThanOrEqual(7200);
	});
});

// The embedded database has one user.
describe.runIf(engine === "server")("the roles of deploy/", () => {
	const mark = `${process.pid}_${Date.now()}`;
	const named = (text: string) =>
		text
			.replaceAll("rem_owner", `rem_test_owner_${mark}`)
			.replaceAll("rem_app", `rem_test_app_${mark}`);
	let database: Awaited<ReturnType<typeof createDatabase>>;
	let owner: PostgresService<readonly [typeof Note]>;
	let app: PostgresService<readonly [typeof Note]>;

	const urlOf = (role: string) => {
		const url = new URL(database.url);
		url.username = named(role);
		url.password = "secret";
		return url.href;
	};
	const connect = (role: string) =>
		PostgresService.connect<readonly [typeof Note]>({
			...options,
			connectionString: urlOf(role),
		});
	const grant = () =>
		psql(urlOf("rem_owner"), named(textOf("base/grants.sql")));

	beforeAll(async () => {
		database = await createDatabase();
		const roles = readFileSync(join(deployFolder, "roles.sql"), "utf8");
		await psql(
			database.url,
			named(roles).replace(/^\\getenv (\w+) \w+$/gm, "\\set $1 'secret'"),
		);
		owner = await connect("rem_owner");
		await owner.migrate();
		await grant();
		await grant(); // after every migration
		app = await connect("rem_app");
	});

	afterAll(async () => {
		await app?.close();
		await owner?.close();
		await database.drop();
		const { REM_TEST_DATABASE_URL: url } = process.env;
		const client = new pg.Client({ connectionString: url });
		await client.connect();
		await client.query(named("DROP ROLE IF EXISTS rem_app"));
		await client.query(named("DROP ROLE IF EXISTS rem_owner"));
		await client.end();
	});

	test("let the application read, write and rebuild the cache in every bucket", async () => {
		for (const content of ["first", "second"])
			await app.batchUpsert({
				tableName: "notes",
				entities: tenants.map((tenantId) => ({
					name: `of ${tenantId}`,
					content,
					tenantId,
				})),
			});
		const { rows: spread } = await owner.execute(
			schemas
				.map((schema) => `SELECT FROM (SELECT FROM ${schema}.notes LIMIT 1)`)
				.join(" UNION ALL "),
		);
		expect(spread).toHaveLength(3);
		await owner.execute(
			schemas.map((schema) => `TRUNCATE ${schema}.kv_store`).join(";"),
		);
		expect(await app.kv.rebuild()).toEqual({ entries: tenants.length });
		expect((await app.kv.status()).ready).toBe(true);
		for (const tenantId of tenants) {
			const hit = await app.lookupEntity({
				entityKey: `of ${tenantId}`,
				tenantId,
			});
			const found = await app.vectorSearch({
				tableName: "notes",
				queryText: "second",
				tenantId,
			});
			expect(found.map(({ id }) => id)).toEqual([hit?.entityId]);
		}
		expect(await app.repository(Note).count()).toBe(tenants.length);
		expect((await app.buckets.status()).map(({ rows }) => rows > 0)).toEqual([
			true,
			true,
			true,
		]);
	});

	test("let it change no table and no migration in any of them", async () => {
		const refused = schemas.flatMap((schema) => [
			`DROP TABLE ${schema}.notes`,
			`DELETE FROM ${schema}.rem_migrations`,
			`UPDATE ${schema}.rem_embedding_fields SET state = 'removing'`,
			`CREATE TABLE ${schema}.more ()`,
		]);
		for (const text of [
			...refused,
			"UPDATE rem_buckets SET buckets = 4",
			"CREATE SCHEMA public_b03",
		])
			expect(
				await app.execute(text).catch(({ sqlState }) => sqlState),
				text,
			).toBe("42501");
		expect(await codeOf(app.repository(Note).count())).toBe("no error");
	});

	test("let a table of a later model be written before the grants are run again", async () => {
		const Later = defineEntity(
			"laters",
			{ name: z.string() },
			{ entityKeyField: "name" },
		);
		const service = await PostgresService.connect({
			...options,
			models: [Note, Later],
			connectionString: urlOf("rem_owner"),
		});
		await service.migrate().finally(() => service.close());
		const later = await PostgresService.connect({
			...options,
			models: [Note, Later],
			connectionString: urlOf("rem_app"),
		});
		const entities = tenants.map((tenantId) => ({ name: "a", tenantId }));
		const { inserted } = await later
			.batchUpsert({ tableName: "laters", entities })
			.finally(() => later.close());
		expect(inserted).toBe(tenants.length);
	});

	test("let a member of pg_monitor read the metrics, and no row", async () => {
		const client = new pg.Client({ connectionString: database.url });
		await client.connect();
		try {
			await client.query("SET ROLE pg_monitor");
			const send = (text: string) => client.query(text);
			expect(await metricsOf("rem_kv", send)).toEqual({ ready: 1 });
			expect(await metricsOf("rem_indexes", send)).toEqual({ invalid: 0 });
			expect(await metricsOf("rem_embedding_queue", send)).toMatchObject({
				pending: 0,
				dead: 0,
			});
			const { rows } = await send(
				`SELECT format('%s.%s', n.nspname, c.relname) AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
				WHERE n.nspname ~ '^public' AND c.relkind IN ('r', 'v') AND has_table_privilege('pg_monitor', c.oid, 'SELECT') ORDER BY 1`,
			);
			expect(rows.map(({ name }) => name)).toEqual(
				schemas.flatMap((schema) => [
					`${schema}.kv_state`,
					`${schema}.rem_embedding_queue`,
				]),
			);
		} finally {
			await client.end();
		}
	});
});
