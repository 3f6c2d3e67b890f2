import { EventEmitter, on } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import * as z from "zod";
import type { PublicMethod } from "../../src/calls/public-methods.ts";
import {
	defineEntity,
	type Handle,
	PostgresService,
	RemError,
} from "../../src/index.ts";
import { rowsVerbs } from "../../src/verbs/repository/verbs.ts";
import { verbs } from "../../src/verbs/verbs.ts";
import { createDatabase, engine, useService } from "../support/engine.ts";
import { hostileValues } from "../support/hostile-values.ts";
import { methodNames } from "../support/public-methods.ts";
import { rowsVerbSamples } from "../support/rows-verb-samples.ts";
import {
	invoke,
	sampleCalls,
	type VerbArguments,
} from "../support/sample-calls.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { verbSamples } from "../support/verb-samples.ts";

// Within transaction() every call belongs on its handle. One that is made
// without it would wait for the transaction for ever on the embedded database,
// and commit beside it on a server: both say so, at once.

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		sessionId: z.string().optional(),
	},
	{ entityKeyField: "name" },
);
const db = useService({ models: [Note], poolSize: 3 });

const id = "00000000-0000-4000-8000-000000000000";
const tableName = "notes";
const migrations = mkdtempSync(join(tmpdir(), "rem-handle-"));
afterAll(() => rmSync(migrations, { recursive: true }));
const never = "does not touch the database";

type Call = () => unknown;
type Calls = Readonly<Record<string, Call | typeof never>>;

const sampleRows = { tableName, tenantId: "default", id };

const ofService: Calls = {
	...sampleCalls(() => db.service, verbSamples(sampleRows)),
	scope: never,
	repository: never,
	migrate: () => db.service.migrate(),
	register: () =>
		db.service.register(
			defineEntity("others", { name: z.string() }, { entityKeyField: "name" }),
		),
	createIndexConcurrently: () =>
		db.service.createIndexConcurrently({ tableName, indexType: "hnsw" }),
	doctor: () => db.service.doctor(),
	checkIsolation: () => db.service.checkIsolation(),
	forget: () => db.service.forget({ tenantId: "forgotten" }),
	execute: () => db.service.execute("SELECT 1"),
	transaction: () => db.service.transaction(async () => 1),
	close: () => db.service.close(),
};

const notes = () => db.service.repository(Note);

const ofRepository: Calls = sampleCalls(notes, rowsVerbSamples(sampleRows));

const ofEmbeddings: Calls = {
	registerProvider: never,
	generateBatch: never,
	start: never,
	openFor: never, // unless the provider of the table's model cannot be asked
	whyNot: never,
	wake: never,
	warnOfMismatch: () => db.service.embeddings.warnOfMismatch(),
	checkProvider: never, // unless there is no key for the configured provider
	status: () => db.service.embeddings.status(),
	sync: () => db.service.embeddings.sync(),
	estimate: () => db.service.embeddings.estimate(),
	plannedModels: () => db.service.embeddings.plannedModels(),
	retry: () => db.service.embeddings.retry(),
	stop: () => db.service.embeddings.stop(),
	switch: () => db.service.embeddings.switch("semantic-v1"),
	checkSwitch: () => db.service.embeddings.checkSwitch("semantic-v1"),
	prune: () => db.service.embeddings.prune("semantic-v1"),
	adopt: () => db.service.embeddings.adopt(),
};

const ofIndexer: Calls = {
	run: () => db.service.indexer.run(),
	check: never,
	noteRows: never,
	bulkLoad: never,
	workOff: never,
	checkAfter: never,
	queueIndex: () =>
		db.service.indexer.queueIndex({ tableName, indexType: "hnsw" }),
	build: () => db.service.indexer.build({ tableName, indexType: "hnsw" }),
	dropCacheIndexes: () => db.service.indexer.dropCacheIndexes(),
	stop: () => db.service.indexer.stop(),
	drain: () => db.service.indexer.drain(),
	status: () => db.service.indexer.status(),
	repair: () => db.service.indexer.repair(),
};

const ofKv: Calls = {
	rebuildInBackground: never,
	sources: never, // reads on the handle that it is given
	status: () => db.service.kv.status(),
	rebuild: () => db.service.kv.rebuild(),
	ensureReady: () => db.service.kv.ensureReady(),
	verify: () => db.service.kv.verify(),
	vacuum: () => db.service.kv.vacuum(),
	settle: () => db.service.kv.settle(),
	noticeEmptied: () => db.service.kv.noticeEmptied(),
	catchUp: () => db.service.kv.catchUp(),
};

