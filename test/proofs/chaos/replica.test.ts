import { AsyncResource } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import {
	afterAll,
	beforeAll,
	beforeEach,
	describe,
	expect,
	onTestFinished,
	test,
	vi,
} from "vitest";
import * as z from "zod";
import { startServer } from "../../../scripts/postgres-server.ts";
import {
	type ConnectOptions,
	defineEntity,
	PostgresService,
	type ReadOptions,
} from "../../../src/index.ts";
import { codeOf } from "../../support/engine.ts";
import { login } from "../../support/row-security.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string(), sessionId: z.string().optional() },
	{ entityKeyField: "name" },
);
const models = [Note] as const;
type Server = Awaited<ReturnType<typeof startServer>>;
type Service = PostgresService<typeof models>;

const tenantId = "acme";
const replica = { tenantId, consistency: "replica" } as const;

let primary: Server;
let standby: Server;
let writer: Service;

beforeAll(async () => {
	primary = await startServer();
	writer = await PostgresService.connect({
		connectionString: primary.url,
		models,
		embedding: { provider: "local" },
	});
	await writer.migrate();
	for (const tenant of [tenantId, "other"])
		await writer.batchUpsert({
			tableName: "notes",
			tenantId: tenant,
			entities: ["ada", "bert", "carl"].map((name) => ({
				name: `${name} of ${tenant}`,
				content: `${name} writes of ${tenant}.`,
				sessionId: "s",
				graphEdges: [{ dst: `ada of ${tenant}`, rel_type: "knows" }],
			})),
		});
	standby = await primary.copy({ asStandby: true });
});
afterAll(async () => {
	await writer?.close();
	await standby?.remove();
	await primary?.remove();
});

// Each test begins with a replica that has everything.
beforeEach(() => caughtUp(standby.url));

async function caughtUp(replicaUrl: string): Promise<void> {
	const [row] = await ask<{ lsn: string }>(
		primary.url,
		"SELECT pg_current_wal_flush_lsn()::text AS lsn",
	);
	const isThere = `SELECT pg_last_wal_replay_lsn() >= '${row?.lsn}' AS done`;
	while (!(await ask<{ done: boolean }>(replicaUrl, isThere))[0]?.done)
		await sleep(20);
}

/** On a connection of its own. */
async function ask<R>(url: string, text: string): Promise<R[]> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		return (await client.query(text)).rows as R[];
	} finally {
		await client.end();
	}
}

interface Told {
	readonly service: Service;
	readonly told: string[];
}

async function connect(options: ConnectOptions = {}): Promise<Told> {
	const told: string[] = [];
	const note = (_: unknown, message: string) => told.push(message);
	const service = await PostgresService.connect({
		connectionString: primary.url,
		readHost: `127.0.0.1:${standby.port}`,
		embedding: { provider: "local" },
		logger: { debug() {}, info: note, warn: note, error: note },
		...options,
		models,
	});
	onTestFinished(() => service.close());
	return { service, told };
}

/** The port of the server that answers. */
async function whoAnswers(service: Service): Promise<number> {
	const { rows } = await service.core
		.handle(tenantId, undefined, "replica")
		.query<{ port: number }>({
			text: "SELECT current_setting('port')::int AS port",
			values: [],
		});
	return rows[0]?.port ?? 0;
}

async function write(service: Service, name: string): Promise<void> {
	await service.batchUpsert({
		tableName: "notes",
		tenantId,
		entities: [{ name, content: `${name}.` }],
	});
}

async function pauseReplay(): Promise<void> {
	await ask(standby.url, "SELECT pg_wal_replay_pause()");
	onTestFinished(resumeReplay);
}

async function resumeReplay(): Promise<void> {
	await ask(standby.url, "SELECT pg_wal_replay_resume()");
}

/** Every read there is, by name; what it finds, in an order that is always the same. */
const reads: Record<
	string,
	(service: Service, options: ReadOptions) => Promise<unknown>
