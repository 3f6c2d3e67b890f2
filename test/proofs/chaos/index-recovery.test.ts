import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { startServer } from "../../../scripts/postgres-server.ts";
import { defineEntity, PostgresService } from "../../../src/index.ts";
import { silentLogger } from "../../../src/logger.ts";
import { openSnapshot, openWriter } from "../../support/blocker.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const hnsw = "hnsw_pages__content__local__lexical-v1__8";
const request = { tableName: "pages", indexType: "hnsw" } as const;

const connect = () =>
	PostgresService.connect({
		connectionString: server.url,
		models: [Page],
		embedding: { provider: "local", dimensions: 8 },
		backgroundIndex: { enabled: false, retryMs: 50, minRows: 10 },
		logger: silentLogger,
	});

let server: Awaited<ReturnType<typeof startServer>>;
let service: Awaited<ReturnType<typeof connect>>;

beforeAll(async () => {
	server = await startServer({ settings: { shared_buffers: "64MB" } });
	service = await connect();
	await service.migrate();
});
afterAll(async () => {
	await service?.close();
	await server?.remove();
});

beforeEach(async () => {
	await service.execute("DELETE FROM pages");
	await service.batchUpsert({
		tableName: "pages",
		entities: Array.from({ length: 20 }, (_, at) => ({
			name: `page ${at}`,
			content: `content of page ${at}`,
		})),
	});
	await service.execute(`DROP INDEX IF EXISTS "${hnsw}"`);
});

async function statusOf(indexName = hnsw) {
	const { indexes } = await service.indexer.status();
	return indexes.find((index) => index.indexName === indexName);
}

async function untilPhase(phase: string): Promise<void> {
	await expect
		.poll(async () => (await statusOf())?.phase ?? "")
		.toContain(phase);
}

async function expectWhole(): Promise<void> {
	expect((await statusOf())?.state).toBe("valid");
	const { rows } = await service.execute(
		`SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid
     WHERE NOT indisvalid OR relname ~ '(__next|__old|_cc(new|old)[0-9]*)$'`,
	);
	expect(rows).toEqual([]);
}

test.each([
	["before it begins", openWriter, "waiting for writers before build"],
	["when it waits for snapshots", openSnapshot, "waiting for old snapshots"],
] as const)(
	"a build whose server is stopped at once, %s, is found invalid and made again",
	async (_when, block, phase) => {
		await block(server.url, "embeddings_pages");
		const building = service.createIndexConcurrently(request);
		const ended = building.then(
			() => "built",
			() => "failed",
		);
		await untilPhase(phase);
		await server.stop("immediate");
		await server.start();
		// The call itself tries again; an error would be the next one's work.
		await ended;
		const next = await connect();
		await next.indexer.repair();
		await next.indexer.drain();
		await next.close();
		await expectWhole();
	},
);

test("without an indexer, an index left invalid by a crash of the server is reported, and built on request", async () => {
	await openWriter(server.url, "embeddings_pages");
	const child = startChild(
		`service.createIndexConcurrently({ tableName: "pages", indexType: "hnsw" }).catch(() => {})`,
	);
	await untilPhase("waiting for writers before build");
	await child.kill();
	await server.stop("immediate");
	await server.start();
	// In the queue since before: no process has built it.
	await expect.poll(async () => (await statusOf())?.state).toBe("queued");
	expect(await statusOf()).toMatchObject({ usable: false, attempts: 1 });
	await service.indexer.drain();
	await expectWhole();
});

test("an index that a bulk load dropped is built again when the load's process was killed", async () => {
	await service.createIndexConcurrently(request);
	const child =
		startChild(`service.batchUpsert({ tableName: "pages", bulk: true, entities: (async function* () {
		for (let at = 20; ; at++) {
			if (at > 1500) await new Promise((resolve) => setTimeout(resolve, 50));
			yield { name: "page " + at, content: "content of page " + at };
		}
	})() })`);
	await expect.poll(async () => (await statusOf())?.state).toBe("queued");
	const drained = service.indexer.drain().then(() => "drained");
	// While the load lives no process builds.
	expect(await Promise.race([drained, sleep(2000, "loading")])).toBe("loading");
	await child.kill();
	expect(await drained).toBe("drained");
	await expectWhole();
	const [hit] = await service.vectorSearch({
		tableName: "pages",
		queryText: "content of page 7",
		mode: "approximate",
		limit: 1,
	});
	expect(hit?.similarity).toBeCloseTo(1);
});

/** A process of its own that does this, and has to be killed. */
function startChild(work: string) {
	const child = spawn(
		process.execPath,
		["--input-type=module", "-e", prelude + work],
		{
			env: { ...process.env, DATABASE_URL: server.url },
			stdio: ["ignore", "ignore", "inherit"],
		},
	);
	const exit = new Promise((resolve) => child.once("exit", resolve));
	return {
		kill: async () => {
			child.kill("SIGKILL");
			await exit;
		},
	};
}

const prelude = `
import { createJiti } from "jiti";
const { PostgresService, defineEntity } = await createJiti(import.meta.url).import("./src/index.ts");
const z = await import("zod");
const Page = defineEntity("pages", { name: z.string(), content: z.string() }, { entityKeyField: "name" });
const service = await PostgresService.connect({
	connectionString: process.env.DATABASE_URL, models: [Page],
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false, minRows: 10 },
});
setInterval(() => {}, 1000);
`;
