import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { startServer } from "../../../scripts/postgres-server.ts";
import { defineEntity, PostgresService } from "../../../src/index.ts";
import { silentLogger } from "../../../src/logger.ts";

// Builds meet random faults while rows are written. REM_CHAOS_RUNS=200 for a long look.
const runs = Number(process.env.REM_CHAOS_RUNS ?? 20);

const shape = { name: z.string(), content: z.string() };
const models = [
	defineEntity("pages", shape, { entityKeyField: "name" }),
	defineEntity("notes", shape, { entityKeyField: "name" }),
] as const;
type Service = PostgresService<typeof models>;

let server: Awaited<ReturnType<typeof startServer>>;
let service: Service;
/** Attempts that a fault has ended. */
let interrupted = 0;

beforeAll(async () => {
	server = await startServer({ settings: { shared_buffers: "128MB" } });
	service = await connect();
	await service.migrate();
	await Promise.all([write(service, 0, 400), write(service, 0, 400, "notes")]);
});

afterAll(async () => {
	await service?.close();
	await server?.remove();
});

function connect(): Promise<Service> {
	return PostgresService.connect({
		connectionString: server.url,
		models,
		embedding: { provider: "local", dimensions: 64 },
		poolSize: 4,
		logger: {
			...silentLogger,
			warn: (_, message) => {
				if (message.includes("next attempt")) interrupted++;
			},
		},
		backgroundIndex: { enabled: false, retryMs: 20 },
	});
}

function write(
	to: Service,
	first: number,
	count: number,
	tableName: "pages" | "notes" = "pages",
) {
	return to.batchUpsert({
		tableName,
		entities: Array.from({ length: count }, (_, at) => ({
			name: `row ${first + at}`,
			content: `content number ${first + at} of ${tableName}`,
		})),
	});
}

const builders =
	"SELECT pid FROM pg_stat_progress_create_index WHERE datname = current_database()";

async function signalBuilders(how: string): Promise<void> {
	await service.execute(`SELECT ${how}(pid) FROM (${builders}) AS b`);
}

const faults: Readonly<Record<string, () => Promise<void>>> = {
	"the statement is cancelled": () => signalBuilders("pg_cancel_backend"),
	"the connection is terminated": () => signalBuilders("pg_terminate_backend"),
	"the backend is killed": async () => {
		const { rows } = await service.execute<{ pid: number }>(builders);
		for (const { pid } of rows) server.killBackend(pid, "SIGKILL");
	},
	"the server is killed": async () => {
		server.kill("SIGKILL");
		await server.start();
	},
	"the server is restarted": async () => {
		await server.stop("fast");
		await server.start();
	},
	"a builder lets go": async () => {
		const other = await connect();
		const drained = other.indexer.drain().catch(() => {});
		await sleep(randomInt(50));
		await other.indexer.stop({ waitMs: 0 });
		await drained;
		await other.close();
	},
	"another process builds the same": async () => {
		const other = await connect();
		await other.indexer.drain().catch(() => {});
		await other.close();
	},
};

/** Takes some indexes away, and puts one of another definition in the place of another. */
async function spoil(): Promise<void> {
	const { indexes } = await service.indexer.status();
	for (const { indexName, tableName, indexType } of indexes) {
		if (indexType === "btree" || randomInt(3) === 0) continue;
		await service.execute(`DROP INDEX IF EXISTS "${indexName}"`);
		if (indexType === "hnsw" && randomInt(2) === 0)
			await service.execute(
				`CREATE INDEX "${indexName}" ON ${tableName} USING hnsw ((embedding::vector(64)) vector_cosine_ops) WITH (m = 4)`,
			);
	}
}

test(`after ${runs} random faults every index is valid, and none is left over`, async () => {
	const names = Object.keys(faults);
	for (let run = 0; run < runs; run++) {
		const fault = names[run % names.length] as string;
		await spoil();
		await service.indexer.repair({ missing: true });
		const drained = service.indexer.drain().catch(() => {});
		const written = write(service, run * 50, 50).catch(() => {});
		await sleep(randomInt(250));
		await faults[fault]?.();
		await Promise.all([drained, written]);
		await mend();
		expect(await problems(), `run ${run + 1}: ${fault}`).toEqual([]);
	}
	if (runs >= 20) expect(interrupted).toBeGreaterThan(0);
}, 600_000);

/** What `rem index build` does, once the server answers again. */
async function mend(): Promise<void> {
	const lastTry = Date.now() + 60_000;
	for (;;) {
		try {
			// A crash empties the cache, and the index of an empty table can wait.
			await service.kv.ensureReady();
			await service.indexer.repair({ missing: true });
			return await service.indexer.drain();
		} catch (error) {
			if (Date.now() > lastTry) throw error;
			await sleep(100);
		}
	}
}

async function problems(): Promise<unknown[]> {
	const { indexes } = await service.indexer.status();
	const { rows } = await service.execute(
		`SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid
     WHERE NOT indisvalid OR relname ~ '(__next|__old|_cc(new|old)[0-9]*)$'`,
	);
	return [
		...indexes
			.filter(({ state }) => state !== "valid")
			.map(({ indexName, state }) => `${indexName} ${state}`),
		...rows,
	];
}