> = {
	lookupEntity: (service, options) =>
		service.lookupEntity({ entityKey: "ADA-of-acme", ...options }),
	lookupEntities: (service, options) =>
		service.lookupEntities({
			entityKeys: ["ada of acme", "bert_of_acme", "ada of other"],
			hydrate: true,
			...options,
		}),
	fuzzySearch: (service, options) =>
		service.fuzzySearch({ query: "carl of", threshold: 0.1, ...options }),
	vectorSearch: (service, options) =>
		service.vectorSearch({
			tableName: "notes",
			queryText: "bert writes",
			...options,
		}),
	hybridSearch: (service, options) =>
		service.hybridSearch({
			tableName: "notes",
			query: "bert writes",
			...options,
		}),
	traverse: (service, options) =>
		service.traverse({ from: "bert of acme", depth: 2, ...options }),
	"query LOOKUP": (service, options) =>
		service.query('LOOKUP "ada of acme"', options),
	"query FUZZY": (service, options) =>
		service.query('FUZZY "carl of acme"', options),
	"query SEARCH": (service, options) =>
		service.query('SEARCH "bert writes" IN notes LIMIT 5', options),
	"query TRAVERSE": (service, options) =>
		service.query('TRAVERSE FROM "bert of acme" DEPTH 2', options),
	"query SQL": (service, options) =>
		service.query("SQL notes WHERE name LIKE '% of %' ORDER BY name", options),
	find: (service, { tenantId = "", ...options }) =>
		service.repository(Note).find({ tenantId }, options),
	iterate: async (service, { tenantId = "", ...options }) => {
		const found: unknown[] = [];
		const rows = service.repository(Note).iterate({ tenantId }, options);
		for await (const row of rows) found.push(row);
		return found;
	},
	count: (service, { tenantId = "", ...options }) =>
		service.repository(Note).count({ tenantId }, options),
	getBySession: (service, { tenantId = "", ...options }) =>
		service
			.repository(Note)
			.getBySession({ sessionId: "s", tenantId }, options),
	getById: async (service, { tenantId = "", ...options }) => {
		const [note] = await service.repository(Note).find({ tenantId });
		return service.repository(Note).getById(note?.id ?? "", tenantId, options);
	},
};

/** Whether a read is not the first statement of its transaction. */
async function isWithinTransaction(service: Service): Promise<boolean> {
	const { rows } = await service.core.replica.query<{ within: boolean }>({
		text: "SELECT now() < statement_timestamp() AS within",
		values: [],
	});
	return rows[0]?.within === true;
}

/** How often the standby has read a table. */
async function scansOf(...tables: string[]): Promise<number> {
	const [row] = await ask<{ n: string }>(
		standby.url,
		`SELECT sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)) AS n
FROM pg_stat_user_tables WHERE relname IN ('${tables.join("', '")}')`,
	);
	return Number(row?.n ?? 0);
}

/** What the replica's connections have done counts from now on; of a pool of one. */
async function flushStatistics(service: Service): Promise<void> {
	await service.core.replica.query({
		text: "SELECT pg_stat_force_next_flush()",
		values: [],
	});
}

