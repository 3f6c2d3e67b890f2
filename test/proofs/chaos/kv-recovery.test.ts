import {
	afterAll,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
} from "vitest";
import * as z from "zod";
import { ask, until } from "../../../chaos/support/ask.ts";
import { findPostgres, startServer } from "../../../scripts/postgres-server.ts";
import {
	type ConnectOptions,
	defineEntity,
	PostgresService,
} from "../../../src/index.ts";
import { silentLogger } from "../../../src/logger.ts";
import { migrate } from "../../../src/migrate/migrate.ts";

const Item = defineEntity(
	"items",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
const models = [Item] as const;
const tenantId = "acme";
const installation = await findPostgres();
// Docker's containers have no way to each other here.
const canCopy = !("kind" in installation && installation.kind === "docker");

type Server = Awaited<ReturnType<typeof startServer>>;
let server: Server;

beforeAll(async () => {
	server = await startServer({
		settings: { max_prepared_transactions: "5", shared_buffers: "64MB" },
	});
	const service = await connect(server.url);
	await service.migrate();
	await service.batchUpsert({
		tableName: "items",
		entities: Array.from({ length: 500 }, (_, at) => ({
			name: `item ${at}`,
			content: `content ${at}`,
		})),
		tenantId,
	});
	await service.kv.ensureReady();
	await service.close();
});
afterAll(() => server?.remove());

function connect(
	connectionString: string,
	options: Omit<ConnectOptions<typeof models>, "models"> = {},
) {
	return PostgresService.connect({
		connectionString,
		models,
		embedding: { provider: "local", dimensions: 8 },
		backgroundIndex: { enabled: false },
		...options,
	});
}

type Service = Awaited<ReturnType<typeof connect>>;

async function open(...given: Parameters<typeof connect>): Promise<Service> {
	const service = await connect(...given);
	onTestFinished(() => service.close());
	return service;
}

async function persist(service: Service, kvPersistence: "logged" | "unlogged") {
	const { db, registry } = service.core;
	await migrate(db, {
		tables: registry.all(),
		options: { schema: "public", kvPersistence },
	});
	await service.kv.ensureReady();
}

async function found(service: Service, ...entityKeys: string[]) {
	const hits = await service.lookupEntities({ entityKeys, tenantId });
	return hits.map(({ entityKey }) => entityKey);
}

const isEmptied = `SELECT NOT EXISTS (SELECT FROM kv_store) AND NOT EXISTS (SELECT FROM kv_state WHERE kind = 'ready') AS emptied`;

describe("a prepared transaction", () => {
	const prepare = (gid: string, statement: string) =>
		// In one text: a transaction of its own.
		ask(
			server.url,
			`BEGIN; ${statement}; PREPARE TRANSACTION '${gid.replaceAll("'", "''")}'`,
		);

	test("is reported as in doubt, and once committed, its rows are found", async () => {
		const service = await open(server.url);
		await prepare(
			"o'clock",
			`INSERT INTO items (tenant_id, name) VALUES ('${tenantId}', 'prepared')`,
		);
		const [problem] = (await service.kv.verify()).problems;
		expect(problem).toMatchObject({
			kind: "prepared transaction",
			message: expect.stringContaining("in doubt"),
			hint: expect.stringContaining("ROLLBACK PREPARED 'o''clock'"),
		});
		expect((await service.kv.status()).problems).toEqual([problem]);
		expect(await found(service, "prepared")).toEqual([]);
		await ask(server.url, "COMMIT PREPARED 'o''clock'");
		expect(await found(service, "prepared")).toEqual(["prepared"]);
		expect(await service.kv.verify()).toMatchObject({
			ready: true,
			differing: 0,
			problems: [],
		});
	});

	test("that outlives a crash prevents the cache from being marked complete, and no name is missing", async () => {
		await prepare(
			"doubt",
			`INSERT INTO items (tenant_id, name) VALUES ('${tenantId}', 'in doubt')`,
		);
		await prepare(
			"gone",
			`UPDATE items SET deleted_at = now() WHERE name = 'item 1'`,
		);
		server.kill("SIGKILL");
		await server.start();
		const service = await open(server.url, { logger: silentLogger });
		expect(await found(service, "item 1", "item 2", "in doubt")).toEqual([
			"item 1",
			"item 2",
		]);
		await expect(service.kv.rebuild()).rejects.toMatchObject({
			code: "DATABASE",
			message: expect.stringContaining(
				"prepared transactions are in doubt (2)",
			),
			hint: expect.stringContaining("COMMIT PREPARED"),
		});
		expect(await service.kv.status()).toMatchObject({
			ready: false,
			problems: [
				{ kind: "prepared transaction" },
				{ kind: "prepared transaction" },
			],
		});
		await ask(server.url, "COMMIT PREPARED 'doubt'");
		await ask(server.url, "COMMIT PREPARED 'gone'");
		const keys = ["item 1", "item 2", "in doubt"];
		const expected = ["item 2", "in doubt"];
		expect(await found(service, ...keys)).toEqual(expected);
		await service.kv.rebuild();
		expect(await found(service, ...keys)).toEqual(expected);
		expect(await service.kv.verify()).toMatchObject({
			ready: true,
			differing: 0,
			problems: [],
		});
	});
});

describe.runIf(canCopy)("a copy of the server", () => {
	test("restored from a base backup answers from its first request on, and fills its cache by itself", async () => {
		const restored = await server.copy({
			settings: { max_prepared_transactions: "5" },
		});
		onTestFinished(() => restored.remove());
		expect(await ask(restored.url, isEmptied)).toEqual([{ emptied: true }]);
		const service = await open(restored.url);
		const [first, fuzzy] = await Promise.all([
			service.lookupEntity({ entityKey: "item 7", tenantId }),
			service.fuzzySearch({ query: "item 77", tenantId, threshold: 0.9 }),
		]);
		expect(first).toMatchObject({
			entityKey: "item 7",
			contentSummary: "content 7",
		});
		expect(fuzzy.map(({ entityKey }) => entityKey)).toEqual(["item 77"]);
		await until(
			restored.url,
			"SELECT EXISTS (SELECT FROM kv_state WHERE kind = 'ready') AS done",
		);
		expect(await service.kv.verify()).toMatchObject({
			ready: true,
			differing: 0,
			problems: [],
		});
		const { rows } = await service.execute<{ n: number }>(
			"SELECT count(*)::int AS n FROM items WHERE deleted_at IS NULL",
		);
		expect((await service.kv.status()).entries).toEqual({
			items: rows[0]?.n,
		});
	});

	test("that is a standby answers from its tables, and tries the cache once a connection", async () => {
		const standby = await server.copy({
			asStandby: true,
			settings: { max_prepared_transactions: "5" },
		});
		onTestFinished(() => standby.remove());
		const service = await open(standby.url, { poolSize: 1 });
		const failed = async () => {
			// Of a finished connection, so that all of its statements are counted.
			const [row] = await ask<{ n: string }>(
				standby.url,
				"SELECT pg_stat_force_next_flush(), xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()",
			);
			return Number(row?.n);
		};
		expect(await service.kv.status()).toMatchObject({
			standby: true,
			ready: false,
			persistence: "unlogged",
			entries: null,
		});
		expect(await found(service, "ITEM-7", "missing")).toEqual(["item 7"]);
		await service.execute("SELECT pg_stat_force_next_flush()");
		const before = await failed();
		for (let at = 10; at < 40; at++)
			expect(await found(service, `item ${at}`)).toEqual([`item ${at}`]);
		const fuzzy = await service.fuzzySearch({
			query: "item 77",
			tenantId,
			threshold: 0.9,
		});
		expect(fuzzy.map(({ entityKey }) => entityKey)).toEqual(["item 77"]);
		await service.execute("SELECT pg_stat_force_next_flush()");
		expect(await failed()).toBe(before);
		await expect(service.kv.verify()).rejects.toMatchObject({
			sqlState: "0A000",
			hint: expect.stringContaining("primary"),
		});

		// A logged cache reaches the standby, and is read there.
		const primary = await open(server.url);
		await persist(primary, "logged");
		onTestFinished(() => persist(primary, "unlogged"));
		await ask(server.url, "DELETE FROM kv_store WHERE entity_key = 'item 8'");
		const [row] = await ask<{ lsn: string }>(
			server.url,
			"SELECT pg_current_wal_lsn()::text AS lsn",
		);
		await until(
			standby.url,
			`SELECT pg_last_wal_replay_lsn() >= '${row?.lsn}'::pg_lsn AS done`,
		);
		const reader = await open(standby.url);
		expect(await reader.kv.status()).toMatchObject({
			standby: true,
			ready: true,
			persistence: "logged",
		});
		// The one that was taken out by hand shows that the cache answers.
		expect(await found(reader, "item 7", "item 8")).toEqual(["item 7"]);
		expect(await reader.kv.verify()).toMatchObject({ differing: 1 });
		await primary.kv.verify({ repair: true });
	});
});
