import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { startServer } from "../../../scripts/postgres-server.ts";
import {
	type ConnectOptions,
	defineEntity,
	PostgresService,
} from "../../../src/index.ts";
import { codeOf } from "../../support/engine.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

const Item = defineEntity(
	"items",
	{ name: z.string(), rank: z.number().int().optional() },
	{ entityKeyField: "name" },
);
const models = [Item] as const;

let server: Awaited<ReturnType<typeof startServer>>;

beforeAll(async () => {
	server = await startServer();
	const service = await connect(server.url);
	await service.migrate();
	await service.batchUpsert({ tableName: "items", entities: [{ name: "a" }] });
});
afterAll(() => server?.remove());

async function connect(
	connectionString: string,
	options: ConnectOptions = {},
): Promise<PostgresService<typeof models>> {
	const service = await PostgresService.connect({
		embedding: { provider: "local" },
		...options,
		connectionString,
		models,
	});
	onTestFinishedOrHook(() => service.close());
	return service;
}

function onTestFinishedOrHook(work: () => Promise<void>): void {
	try {
		onTestFinished(work);
	} catch {
		afterAll(work);
	}
}

async function connectThroughProxy(options: ConnectOptions = {}) {
	const proxy = await TcpProxy.start(server.port);
	onTestFinished(() => proxy.stop());
	const service = await connect(proxy.through(server.url), options);
	return { proxy, service };
}

const lookA = (service: PostgresService<typeof models>) =>
	service.lookupEntity({ entityKey: "a" });

test("reads and batch upserts outlast a restart of the server", async () => {
	const service = await connect(server.url, { retryTimeoutMs: 60_000 });
	let isOver = false;
	const written: string[] = [];
	const writer = (async () => {
		for (let n = 0; !isOver; n++) {
			await service.batchUpsert({
				tableName: "items",
				entities: [{ name: `restart-${n}`, rank: n }],
			});
			written.push(`restart-${n}`);
		}
	})();
	const reader = (async () => {
		while (!isOver) expect(await lookA(service)).toBeDefined();
	})();
	for (const mode of ["fast", "immediate"] as const) {
		const before = written.length;
		await expect.poll(() => written.length).toBeGreaterThan(before);
		await server.stop(mode);
		await server.start();
	}
	isOver = true;
	await Promise.all([writer, reader]);
	const found = await service.repository(Item).find({ name: { in: written } });
	expect(found).toHaveLength(written.length);
});

test("killed connections are replaced without anyone noticing", async () => {
	const service = await connect(server.url);
	for (let round = 0; round < 5; round++) {
		const work = Array.from({ length: 20 }, () => lookA(service));
		await service.execute(
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'remdb' AND pid <> pg_backend_pid()",
		);
		expect(await Promise.all(work)).not.toContain(undefined);
	}
});

test("SQL of one's own is not run twice: its outcome is unknown", async () => {
	const { proxy, service } = await connectThroughProxy();
	const slow = codeOf(
		service.execute(
			"INSERT INTO items (tenant_id, name) SELECT 'default', 'slow' FROM pg_sleep(1)",
		),
	);
	await sleep(300);
	proxy.cut();
	expect(await slow).toBe("OUTCOME_UNKNOWN");
	expect(await lookA(service)).toBeDefined();
});

test("who waits for a server that is away does not storm it", async () => {
	const { proxy, service } = await connectThroughProxy({
		retryTimeoutMs: 1500,
	});
	proxy.goAway();
	const before = proxy.attempts.length;
	const codes = await Promise.all(
		Array.from({ length: 50 }, () => codeOf(lookA(service))),
	);
	expect(new Set(codes)).toEqual(new Set(["CONNECTION_FAILED"]));
	const attempts = proxy.attempts.slice(before);
	const gaps = attempts.slice(1).map((at, n) => at - (attempts[n] as number));
	expect(gaps.filter((ms) => ms < 90).length).toBeLessThan(5);
	proxy.comeBack();
	expect(await lookA(service)).toBeDefined();
});

test("a read through a cut cable ends in time, and the next finds another connection", async () => {
	const { proxy, service } = await connectThroughProxy({
		queryTimeoutMs: 500,
		retryTimeoutMs: 200,
		connectTimeoutMs: 500,
	});
	expect(await lookA(service)).toBeDefined();
	proxy.silence();
	expect(await codeOf(lookA(service))).toBe("CONNECTION_FAILED");
	proxy.comeBack();
	expect(await lookA(service)).toBeDefined();
});

