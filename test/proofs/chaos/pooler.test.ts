import pg from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod";
import { startServer } from "../../../scripts/postgres-server.ts";
import { tenantHandle } from "../../../src/core/tenant-handle.ts";
import { defineEntity, PostgresService } from "../../../src/index.ts";
import { tenantSetting } from "../../../src/schema/row-security.ts";

// What a pooler in transaction mode asks of its clients: no state of a session,
// no startup parameters but its own, no statements that it does not carry.

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name", indexes: [["content"]] },
);
const models = [Note] as const;
const tenantId = "acme";

let server: Awaited<ReturnType<typeof startServer>>;
let owner: PostgresService<typeof models>;

beforeAll(async () => {
	server = await startServer();
	owner = await PostgresService.connect({
		connectionString: server.url,
		models,
		embedding: { provider: "local" },
	});
	await owner.migrate();
});
afterAll(async () => {
	await owner?.close();
	await server?.remove();
});

/** One connection to the server, which all clients share. */
const narrow = { default_pool_size: "1", min_pool_size: "0" };

async function connect(connectionString: string, options = {}) {
	const service = await PostgresService.connect({
		connectionString,
		models,
		embedding: { provider: "local" },
		...options,
	});
	onTestFinished(() => service.close());
	return service;
}

/** Every verb, twice. */
async function useAll(service: PostgresService<typeof models>): Promise<void> {
	for (const round of [1, 2]) {
		await service.batchUpsert({
			tableName: "notes",
			tenantId,
			entities: [
				{
					name: "Ada Lovelace",
					content: `Writes programs, ${round}.`,
					graphEdges: [{ dst: "Charles Babbage", rel_type: "knows" }],
				},
				{ name: "Charles Babbage", content: `Builds engines, ${round}.` },
			],
		});
		const found = [
			await service.lookupEntities({ entityKeys: ["ada-lovelace"], tenantId }),
			await service.fuzzySearch({
				query: "ada lovelac",
				threshold: 0.2,
				tenantId,
			}),
			await service.fuzzySearch({ query: "ada", mode: "word", tenantId }),
			await service.vectorSearch({
				tableName: "notes",
				queryText: "programs",
				tenantId,
				efSearch: 77,
			}),
			await service.hybridSearch({
				tableName: "notes",
				query: "programs",
				tenantId,
			}),
			(await service.traverse({ from: "ada lovelace", tenantId })).nodes,
			await service.repository(Note).find({ tenantId }),
		];
		for (const rows of found) expect(rows.length).toBeGreaterThan(0);
		await service.transaction(
			(transaction) =>
				service.lookupEntity({ entityKey: "x", tenantId, transaction }),
			{ isolation: "serializable" },
		);
	}
}

async function ask<R>(url: string, text: string): Promise<R[]> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		return (await client.query(text)).rows as R[];
	} finally {
		await client.end();
	}
}

// PgBouncer gives each client its own values of these back.
const tracked = [
	"application_name",
	"client_encoding",
	"DateStyle",
	"IntervalStyle",
	"standard_conforming_strings",
	"TimeZone",
];

test("nothing is left on the server's connection for the next client", async () => {
	const pooler = await server.startPooler(narrow);
	onTestFinished(() => pooler.stop());
	await useAll(await connect(pooler.url));
	const left = await ask(
		pooler.url,
		`SELECT 'setting' AS kind, name FROM pg_settings WHERE source = 'session' AND name <> ALL (ARRAY['${tracked.join("', '")}'])
UNION ALL SELECT 'lock', locktype FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'channel', c FROM pg_listening_channels() AS c
UNION ALL SELECT 'cursor', name FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'temporary', relname::text FROM pg_class WHERE relpersistence = 't'`,
	);
	expect(left).toEqual([]);
});

test("settings of the database that a pooler does not carry are made in each transaction", async () => {
	const name = new URL(server.url).pathname.slice(1);
	const settings: Record<string, string> = {
		extra_float_digits: "0",
		search_path: "nowhere",
		array_nulls: "off",
		gin_fuzzy_search_limit: "1",
		default_transaction_isolation: "serializable",
		TimeZone: "Asia/Tokyo",
		standard_conforming_strings: "off",
	};
	const alter = (how: (name: string, value: string) => string) =>
		ask(
			server.url,
			Object.entries(settings)
				.map((entry) => `ALTER DATABASE ${name} ${how(...entry)}`)
				.join("; "),
		);
	await alter((setting, value) => `SET ${setting} = '${value}'`);
	onTestFinished(async () => {
		await alter((setting) => `RESET ${setting}`);
	});
	const pooler = await server.startPooler({
		default_pool_size: "3",
		min_pool_size: "0",
	});
	onTestFinished(() => pooler.stop());
	const [first, second] = [
		await connect(pooler.url, { poolSize: 3 }),
		await connect(pooler.url, { poolSize: 3 }),
	];
	await Promise.all([useAll(first), useAll(second), useAll(first)]);
	const sums = await Promise.all(
		Array.from({ length: 20 }, (_, n) =>
			(n % 2 === 0 ? first : second).execute(
				"SELECT 0.1::float8 + $1::float8 AS sum, now()::text ~ '\\+00$' AS utc, current_setting('transaction_isolation') AS isolation",
				[0.2],
			),
		),
	);
	for (const { rows } of sums)
		expect(rows[0]).toMatchObject({
			sum: 0.1 + 0.2,
			utc: true,
			isolation: "read committed",
		});
	// Neither of these can run in a transaction.
	await first.execute("VACUUM public.notes");
	await first.execute("VACUUM public.notes", []);
	await expect(first.execute("SELECT 1/0")).rejects.toMatchObject({
		sqlState: "22012",
	});
	await expect(first.execute("SELECT 1/$1", [0])).rejects.toMatchObject({
		sqlState: "22012",
	});
	await first.execute("CREATE TEMPORARY TABLE t (n int) ON COMMIT DROP");
});