const ofSchema: Calls = {
	diff: () => db.service.schema.diff(),
	plan: () => db.service.schema.plan(),
	status: () => db.service.schema.status(),
	repair: () => db.service.schema.repair({ migrations, names: ["0001_x.sql"] }),
	migrate: () => db.service.schema.migrate({}),
	isUpToDate: () => db.service.schema.isUpToDate({}),
};

const classes: readonly [string, () => object, Calls][] = [
	["service", () => db.service, ofService],
	["repository", notes, ofRepository],
	["embeddings", () => db.service.embeddings, ofEmbeddings],
	["indexer", () => db.service.indexer, ofIndexer],
	["kv", () => db.service.kv, ofKv],
	["schema", () => db.service.schema, ofSchema],
];

test.each(classes)(
	"every method of the %s is listed here",
	(_, object, calls) => {
		const methods = methodNames(Object.getPrototypeOf(object()));
		expect(Object.keys(calls).sort()).toEqual(methods.sort());
	},
);

const calls = classes.flatMap(([name, , list]) =>
	Object.entries(list).flatMap(([method, call]): [string, Call][] =>
		call === never ? [] : [[`${name}.${method}`, call as Call]],
	),
);

const mistake = {
	code: "VALIDATION",
	message: expect.stringContaining("without the transaction's handle"),
	hint: expect.stringContaining("transaction: tx"),
};

test.each(calls)(
	"%s without the handle is refused inside transaction(), which goes on",
	async (name, call) => {
		const { rows } = await db.service.transaction(async (tx) => {
			const error = await Promise.resolve(call()).then(
				() => new Error(`${name} was not refused`),
				(e: unknown) => e,
			);
			expect(error).toBeInstanceOf(RemError);
			expect(error).toMatchObject(mistake);
			return tx.query({ text: "SELECT 1 AS one", values: [] });
		});
		expect(rows).toEqual([{ one: 1 }]);
	},
);

test("the mistake is noticed behind awaits, timers and callbacks of the work, and rolls it back when it is not caught", async () => {
	const wrong = db.service.transaction(async (transaction) => {
		await notes().upsert({ name: "lost" }, { transaction });
		await new Promise((resolve) => setTimeout(resolve, 5));
		const [found] = await Promise.all([notes().find({})]);
		return found;
	});
	await expect(wrong).rejects.toMatchObject(mistake);
	expect(await notes().find({ name: "lost" })).toEqual([]);
});

test("it is noticed in a listener of an emitter that was made outside", async () => {
	const outside = new EventEmitter();
	let call: Promise<number> = Promise.resolve(-1);
	outside.on("count", () => {
		call = notes().count();
	});
	await db.service.transaction(async () => {
		outside.emit("count");
		await expect(call).rejects.toMatchObject(mistake);
	});
});

// Nothing distinguishes such a call from one of other code (docs/writing.md).
test("in a queue that was started outside it is a call of its own", async () => {
	const { url, drop } = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: url,
		models: [Note],
		embedding: { provider: "local" },
		connectTimeoutMs: engine === "embedded" ? 300 : 30_000,
	});
	try {
		await service.migrate();
		const queue = new EventEmitter();
		const jobs = on(queue, "job");
		const worker = (async () => {
			const { value } = await jobs.next();
			await value[0]().then(value[1], value[2]);
		})();
		const work = service.transaction(async () => {
			await new Promise((resolve, reject) => {
				const job = () => service.repository(Note).upsert({ name: "beside" });
				queue.emit("job", job, resolve, reject);
			});
			throw new Error("rolled back");
		});
		await expect(work).rejects.toMatchObject(
			engine === "embedded"
				? { code: "POOL_TIMEOUT" }
				: { message: "rolled back" },
		);
		await worker;
		expect(await service.repository(Note).count()).toBe(
			engine === "embedded" ? 0 : 1,
		);
	} finally {
		await service.close();
		await drop();
	}
});

test("calls beside the transaction, and after it, are not affected", async () => {
	let late: (() => Promise<number>) | undefined;
	const inside = db.service.transaction(async (tx) => {
		late = () => notes().count();
		await tx.query({ text: "SELECT 1", values: [] });
		return "inside";
	});
	const beside = notes().count();
	expect(await Promise.all([inside, beside])).toEqual(["inside", 0]);
	expect(await late?.()).toBe(0);
});

