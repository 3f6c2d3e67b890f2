import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type Handle,
	PostgresService,
	sql,
} from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";

// The embedded database runs one statement at a time in this very process: there
// is nothing that could cancel it.

const Paper = defineEntity(
	"papers",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const Remark = defineEntity(
	"remarks",
	{ content: z.string(), sessionId: z.string() },
	{ entityKeyField: null },
);
const models = [Paper, Remark] as const;
const embedding = { provider: "local", dimensions: 16 } as const;
const backgroundIndex = { enabled: false };

const db = useService({ models, embedding, backgroundIndex });
const tenantId = "acme";

let service: PostgresService<typeof models>;
let id: string;
let remark: string;

beforeAll(async () => {
	if (engine === "embedded") return;
	await db.service.batchUpsert({
		tableName: "papers",
		entities: ["a", "b"].map((name) => ({ name, content: `about ${name}` })),
		tenantId,
	});
	await db.service.repository(Remark).upsert({
		content: "first",
		sessionId: "s",
		tenantId,
	});
	id = (await db.service.repository(Paper).find({ name: "a" }))[0]?.id ?? "";
	remark = (await db.service.repository(Remark).find({}))[0]?.id ?? "";
	service = await PostgresService.connect({
		connectionString: db.url,
		models,
		embedding,
		backgroundIndex,
		poolSize: 1,
		queryTimeoutMs: 300,
		// Long enough to send it again many times.
		retryTimeoutMs: 60_000,
	});
});
afterAll(() => service?.close());

const waiting = async (tx: Handle) => {
	const { rows } = await tx.query<{ query: string }>(
		sql`SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
	);
	return rows.map(({ query }) => query);
};

/** Runs the work while no statement on our tables goes on. */
async function whileLocked(work: (tx: Handle) => Promise<void>): Promise<void> {
	await db.service.transaction(async (tx) => {
		await tx.script(
			"LOCK TABLE papers, remarks, embeddings_papers, embeddings_remarks, kv_store IN ACCESS EXCLUSIVE MODE",
		);
		await work(tx);
	});
}

const processId = async () =>
	(await service.execute<{ pid: number }>("SELECT pg_backend_pid() AS pid"))
		.rows[0]?.pid;

type Call = () => Promise<unknown>;
const papers = () => service.repository(Paper);
const remarks = () => service.repository(Remark);

const reads: Record<string, Call> = {
	find: () => papers().find({ tenantId }),
	findOne: () => papers().findOne({ tenantId }),
	findPage: () => papers().findPage({ tenantId }),
	count: () => papers().count({ tenantId }),
	iterate: async () => {
		for await (const _ of papers().iterate({ tenantId }));
	},
	getById: () => papers().getById(id, tenantId),
	getBySession: () => remarks().getBySession({ sessionId: "s", tenantId }),
	lookupEntity: () => service.lookupEntity({ entityKey: "a", tenantId }),
	fuzzySearch: () => service.fuzzySearch({ query: "a", tenantId }),
	vectorSearch: () =>
		service.vectorSearch({ tableName: "papers", queryText: "a", tenantId }),
	hybridSearch: () =>
		service.hybridSearch({ tableName: "papers", query: "a", tenantId }),
	evaluate: () =>
		service.evaluate({
			tableName: "papers",
			queries: [{ query: "a", relevant: ["a"] }],
			tenantId,
		}),
	recall: () => service.recall({ query: "a", tenantId }),
	traverse: () => service.traverse({ from: "a", tenantId }),
	query: () => service.query("SQL papers LIMIT 1", { tenantId }),
};

const writes: Record<string, Call> = {
	"batchUpsert by key": () =>
		service.batchUpsert({
			tableName: "papers",
			entities: [{ name: "new", content: "new" }],
			tenantId,
		}),
	"batchUpsert without a key": () =>
		service.batchUpsert({
			tableName: "remarks",
			entities: [{ content: "second", sessionId: "s" }],
			tenantId,
		}),
	update: () => papers().update(id, { content: "newer" }, { tenantId }),
	updateMany: () =>
		papers().updateMany({ name: "a" }, { content: "newest" }, { tenantId }),
	delete: () => papers().delete(id, tenantId),
	restore: () => papers().restore(id, tenantId),
	purge: () => remarks().purge(remark, tenantId),
	link: () =>
		service.link({
			from: "a",
			edges: [{ dst: "b", rel_type: "cites" }],
			tenantId,
		}),
	unlink: () => service.unlink({ from: "a", dst: "b", tenantId }),
};

describe.runIf(engine === "server")("queryTimeoutMs", () => {
	test.each(Object.entries({ ...reads, ...writes }))(
		"%s is cancelled on the server, sent once, and its connection goes on",
		async (_, call) => {
			const before = await processId();
			await whileLocked(async (tx) => {
				const started = performance.now();
				const failure = await call().then(
					() => undefined,
					(error: unknown) => error,
				);
				expect(failure).toMatchObject({
					code: "QUERY_TIMEOUT",
					sqlState: "57014",
					hint: expect.stringContaining("POSTGRES__QUERY_TIMEOUT_MS"),
				});
				// Sent again, it would take what retryTimeoutMs gives it.
				expect(performance.now() - started).toBeLessThan(50_000);
				expect(await waiting(tx)).toEqual([]);
			});
			expect(await processId()).toBe(before);
		},
	);

	test("what was cancelled is not applied", async () => {
		expect(await papers().count({ name: "new" })).toBe(0);
		expect(await remarks().count()).toBe(1);
		expect((await papers().getById(id, tenantId))?.graphEdges).toEqual([]);
	});

	test("SQL of your own, and a transaction of yours, have no limit", async () => {
		await service.execute("SELECT pg_sleep(0.6)");
		await service.transaction(async (tx) => {
			await tx.script("SELECT pg_sleep(0.6)");
			await papers().find({ tenantId }, { transaction: tx });
		});
	});

	test("a statement that ends just as it is cancelled is the only one that may fail", async () => {
		const brisk = await PostgresService.connect({
			connectionString: db.url,
			models,
			embedding,
			backgroundIndex,
			poolSize: 2,
			queryTimeoutMs: 1,
			retryTimeoutMs: 0,
		});
		try {
			const codes = new Set<string>();
			for (let at = 0; at < 100; at++) {
				codes.add(await codeOf(brisk.repository(Paper).find({ tenantId })));
				// Never cancelled by what was meant for the one before.
				expect(await codeOf(brisk.execute("SELECT 1"))).toBe("no error");
			}
			codes.delete("no error");
			codes.delete("QUERY_TIMEOUT");
			expect([...codes]).toEqual([]);
		} finally {
			await brisk.close();
		}
	});
});