describe.each(["unlogged", "logged"] as const)("with an %s cache", (kind) => {
	beforeAll(async () => {
		vi.stubEnv("KV_STORE__PERSISTENCE", kind);
		const owner = await PostgresService.connect({
			connectionString: primary.url,
			models,
			embedding: { provider: "local" },
		});
		vi.unstubAllEnvs();
		await owner.migrate();
		await owner.close();
		await caughtUp(standby.url);
	});

	test.each([
		{ what: "LOOKUP", options: {} },
		{
			what: "LOOKUP in a transaction",
			options: { rowLevelSecurity: true },
		},
	])("$what reads the cache there where it can", async ({ options }) => {
		const role = await login(
			{ service: writer as never, url: primary.url },
			models,
			"rem_app",
		);
		onTestFinished(() => role.drop());
		await caughtUp(standby.url);
		const { service } = await connect({
			...options,
			connectionString:
				options.rowLevelSecurity === true ? role.url : primary.url,
			poolSize: 1,
		});
		const scans = async () => {
			await flushStatistics(service);
			return { kv: await scansOf("kv_store"), notes: await scansOf("notes") };
		};
		await scans();
		const before = await scans();
		for (const entityKey of ["ada of acme", "bert of acme"])
			expect(
				await service.lookupEntity({ entityKey, ...replica }),
			).toBeDefined();
		const after = await scans();
		const [read, left] =
			kind === "logged"
				? (["kv", "notes"] as const)
				: (["notes", "kv"] as const);
		expect(after[read]).toBeGreaterThan(before[read]);
		expect(after[left]).toBe(before[left]);
	});

	test("a transaction of a standby goes on after it has asked for the cache", async () => {
		const { service } = await connect({
			connectionString: standby.url,
			poolSize: 2,
		});
		const names = ["ada of acme", "bert of acme"];
		const findBoth = () =>
			service.transaction(
				async (transaction) => {
					const found: (string | undefined)[] = [];
					for (const entityKey of names) {
						const options = { entityKey, tenantId, transaction };
						found.push((await service.lookupEntity(options))?.entityKey);
					}
					return found;
				},
				{ readOnly: true },
			);
		// One of the connections has asked already, when it was opened; the other not.
		const findBeside = AsyncResource.bind(findBoth);
		const found = await service.transaction(() => findBeside(), {
			readOnly: true,
		});
		expect(found).toEqual(names);
		expect(await findBoth()).toEqual(names);
	});

	test.each([
		{ settings: {}, what: "with prepared statements" },
		{ settings: { max_prepared_statements: "0" }, what: "without them" },
	])(
		"behind a pooler $what, own writes are found and the replica answers",
		async ({ settings }) => {
			const pooler = await standby.startPooler(settings);
			onTestFinished(() => pooler.stop());
			const { port } = new URL(pooler.url);
			const { service, told } = await connect({
				readHost: `127.0.0.1:${port}`,
			});
			for (let n = 0; n < 20; n++) {
				await write(service, `pooled ${n}`);
				const hits = await Promise.all(
					Array.from({ length: 5 }, () =>
						service.lookupEntity({ entityKey: `pooled ${n}`, ...replica }),
					),
				);
				expect(hits).not.toContain(undefined);
			}
			expect(await whoAnswers(service)).toBe(standby.port);
			// It may lead each transaction to another standby: the one that was
			// asked how far it is must be the one that is read.
			expect(await isWithinTransaction(service)).toBe(true);
			for (const [name, read] of Object.entries(reads))
				expect(await read(service, replica), name).toEqual(
					await read(service, { tenantId }),
				);
			expect(told).toEqual([]);
		},
	);

	test.each(Object.entries(reads))(
		"%s finds on the replica what it finds on the primary",
		async (_, read) => {
			const { service, told } = await connect({ poolSize: 1 });
			const expected = await read(service, { tenantId });
			expect(JSON.stringify(expected)).toMatch(/acme|^[1-9]/);
			const before = await scansOf("notes", "embeddings_notes", "kv_store");
			expect(await read(service, replica)).toEqual(expected);
			expect(await read(service, replica)).toEqual(expected);
			await flushStatistics(service);
			expect(
				await scansOf("notes", "embeddings_notes", "kv_store"),
			).toBeGreaterThan(before);
			expect(told).toEqual([]);
		},
	);
});

test("what this service wrote is found on the replica, at once", async () => {
	const { service } = await connect();
	for (let n = 0; n < 50; n++) {
		await write(service, `own ${n}`);
		const hit = await service.lookupEntity({
			entityKey: `own ${n}`,
			...replica,
		});
		expect(hit?.entityKey).toBe(`own ${n}`);
	}
	expect(await whoAnswers(service)).toBe(standby.port);
	expect(await isWithinTransaction(service)).toBe(false);
});

test("a write costs no round trip more, and several are asked about once", async () => {
	const { service } = await connect();
	const sent = vi.spyOn(service.core.db, "query");
	const asked = () =>
		sent.mock.calls.filter(([statement]) =>
			JSON.stringify(statement).includes("wal_insert_lsn"),
		).length;
	await service.lookupEntity({ entityKey: "ada of acme", ...replica });
	for (let n = 0; n < 5; n++) await write(service, `counted ${n}`);
	expect(asked()).toBe(0);
	const find = (consistency: "primary" | "replica") =>
		service.lookupEntity({ entityKey: "counted 4", tenantId, consistency });
	await Promise.all([find("replica"), find("replica")]);
	await find("primary");
	await find("replica");
	expect(asked()).toBe(1);
});

