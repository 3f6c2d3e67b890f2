import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Handle, PostgresService } from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { publicMethods } from "../support/public-methods.ts";
import { rowsVerbSamples } from "../support/rows-verb-samples.ts";
import { sampleCalls } from "../support/sample-calls.ts";
import { verbSamples } from "../support/verb-samples.ts";

// Every public method ends within `queryTimeoutMs` while its table is locked, or
// says here why it does not. On the embedded database nothing can be cancelled:
// there a call waits for the one connection, `connectTimeoutMs` at most.

const Paper = defineEntity(
	"papers",
	{ name: z.string(), content: z.string(), sessionId: z.string().optional() },
	{ entityKeyField: "name" },
);
const models = [Paper] as const;
const options = {
	models,
	embedding: { provider: "local", dimensions: 16 },
	backgroundIndex: { enabled: false },
	connectTimeoutMs: 300,
} as const;
const tenantId = "acme";
const tableName = "papers";
const id = "00000000-0000-4000-8000-000000000000";

const db = useService(
	engine === "embedded"
		? options
		: // Another service than the one whose calls wait: it holds the locks.
			{ ...options, connectTimeoutMs: 30_000 },
);

let service: PostgresService<typeof models>;
const folder = mkdtempSync(join(tmpdir(), "rem-limits-"));

beforeAll(async () => {
	await db.service.batchUpsert({
		tableName,
		entities: [{ name: "a", content: "about a" }],
		tenantId,
	});
	service =
		engine === "embedded"
			? db.service
			: await PostgresService.connect({
					...options,
					connectTimeoutMs: 30_000,
					connectionString: db.url,
					poolSize: 1,
					queryTimeoutMs: 300,
				});
});
afterAll(async () => {
	rmSync(folder, { recursive: true });
	await service?.close();
});

type Call = () => Promise<unknown>;
/** Why a call may take longer, or needs no connection. */
type Reason = string;

const long = {
	schema: "changes tables, and waits for locks by a rule of its own",
	rows: "goes through all rows, statement by statement",
	index: "builds or drops indexes",
	sql: "SQL of the caller",
	work: "waits for work of this process in the background",
} as const;
const noTable = "reads no table";
const noBuckets = "the service of this test has no buckets";

const papers = () => service.repository(Paper);
const request = { tableName, indexType: "hnsw" } as const;
const sampleRows = { tableName, tenantId, id };

const calls: Record<
	keyof typeof publicMethods,
	Readonly<Record<string, Call | Reason>>
> = {
	PostgresService: {
		...sampleCalls(() => service, verbSamples(sampleRows)),
		checkIsolation: () => service.checkIsolation(),
		// Reports what it could not look at: below.
		doctor: "reports the time-out",
		migrate: long.schema,
		register: long.schema,
		createIndexConcurrently: long.index,
		forget: long.rows,
		execute: long.sql,
		transaction: long.sql,
		close: long.work,
		scope: noTable,
		repository: noTable,
	},
	Repository: sampleCalls(papers, rowsVerbSamples(sampleRows)),
	KvCache: {
		status: () => service.kv.status(),
		verify: () => service.kv.verify(),
		// Where the cache is not ready, the rebuild is long.
		ensureReady: () => service.kv.ensureReady(),
		rebuild: long.rows,
		vacuum: long.rows,
	},
	BackgroundIndexer: {
		status: () => service.indexer.status(),
		repair: () => service.indexer.repair(),
		queueIndex: () => service.indexer.queueIndex(request),
		build: long.index,
		drain: long.index,
		run: long.index,
		stop: long.work,
		check: noTable,
	},
	SchemaLifecycle: {
		diff: () => service.schema.diff(),
		plan: () => service.schema.plan(),
		status: () => service.schema.status(),
		repair: () =>
			service.schema.repair({ migrations: folder, names: ["0001_x.sql"] }),
	},
	Embeddings: {
		status: () => service.embeddings.status(),
		estimate: () => service.embeddings.estimate(),
		retry: () => service.embeddings.retry(),
		switch: () => service.embeddings.switch("lexical-v1"),
		sync: long.rows,
		prune: long.rows,
		stop: long.work,
		start: noTable,
		registerProvider: noTable,
		generateBatch: noTable,
	},
	Placement: {
		// Those of the test of buckets.
		status: noBuckets,
		move: long.rows,
	},
	Registry: {
		add: noTable,
		remove: noTable,
		has: noTable,
		get: noTable,
		all: noTable,
	},
};

test.each(Object.entries(publicMethods))(
	"every method of %s is listed here",
	(name, methods) => {
		const listed = calls[name] ?? {};
		expect(Object.keys(listed).sort()).toEqual(Object.keys(methods).sort());
	},
);

test("the documentation lists the calls without a limit", () => {
	const text = readFileSync("docs/operations.md", "utf8");
	const [, list = ""] = text.split("- Calls whose purpose is long work");
	const [paragraph = ""] = list.split("\n- ");
	const reasons: readonly Reason[] = Object.values(long);
	for (const methods of Object.values(calls))
		for (const [name, reason] of Object.entries(methods))
			if (typeof reason === "string" && reasons.includes(reason))
				expect(paragraph).toMatch(new RegExp(`[\`.]${name}\``));
});