test("work that was started inside goes on when the transaction has ended", async () => {
	let after: Promise<number> = Promise.resolve(-1);
	await db.service.transaction(async () => {
		after = new Promise((resolve, reject) => {
			setTimeout(() => notes().count().then(resolve, reject), 50);
		});
	});
	expect(await after).toBe(0);
});

test("inside, everything works on the handle, nested transactions included", async () => {
	await db.service.transaction(async (transaction) => {
		await transaction.transaction(async (inner: Handle) => {
			await notes().upsert({ name: "inner" }, { transaction: inner });
			const hit = await db.service.lookupEntity({
				entityKey: "inner",
				transaction: inner,
			});
			expect(hit?.entityKey).toBe("inner");
		});
		const [row] = await notes().find({ name: "inner" }, { transaction });
		await notes().purge(row?.id as string, undefined, { transaction });
	});
});

describe("a handle whose transaction has ended", () => {
	const used = (transaction: Handle) => ({
		query: () => transaction.query({ text: "SELECT 1", values: [] }),
		script: () => transaction.script("SELECT 1"),
		transaction: () => transaction.transaction(async () => {}),
		upsert: () => notes().upsert({ name: "late" }, { transaction }),
		find: () => notes().find({}, { transaction }),
		delete: () => notes().delete(id, undefined, { transaction }),
		lookup: () => db.service.lookupEntity({ entityKey: "late", transaction }),
	});

	test.each(["committed", "rolled back"])("%s is refused", async (how) => {
		let handle: Handle | undefined;
		let inner: Handle | undefined;
		await db.service
			.transaction(async (tx) => {
				handle = tx;
				await tx.transaction(async (savepoint) => {
					inner = savepoint;
				});
				if (how === "rolled back") throw new Error("no");
			})
			.catch(() => {});
		for (const ended of [handle, inner])
			for (const call of Object.values(used(ended as Handle)))
				await expect(call()).rejects.toMatchObject({
					code: "VALIDATION",
					message: "the transaction of this handle has ended",
				});
		expect(await notes().count({ name: "late" })).toBe(0);
	});

	test("takes no part in the next transaction of its connection", async () => {
		let handle: Handle | undefined;
		await db.service.transaction(async (tx) => {
			handle = tx;
		});
		await db.service.transaction(async () => {
			await expect(
				notes().upsert({ name: "late" }, { transaction: handle as Handle }),
			).rejects.toMatchObject({ code: "VALIDATION" });
		});
	});
});

/** Another service: on a server, on the same database. */
async function openOther(more: { readonly buckets?: number } = {}) {
	const { url, drop } =
		engine === "embedded" || more.buckets !== undefined
			? await createDatabase()
			: { url: db.url, drop: null };
	const other = await PostgresService.connect({
		connectionString: url,
		models: [Note],
		embedding: { provider: "local" },
		...more,
	});
	return { other, drop };
}

describe.each([{}, { buckets: 2 }])("the handle of another service", (more) => {
	/** Every call that takes a handle, with that one. */
	const foreignCalls = (other: PostgresService<[typeof Note]>, tx: Handle) => {
		const withHandle = (
			target: object,
			all: readonly { name: string; method: PublicMethod }[],
			samples: Readonly<Record<string, VerbArguments>>,
		) =>
			all.map(({ name, method }) => {
				const at = method.parameters.findIndex(({ table }) =>
					table?.names.includes("transaction"),
				);
				const given = [...(samples[name]?.given ?? [])];
				given[at] = { ...(given[at] as object), transaction: tx };
				return { name, at, call: () => invoke(target, name, given) };
			});
		const scope = other.scope({ tenantId: "default" });
		return [
			...withHandle(other, verbs, verbSamples(sampleRows)),
			...withHandle(scope, verbs, verbSamples(sampleRows)),
			...[other, scope].flatMap((service) =>
				withHandle(
					service.repository(Note),
					rowsVerbs,
					rowsVerbSamples(sampleRows),
				),
			),
		];
	};

	test(`is refused by every method that takes one${more.buckets === undefined ? "" : ", with buckets"}`, async () => {
		const { other, drop } = await openOther(more);
		try {
			await other.migrate();
			await db.service.transaction(async (tx) => {
				for (const outer of [tx, "savepoint"] as const)
					await tx.transaction(
						async (savepoint) => {
							const handle = outer === tx ? tx : savepoint;
							for (const { name, at, call } of foreignCalls(other, handle)) {
								expect(at, name).toBeGreaterThanOrEqual(0);
								await expect(call(), name).rejects.toMatchObject({
									code: "VALIDATION",
									message: expect.stringContaining("handle of another service"),
									hint: expect.stringContaining("transaction()"),
								});
							}
						},
						{ idempotent: true },
					);
				// The service's own, and its scopes, take it.
				const own = db.service.scope({ tenantId: "default" });
				expect(await own.repository(Note).count({}, { transaction: tx })).toBe(
					0,
				);
			});
			expect(await notes().count()).toBe(0);
		} finally {
			await other.close();
			await drop?.();
		}
	});
});