test("a replica that stands still: the primary answers in bounded time, until it goes on", async () => {
	const { service, told } = await connect({ readWaitMs: 300 });
	expect(await whoAnswers(service)).toBe(standby.port);
	await pauseReplay();
	await write(service, "not replayed");
	const find = () =>
		service.lookupEntity({ entityKey: "not replayed", ...replica });
	const started = performance.now();
	const hits = await Promise.all([find(), find(), find()]);
	expect(performance.now() - started).toBeLessThan(5000);
	expect(hits).not.toContain(undefined);
	expect(await whoAnswers(service)).toBe(primary.port);
	expect(told.filter((line) => line.includes("behind"))).toHaveLength(1);
	// Who has written nothing is content with what the replica has.
	const other = await connect();
	expect(await whoAnswers(other.service)).toBe(standby.port);
	await resumeReplay();
	await expect.poll(() => whoAnswers(service)).toBe(standby.port);
	expect(await find()).toBeDefined();
	expect(told.at(-1)).toContain("answers again");
});

test("readWaitMs: 0 asks the primary when the replica is not there yet", async () => {
	const { service } = await connect({ readWaitMs: 0 });
	await pauseReplay();
	await write(service, "never waited for");
	const hit = await service.lookupEntity({
		entityKey: "never waited for",
		...replica,
	});
	expect(hit).toBeDefined();
});

test("a replica that is killed: the primary answers, it is logged once, and used again when it is back", async () => {
	const { service, told } = await connect();
	expect(await whoAnswers(service)).toBe(standby.port);
	await standby.stop("immediate");
	const find = () =>
		service.lookupEntity({ entityKey: "ada of acme", ...replica });
	for (let n = 0; n < 20; n++)
		expect(await Promise.all([find(), find()])).not.toContain(undefined);
	expect(await whoAnswers(service)).toBe(primary.port);
	expect(
		told.filter((line) => line.includes("reads go to the primary")),
	).toHaveLength(1);
	await standby.start();
	await expect.poll(() => whoAnswers(service)).toBe(standby.port);
	expect(told.at(-1)).toContain("answers again");
});

test("one that is not there from the start is no reason not to start", async () => {
	const { service, told } = await connect({ readHost: "127.0.0.1:1" });
	expect(
		await service.lookupEntity({ entityKey: "ada of acme", ...replica }),
	).toBeDefined();
	expect(told.join()).toContain("reads go to the primary");
});

test("a cable that is cut, and backends that are killed, cost no read", async () => {
	const proxy = await TcpProxy.start(standby.port);
	onTestFinished(() => proxy.stop());
	const { port } = new URL(proxy.through(standby.url));
	const { service } = await connect({ readHost: `127.0.0.1:${port}` });
	for (let round = 0; round < 5; round++) {
		const found = Array.from({ length: 10 }, (_, n) =>
			service.lookupEntity({
				entityKey: n % 2 === 0 ? "ada of acme" : "bert of acme",
				...replica,
			}),
		);
		proxy.cut();
		expect(await Promise.all(found)).not.toContain(undefined);
	}
});

test("a read that replay cancels is answered by the primary", async () => {
	const strict = await primary.copy({
		asStandby: true,
		settings: { max_standby_streaming_delay: "0", hot_standby_feedback: "off" },
	});
	onTestFinished(() => strict.remove());
	const { service, told } = await connect({
		readHost: `127.0.0.1:${strict.port}`,
	});
	await writer.execute("CREATE TABLE IF NOT EXISTS dull AS SELECT 1 AS n");
	await caughtUp(strict.url);
	let attempts = 0;
	const answer = service.core.replica.transaction(async (tx) => {
		attempts++;
		await tx.query({ text: "SELECT n FROM dull", values: [] });
		if (attempts === 1) await writer.execute("DROP TABLE dull");
		const { rows } = await tx.query<{ port: number }>({
			text: "SELECT pg_sleep(0.5), current_setting('port')::int AS port",
			values: [],
		});
		return rows[0]?.port;
	});
	// On the primary there is no table any more: its answer, and no other, shows that.
	await expect(answer).rejects.toMatchObject({ code: "SCHEMA_DRIFT" });
	expect(attempts).toBe(2);
	expect(told.join()).toMatch(/cancelled a read|reads go to the primary/);
});

test("a table that the replica has not heard of is read on the primary", async () => {
	await pauseReplay();
	await writer.execute("CREATE TABLE brand_new AS SELECT 1 AS n");
	onTestFinished(async () => {
		await writer.execute("DROP TABLE brand_new");
	});
	const { service } = await connect();
	const { rows } = await service.core.replica.query({
		text: "SELECT n FROM brand_new",
		values: [],
	});
	expect(rows).toEqual([{ n: 1 }]);
});