test("nor the tenant that row level security is told", async () => {
	const pooler = await server.startPooler(narrow);
	onTestFinished(() => pooler.stop());
	const service = await connect(pooler.url);
	const text = `SELECT current_setting('${tenantSetting}', true) AS tenant`;
	const told = await tenantHandle(service.core.db, tenantId).query({
		text,
		values: [],
	});
	expect(told.rows).toEqual([{ tenant: tenantId }]);
	expect(await ask(pooler.url, text)).toEqual([{ tenant: "" }]);
});

test("no startup parameter is sent that PgBouncer refuses", async () => {
	const pooler = await server.startPooler();
	onTestFinished(() => pooler.stop());
	const refused = new pg.Client({
		connectionString: pooler.url,
		statement_timeout: 1000,
	});
	refused.on("error", () => {});
	await expect(refused.connect()).rejects.toMatchObject({ code: "08P01" });
	const service = await connect(pooler.url);
	await service.execute("SELECT 1");
});

test("where statements are not carried, none is named once that is known", async () => {
	const pooler = await server.startPooler({
		...narrow,
		max_prepared_statements: "0",
	});
	onTestFinished(() => pooler.stop());
	const service = await connect(pooler.url, { poolSize: 3 });
	const lookUp = () =>
		Promise.all(
			Array.from({ length: 6 }, (_, n) =>
				service.lookupEntities({
					entityKeys: ["Ada Lovelace"],
					tenantId,
					// Each a statement of its own text.
					...(n % 2 === 0 ? { userId: `user ${n}` } : {}),
				}),
			),
		);
	await lookUp();
	await service.execute("DEALLOCATE ALL");
	for (let round = 0; round < 5; round++) await lookUp();
	const named = await ask(
		pooler.url,
		"SELECT name FROM pg_prepared_statements",
	);
	expect(named).toEqual([]);
});

test("where they are, they are prepared once for all clients", async () => {
	const pooler = await server.startPooler(narrow);
	onTestFinished(() => pooler.stop());
	const service = await connect(pooler.url, { poolSize: 3 });
	for (let round = 0; round < 5; round++)
		await Promise.all(
			Array.from({ length: 6 }, () =>
				service.transaction((transaction) =>
					service.lookupEntity({ entityKey: "x", tenantId, transaction }),
				),
			),
		);
	const { rows } = await service.execute<{ n: number }>(
		"SELECT count(*)::int AS n FROM pg_prepared_statements WHERE statement LIKE '%kv_store%'",
	);
	expect(rows).toEqual([{ n: 1 }]);
});

test("what needs a session goes past it: migrations, index builds", async () => {
	const pooler = await server.startPooler();
	onTestFinished(() => pooler.stop());
	const { hostname, port, username, password } = new URL(pooler.url);
	for (const [name, value] of Object.entries({
		HOST: hostname,
		PORT: port,
		USER: username,
		PASSWORD: password,
		DATABASE: "postgres",
		DIRECT_HOST: `127.0.0.1:${server.port}`,
	}))
		vi.stubEnv(`POSTGRES__${name}`, value);
	onTestFinished(() => {
		vi.unstubAllEnvs();
	});
	const service = await PostgresService.connect({
		models,
		embedding: { provider: "local" },
	});
	onTestFinished(() => service.close());
	await service.migrate();
	await service.createIndexConcurrently({
		tableName: "notes",
		indexType: "hnsw",
	});
	const session = await service.core.db.openSession();
	onTestFinished(() => session.close());
	const pid = { text: "SELECT pg_backend_pid() AS pid", values: [] };
	expect((await session.query(pid)).rows).toEqual([{ pid: session.processId }]);
	const { checks } = await service.doctor();
	expect(checks).toContainEqual({
		name: "pooler",
		state: "ok",
		found: expect.stringContaining("POSTGRES__DIRECT_HOST"),
	});
});

test("a read that takes too long is cancelled on the server behind the pooler, and no other client's statement", async () => {
	const pooler = await server.startPooler(narrow);
	onTestFinished(() => pooler.stop());
	const service = await connect(pooler.url, {
		queryTimeoutMs: 300,
		retryTimeoutMs: 30_000,
	});
	await owner.transaction(async (tx) => {
		await tx.script("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE");
		const failed = service.repository(Note).find({ tenantId });
		await expect(failed).rejects.toMatchObject({ code: "QUERY_TIMEOUT" });
		const { rows } = await tx.query({
			text: "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
			values: [],
		});
		expect(rows).toEqual([]);
		for (let at = 0; at < 20; at++) await service.execute("SELECT 1");
	});
	await service.repository(Note).find({ tenantId });
});