test("another service is another database: its calls are its own", async () => {
	const { other, drop } = await openOther();
	try {
		await other.migrate();
		await db.service.transaction(async () => {
			expect(await other.repository(Note).count()).toBe(0);
			await other.transaction(async () => {
				await expect(notes().count()).rejects.toMatchObject(mistake);
			});
		});
	} finally {
		await other.close();
		await drop?.();
	}
});

test("what the service does in the background is not taken for the work's own", async () => {
	await db.service.transaction(async (transaction) => {
		db.service.kv.rebuildInBackground();
		db.service.embeddings.start();
		db.service.indexer.check();
		await notes().upsert({ name: "background", content: "c" }, { transaction });
		await db.service.lookupEntity({ entityKey: "background", transaction });
	});
	await db.service.embeddings.stop();
	await db.service.kv.settle();
	expect(await db.service.kv.status()).toMatchObject({ ready: true });
});

describe.runIf(engine === "server")("after a statement that failed", () => {
	test("the connection is handed on without the transaction, though the server's word on it comes later", async () => {
		const proxy = await TcpProxy.start(Number(new URL(db.url).port));
		proxy.split();
		const service = await PostgresService.connect({
			connectionString: proxy.through(db.url),
			models: [Note],
			embedding: { provider: "local" },
			poolSize: 1,
		});
		try {
			for (let round = 0; round < 5; round++) {
				await expect(
					service.transaction(async () => {}, { settings: { nowhere: "x" } }),
				).rejects.toMatchObject({ code: "VALIDATION" });
				expect((await service.execute("SELECT 1 AS one", [])).rows).toEqual([
					{ one: 1 },
				]);
				await expect(
					service.execute("BEGIN; SELECT 1/0"),
				).rejects.toMatchObject({ sqlState: "22012" });
				await service.execute("SELECT 1", []);
			}
		} finally {
			await service.close();
			await proxy.stop();
		}
	});
});

describe("an option of a statement on the handle", () => {
	const statement = { text: "SELECT 1", values: [] };
	const asked = (options: unknown) =>
		db.service.transaction((tx) => tx.query(statement, options as object));

	test.each([
		"name",
		"readsUnlogged",
		"idempotent",
		"isLimited",
		"retries",
		"signal",
		"timeoutMs",
	])("%s of another type is VALIDATION", async (name) => {
		for (const [what, value] of hostileValues) {
			const error = await asked({ [name]: value }).then(
				() => undefined,
				(error: unknown) => error,
			);
			if (error !== undefined)
				expect(error, `${name} = ${what}`).toMatchObject({
					name: "RemError",
					code: "VALIDATION",
				});
		}
	});

	test("that is unknown, or cannot be read, is VALIDATION", async () => {
		await expect(asked({ timeout_ms: 5 })).rejects.toMatchObject({
			code: "VALIDATION",
			message: 'unknown option "timeout_ms" of query',
			hint: 'did you mean "timeoutMs"?',
		});
		for (const [what, value] of hostileValues) {
			if (
				what === "an empty object" ||
				what === "an object without a prototype"
			)
				continue;
			await expect(asked(value), what).rejects.toMatchObject({
				name: "RemError",
				code: "VALIDATION",
			});
		}
	});

	test("of a transaction inside it that cannot be read is VALIDATION", async () => {
		const broken = Object.defineProperty({}, "readOnly", {
			enumerable: true,
			get() {
				throw new TypeError("mine");
			},
		});
		await expect(
			db.service.transaction((tx) => tx.transaction(async () => {}, broken)),
		).rejects.toMatchObject({ code: "VALIDATION" });
	});
});