test("another cluster is no replica", async () => {
	const stranger = await startServer();
	onTestFinished(() => stranger.remove());
	const { password } = new URL(primary.url);
	await ask(stranger.url, `ALTER ROLE postgres PASSWORD '${password}'`);
	const { service } = await connect({
		readHost: `127.0.0.1:${stranger.port}`,
	});
	const find = () =>
		service.lookupEntity({ entityKey: "ada of acme", ...replica });
	expect(await codeOf(find())).toBe("CONFIG_INVALID");
	expect(await codeOf(find())).toBe("CONFIG_INVALID");
	expect((await service.doctor()).checks).toContainEqual(
		expect.objectContaining({ name: "replica", state: "failed" }),
	);
});

describe("a replica that was promoted", () => {
	const only = (name: string) => ({ entityKey: name, ...replica });

	/** A standby with a log of its own after `promote`, which writes to it and to the primary. */
	async function fork() {
		const server = await primary.copy({ asStandby: true });
		onTestFinished(() => server.remove());
		await caughtUp(server.url);
		return {
			server,
			promote: async (name: string) => {
				await server.promote();
				await ask(
					server.url,
					`INSERT INTO notes (tenant_id, name, content) VALUES ('${tenantId}', 'only there ${name}', 'x')`,
				);
				await write(writer, `only here ${name}`);
			},
		};
	}

	test.each([
		{ what: "directly", isPooled: false, hasWritten: false },
		{ what: "after a write of its own", isPooled: false, hasWritten: true },
		{ what: "through a pooler", isPooled: true, hasWritten: false },
		{
			what: "through a pooler, after a write",
			isPooled: true,
			hasWritten: true,
		},
	])(
		"is not asked any more $what, and is reported",
		async ({ what, isPooled, hasWritten }) => {
			const { server, promote } = await fork();
			const pooler = isPooled ? await server.startPooler({}) : undefined;
			onTestFinished(async () => {
				await pooler?.stop();
			});
			const port = pooler ? new URL(pooler.url).port : server.port;
			const { service, told } = await connect({
				readHost: `127.0.0.1:${port}`,
				poolSize: 4,
			});
			if (hasWritten) await write(service, `before ${what}`);
			// Connections that were open before the promotion go on after it.
			expect(await whoAnswers(service)).toBe(server.port);
			await promote(what);
			const found = await Promise.all(
				Array.from({ length: 12 }, () =>
					service.lookupEntity(only(`only there ${what}`)),
				),
			);
			expect(found.every((one) => one === undefined)).toBe(true);
			expect(
				await service.lookupEntity(only(`only here ${what}`)),
			).toBeDefined();
			for (const [name, read] of Object.entries(reads))
				expect(await read(service, replica), name).toEqual(
					await read(service, { tenantId }),
				);
			expect(await whoAnswers(service)).toBe(primary.port);
			expect(told.filter((line) => line.includes("promoted"))).toHaveLength(1);
			expect((await service.doctor()).checks).toContainEqual(
				expect.objectContaining({
					name: "replica",
					state: "failed",
					found: expect.stringContaining("promoted"),
				}),
			);
			// Nor by one that connects only now, also when it looks again.
			const later = await connect({ readHost: `127.0.0.1:${port}` });
			for (const pauseMs of [0, 2100]) {
				await sleep(pauseMs);
				expect(await whoAnswers(later.service)).toBe(primary.port);
			}
		},
	);

	test("nor is one that follows it", async () => {
		const { server, promote } = await fork();
		const follower = await server.copy({ asStandby: true });
		onTestFinished(() => follower.remove());
		await promote("followed");
		await expect
			.poll(() =>
				ask(
					follower.url,
					"SELECT FROM notes WHERE name = 'only there followed'",
				),
			)
			.toHaveLength(1);
		const { service, told } = await connect({
			readHost: `127.0.0.1:${follower.port}`,
		});
		expect(
			await service.lookupEntity(only("only there followed")),
		).toBeUndefined();
		expect(await whoAnswers(service)).toBe(primary.port);
		expect(told.join()).toContain("promoted");
	});

	test("the primary itself as its own replica answers without a complaint", async () => {
		const { service, told } = await connect({
			readHost: `127.0.0.1:${primary.port}`,
		});
		await write(service, "of itself");
		expect(await service.lookupEntity(only("of itself"))).toBeDefined();
		expect(told).toEqual([]);
	});

	test("after a failover, the new primary and what follows it are used", async () => {
		const { server } = await fork();
		const follower = await server.copy({ asStandby: true });
		onTestFinished(() => follower.remove());
		const { service, told } = await connect({
			connectionString: server.url,
			readHost: `127.0.0.1:${follower.port}`,
		});
		expect(await whoAnswers(service)).toBe(follower.port);
		await server.promote();
		await write(service, "after the failover");
		await expect.poll(() => whoAnswers(service)).toBe(follower.port);
		expect(
			await service.lookupEntity(only("after the failover")),
		).toBeDefined();
		expect(told.join()).not.toContain("promoted");
	});
});