test("a full server is reported as such, and waited for", async () => {
	const service = await connect(server.url, { retryTimeoutMs: 500 });
	await service.execute(
		"CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1 SUPERUSER",
	);
	await service.execute("ALTER ROLE narrow NOSUPERUSER");
	await service.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO narrow");
	const url = new URL(server.url);
	url.username = "narrow";
	url.password = "narrow";
	const first = await connect(url.href, { retryTimeoutMs: 300 });
	const held = first.transaction(() => sleep(1200));
	await expect(lookA(first)).rejects.toMatchObject({
		code: "CONNECTION_FAILED",
		sqlState: "53300",
	});
	await held;
	expect(await lookA(first)).toBeDefined();
});

test("a primary that was replaced is left, with all its connections", async () => {
	const standby = await server.copy({ asStandby: true });
	onTestFinished(() => standby.remove());
	const { proxy, service } = await connectThroughProxy({
		retryTimeoutMs: 30_000,
	});
	// As if the name led to a primary that is a standby now.
	proxy.lead(standby.port);
	proxy.cut();
	await Promise.all(
		Array.from({ length: 10 }, () => service.repository(Item).count({})),
	);
	proxy.lead(server.port);
	const result = await service.batchUpsert({
		tableName: "items",
		entities: [{ name: "after the switch" }],
	});
	expect(result.inserted).toBe(1);
});

test("a cancelled wait for a synchronous standby is no success", async () => {
	const service = await connect(server.url);
	await service.execute(
		"ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
	);
	await service.execute("SELECT pg_reload_conf()");
	onTestFinished(async () => {
		const admin = await connect(server.url);
		await admin.execute("ALTER SYSTEM RESET synchronous_standby_names");
		await admin.execute("SELECT pg_reload_conf()");
	});
	// Acknowledged until the server has read its settings again.
	const untilUnconfirmed = async () => {
		for (let rank = 0; ; rank++) {
			const entities = [{ name: "unconfirmed", rank }];
			const upsert = service.batchUpsert({ tableName: "items", entities });
			const code = await codeOf(upsert);
			if (code !== "no error") return code;
		}
	};
	const unconfirmed = untilUnconfirmed();
	await expect
		.poll(() =>
			service
				.execute(
					"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
				)
				.then(({ rowCount }) => rowCount),
		)
		.toBe(1);
	expect(await unconfirmed).toBe("OUTCOME_UNKNOWN");
});

test.each([
	{ settings: {}, what: "with prepared statements" },
	{ settings: { max_prepared_statements: "0" }, what: "without them" },
])(
	"a transaction pooler $what answers lookups and writes",
	async ({ settings }) => {
		const pooler = await server.startPooler(settings);
		onTestFinished(() => pooler.stop());
		const service = await connect(pooler.url);
		for (let round = 0; round < 10; round++) {
			const answers = Array.from({ length: 20 }, () => lookA(service));
			expect(await Promise.all(answers)).not.toContain(undefined);
			await service.batchUpsert({
				tableName: "items",
				entities: [{ name: "pooled", rank: round }],
			});
			const inTransaction = await service.transaction((transaction) =>
				service.lookupEntity({ entityKey: "pooled", transaction }),
			);
			expect(inTransaction).toBeDefined();
		}
	},
);

test("a thousand failing calls leave no connection behind", async () => {
	const service = await connect(server.url, { poolSize: 4 });
	for (let n = 0; n < 250; n++)
		await Promise.all([
			codeOf(service.execute("SELECT 1 / 0")),
			codeOf(service.execute("nonsense")),
			codeOf(service.execute("SELECT $1::int", ["x"])),
			codeOf(
				service.transaction(async (tx) => {
					await tx.script("SELECT * FROM nowhere");
				}),
			),
		]);
	const { rows } = await service.execute<{ busy: number; all: number }>(`
SELECT count(*) FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid())::int AS busy, count(*)::int AS all
FROM pg_stat_activity WHERE application_name = 'remdb' AND backend_start > now() - interval '1 minute'`);
	// Only if all of the pool's connections are back can all of them be used at once.
	let arrived = 0;
	await Promise.all(
		Array.from({ length: 4 }, () =>
			service.transaction(async () => {
				arrived++;
				await expect.poll(() => arrived).toBe(4);
			}),
		),
	);
	expect(rows[0]?.busy).toBe(0);
	expect(rows[0]?.all).toBeLessThanOrEqual(8);
});