const limited = Object.entries(calls).flatMap(([name, methods]) =>
	Object.entries(methods).flatMap(([method, call]): [string, Call][] =>
		typeof call === "string" ? [] : [[`${name}.${method}`, call]],
	),
);

async function tables(): Promise<string[]> {
	const { rows } = await db.service.execute<{ name: string }>(
		"SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
	);
	return rows.map(({ name }) => name);
}

/** Runs the work while no statement on the tables goes on. */
function whileLocked<T>(
	names: readonly string[],
	work: (tx: Handle) => Promise<T>,
): Promise<T> {
	return db.service.transaction(async (tx) => {
		await tx.script(`LOCK TABLE ${names.join(", ")} IN ACCESS EXCLUSIVE MODE`);
		return work(tx);
	});
}

const waiting = async (tx: Handle) => {
	const { rows } = await tx.query<{ query: string }>({
		text: "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
		values: [],
	});
	return rows.map(({ query }) => query);
};

describe.runIf(engine === "server")("while every table is locked", () => {
	test.each(limited)("%s ends, and nothing of it goes on", async (_, call) => {
		await whileLocked(await tables(), async (tx) => {
			expect(await codeOf(call())).toBe("QUERY_TIMEOUT");
			expect(await waiting(tx)).toEqual([]);
		});
	});

	test("the rows of a tenant are repaired within the limit, too", async () => {
		await db.service.execute("DELETE FROM kv_store");
		await whileLocked(["papers"], async () => {
			expect(await codeOf(service.kv.verify({ repair: true }))).toBe(
				"QUERY_TIMEOUT",
			);
		});
		expect(await service.kv.verify({ repair: true })).toMatchObject({
			repaired: 1,
		});
	});

	test("a limit is that of a statement, not of a call", async () => {
		const pages: number[] = [];
		await service.kv.verify({ onProgress: ({ done }) => pages.push(done) });
		expect(pages).toEqual([1]);
	});

	test.each(["rem_migrations", "papers"])(
		"migrate gives up a lock of %s as its options say",
		async (table) => {
			await db.service.execute("ALTER TABLE papers ALTER id DROP DEFAULT");
			await whileLocked([table], async () => {
				expect(
					await codeOf(
						service.migrate({ lockTimeoutMs: 100, lockAttempts: 2 }),
					),
				).toBe("MIGRATION_FAILED");
			});
			await service.migrate();
		},
	);

	test("a service connects nevertheless", async () => {
		await whileLocked(await tables(), async () => {
			const connected = PostgresService.connect({
				...options,
				connectionString: db.url,
				queryTimeoutMs: 300,
				connectTimeoutMs: 30_000,
			});
			expect(await codeOf(connected.then((one) => one.close()))).toBe(
				"no error",
			);
		});
	});
});

describe.runIf(engine === "server")("doctor", () => {
	const lockedTables = [
		"papers",
		"embeddings_papers",
		"kv_store",
		"kv_state",
		"rem_migrations",
		"rem_embedding_models",
		"rem_embedding_queue",
		"rem_embedding_fields",
		"rem_embedding_versions",
		"rem_index_builds",
		"rem_word_sources",
		"rem_words_papers",
	];

	test("knows every table of the schema", async () => {
		expect(await tables()).toEqual([...lockedTables].sort());
	});

	test.each(lockedTables)(
		"reports that %s is locked, and looks at all else",
		async (table) => {
			const patient = await PostgresService.connect({
				...options,
				connectionString: db.url,
				connectTimeoutMs: 30_000,
				queryTimeoutMs: 1000,
				poolSize: 2,
			});
			try {
				const names = (checks: readonly { name: string }[]) => [
					...new Set(checks.map(({ name }) => name)),
				];
				const usual = await patient.doctor();
				const { state, checks } = await whileLocked([table], () =>
					patient.doctor(),
				);
				const late = checks.filter(({ found }) =>
					found.includes(`${table} is locked by process`),
				);
				expect(late).not.toEqual([]);
				for (const check of late)
					expect(check).toMatchObject({
						state: "warning",
						found: expect.stringMatching(
							/^not looked at: .* 1000 ms.*(idle in transaction)/,
						),
						remedy: expect.stringContaining("pg_terminate_backend("),
					});
				expect(state).not.toBe("failed");
				expect(names(checks)).toEqual(names(usual.checks));
				expect(late.length).toBeLessThan(checks.length);
			} finally {
				await patient.close();
			}
		},
	);
});

describe.runIf(engine === "embedded")(
	"while a transaction has the only connection",
	() => {
		/** Outside of the transaction, like the call of other code. */
		async function whileTaken(work: () => Promise<void>): Promise<void> {
			let end = () => {};
			let begin = () => {};
			const begun = new Promise<void>((resolve) => {
				begin = resolve;
			});
			const taken = db.service.transaction(async () => {
				begin();
				await new Promise<void>((resolve) => {
					end = resolve;
				});
			});
			await begun;
			await work().finally(() => {
				end();
				return taken;
			});
		}

		test.each(limited)("%s ends", async (_, call) => {
			await whileTaken(async () => {
				expect(await codeOf(call())).toBe("POOL_TIMEOUT");
			});
		});

		test("doctor reports it", async () => {
			await whileTaken(async () => {
				const { state, checks } = await service.doctor();
				expect(state).toBe("failed");
				expect(checks.at(-1)?.found).toContain("connections are busy");
			});
		});
	},
);