test("the doctor looks at the replica", async () => {
	const look = async (service: Service) =>
		(await service.doctor()).checks.find(({ name }) => name === "replica");
	const { service } = await connect();
	expect(await look(service)).toMatchObject({ state: "ok" });
	await pauseReplay();
	await write(service, "not for the doctor");
	expect(await look(service)).toMatchObject({
		state: "warning",
		found: expect.stringContaining("behind"),
	});
	const away = await connect({ readHost: "127.0.0.1:1" });
	expect(await look(away.service)).toMatchObject({
		state: "warning",
		remedy: expect.stringContaining("POSTGRES__READ_HOST"),
	});
	const without = await connect({ readHost: undefined } as never);
	expect(await look(without.service)).toBeUndefined();
});

test("without a replica, and inside a transaction, the primary answers", async () => {
	const service = await PostgresService.connect({
		connectionString: primary.url,
		models,
		embedding: { provider: "local" },
	});
	onTestFinished(() => service.close());
	expect(await whoAnswers(service)).toBe(primary.port);
	const reader = await connect();
	await reader.service
		.transaction(async (transaction) => {
			await reader.service.batchUpsert({
				tableName: "notes",
				tenantId,
				entities: [{ name: "uncommitted", content: "x" }],
				transaction,
			});
			const hit = await reader.service.lookupEntity({
				entityKey: "uncommitted",
				...replica,
				transaction,
			});
			expect(hit).toBeDefined();
			throw new Error("rolled back");
		})
		.catch(() => {});
});

test.each(Object.entries(reads))(
	"%s refuses any other consistency",
	async (_, read) => {
		const { service } = await connect();
		const options = { tenantId, consistency: "eventual" } as never;
		expect(await codeOf(read(service, options))).toBe("VALIDATION");
	},
);

describe("tenants are isolated on the replica", () => {
	test.each(Object.entries(reads))("%s", async (name, read) => {
		const { service } = await connect();
		const found = JSON.stringify(
			(await read(service, { ...replica, tenantId: "other" })) ?? null,
		);
		expect(found).not.toContain('of acme"');
		if (name.startsWith("getBy") || name === "find")
			expect(found).toContain("of other");
		const nobody = await read(service, { ...replica, tenantId: "nobody" });
		expect(JSON.stringify(nobody ?? null)).not.toMatch(/ of (acme|other)"/);
	});

	test("by row level security, too", async () => {
		const role = await login(
			{ service: writer as never, url: primary.url },
			models,
			"rem_app",
		);
		onTestFinished(() => role.drop());
		await caughtUp(standby.url);
		const { service, told } = await connect({
			connectionString: role.url,
			rowLevelSecurity: true,
		});
		for (const [name, read] of Object.entries(reads)) {
			const expected = await read(service, { tenantId });
			expect(await read(service, replica), name).toEqual(expected);
			expect(JSON.stringify(expected), name).toMatch(/acme|^[1-9]/);
		}
		// SQL without a condition, in the tenant's own handle.
		const { rows } = await service.core
			.handle("other", undefined, "replica")
			.query<{ tenant_id: string }>({
				text: "SELECT DISTINCT tenant_id FROM notes",
				values: [],
			});
		expect(rows).toEqual([{ tenant_id: "other" }]);
		expect(told).toEqual([]);
	});
});
