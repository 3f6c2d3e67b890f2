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

// A server that neither answers nor ends its connections: SIGSTOP, and a cable
// that was cut. The client is not notified; only its own limits end the waiting.

const Item = defineEntity(
	"items",
	{ name: z.string(), rank: z.number().int().optional() },
	{ entityKeyField: "name" },
);
const models = [Item] as const;
const limits = {
	queryTimeoutMs: 500,
	connectTimeoutMs: 500,
	retryTimeoutMs: 300,
};

let server: Awaited<ReturnType<typeof startServer>>;

beforeAll(async () => {
	server = await startServer();
	const service = await connect(server.url);
	await service.migrate();
	await service.batchUpsert({ tableName: "items", entities: [{ name: "a" }] });
	await service.close();
});
afterAll(() => server?.remove());

type Service = PostgresService<typeof models>;

function connect(
	connectionString: string,
	options: ConnectOptions = {},
): Promise<Service> {
	return PostgresService.connect({
		embedding: { provider: "local", dimensions: 8 },
		backgroundIndex: { enabled: false },
		...limits,
		...options,
		connectionString,
		models,
	});
}

async function connectForTest(
	connectionString: string,
	options: ConnectOptions = {},
): Promise<Service> {
	const service = await connect(connectionString, options);
	onTestFinished(() => service.close());
	return service;
}

const look = (service: Service) => service.lookupEntity({ entityKey: "a" });
const write = (service: Service, name: string, rank = 1) =>
	service.batchUpsert({ tableName: "items", entities: [{ name, rank }] });

function freeze(pid: number): void {
	server.killBackend(pid, "SIGSTOP");
	onTestFinished(() => thaw(pid));
}

function thaw(pid: number): void {
	try {
		server.killBackend(pid, "SIGCONT");
	} catch {
		// It ended: its client had left.
	}
}

/** Stops every process of the server; returns how to let them go on. */
async function freezeServer(service: Service): Promise<() => void> {
	const { rows } = await service.execute<{ pid: number }>(
		"SELECT pid FROM pg_stat_activity",
	);
	// First the one that would start others.
	server.kill("SIGSTOP");
	for (const { pid } of rows) server.killBackend(pid, "SIGSTOP");
	const goOn = () => {
		for (const { pid } of rows) thaw(pid);
		server.kill("SIGCONT");
	};
	onTestFinished(goOn);
	return goOn;
}

test("a frozen server: reads and writes end by their limits, and go on when it does", async () => {
	const service = await connectForTest(server.url, { poolSize: 4 });
	await Promise.all([look(service), look(service), write(service, "warm")]);
	const goOn = await freezeServer(service);
	const codes = await Promise.all([
		codeOf(look(service)),
		codeOf(service.fuzzySearch({ query: "a" })),
		codeOf(service.repository(Item).count({})),
		codeOf(service.repository(Item).find({ name: "a" })),
		codeOf(write(service, "frozen")),
		codeOf(write(service, "frozen too")),
	]);
	for (const code of codes)
		expect(["CONNECTION_FAILED", "POOL_TIMEOUT", "OUTCOME_UNKNOWN"]).toContain(
			code,
		);
	goOn();
	const patient = await connectForTest(server.url, { retryTimeoutMs: 30_000 });
	expect(await look(patient)).toBeDefined();
	await expect.poll(() => codeOf(look(service))).toBe("no error");
	for (const name of ["frozen", "frozen too"]) {
		await write(service, name, 2);
		const rows = await service.repository(Item).find({ name });
		expect(rows.map(({ rank }) => rank)).toEqual([2]);
	}
});

test("who is patient enough outlasts a freeze without an error", async () => {
	const service = await connectForTest(server.url, {
		poolSize: 4,
		retryTimeoutMs: 60_000,
	});
	await look(service);
	const goOn = await freezeServer(service);
	const work = [look(service), look(service), write(service, "outlasts")];
	setTimeout(goOn, 3000);
	const [first] = await Promise.all(work);
	expect(first).toBeDefined();
	expect(
		await service.repository(Item).find({ name: "outlasts" }),
	).toHaveLength(1);
});

test("a frozen connection is left for another, by a read and by a write", async () => {
	const service = await connectForTest(server.url, {
		poolSize: 1,
		retryTimeoutMs: 20_000,
	});
	const freezeOwn = async () => {
		const { rows } = await service.execute<{ pid: number }>(
			"SELECT pg_backend_pid() AS pid",
		);
		freeze((rows[0] as { pid: number }).pid);
	};
	await freezeOwn();
	expect(await look(service)).toBeDefined();
	await freezeOwn();
	const { inserted } = await write(service, "on another");
	expect(inserted).toBe(1);
	expect(
		await service.repository(Item).find({ name: "on another" }),
	).toHaveLength(1);
});

test("a write that is frozen between two of its statements is run again whole", async () => {
	const service = await connectForTest(server.url, {
		queryTimeoutMs: 4000,
		retryTimeoutMs: 20_000,
	});
	const blocker = await connectForTest(server.url);
	await write(service, "held", 1);
	// It waits for a row, so that it is found in the middle of its transaction.
	let release = () => {};
	const held = blocker.transaction(async (tx) => {
		await tx.script("UPDATE items SET rank = rank WHERE name = 'held'");
		await new Promise<void>((resolve) => {
			release = resolve;
		});
	});
	const upsert = write(service, "held", 2);
	let pid: number | undefined;
	await expect
		.poll(async () => {
			const { rows } = await blocker.execute<{ pid: number }>(
				"SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'remdb'",
			);
			pid = rows[0]?.pid;
			return pid;
		})
		.toBeDefined();
	const frozen = pid as number;
	freeze(frozen);
	release();
	await held;
	// The frozen one owns no lock yet: it was waiting.
	expect((await upsert).updated).toBe(1);
	thaw(frozen);
	await expect
		.poll(async () => {
			const { rows } = await blocker.execute(
				`SELECT 1 FROM pg_stat_activity WHERE pid = ${frozen}`,
			);
			return rows.length;
		})
		.toBe(0);
	const rows = await service.repository(Item).find({ name: "held" });
	expect(rows.map(({ rank }) => rank)).toEqual([2]);
});

test("a cable that was cut: a write ends by its limit, and the next finds another way", async () => {
	const proxy = await TcpProxy.start(server.port);
	onTestFinished(() => proxy.stop());
	const service = await connectForTest(proxy.through(server.url));
	await write(service, "before");
	proxy.silence();
	expect(["CONNECTION_FAILED", "OUTCOME_UNKNOWN"]).toContain(
		await codeOf(write(service, "cut")),
	);
	proxy.comeBack();
	await expect.poll(() => codeOf(look(service))).toBe("no error");
	expect((await write(service, "after")).inserted).toBe(1);
});
