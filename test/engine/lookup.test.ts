import { AsyncResource } from "node:async_hooks";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod";
import {
	type ConnectOptions,
	defineEntity,
	PostgresService,
	RemError,
} from "../../src/index.ts";
import { codeOf, coresOf, engine, useService } from "../support/engine.ts";
import { readPlans } from "../support/read-plans.ts";

const Everything = defineEntity(
	"everything",
	{
		name: z.string(),
		text: z.string().optional(),
		flag: z.boolean().optional(),
		whole: z.int().optional(),
		big: z.bigint().optional(),
		ratio: z.number().optional(),
		at: z.date().optional(),
		ref: z.uuid().optional(),
		data: z.object({ a: z.array(z.number()) }).optional(),
		texts: z.array(z.string()).optional(),
		flags: z.array(z.boolean()).optional(),
		bigs: z.array(z.bigint()).optional(),
		ratios: z.array(z.number()).optional(),
		dates: z.array(z.date()).optional(),
		refs: z.array(z.uuid()).optional(),
	},
	{ entityKeyField: "name" },
);
const Plain = defineEntity(
	"plain",
	{ name: z.string() },
	{ entityKeyField: "name" },
);
const Common = defineEntity(
	"common",
	{ name: z.string(), area: z.int().optional() },
	{ entityKeyField: "name", tenantScoped: false },
);
const models = [Everything, Plain, Common] as const;

// The statements of a call are counted: nothing else is to be sent beside it.
const db = useService({ models, backgroundIndex: { enabled: false } });

const whole = {
	name: "Whole",
	text: `"quoted", {braced}, back\\slash, line\nbreak, 🙂, NULL`,
	flag: false,
	whole: -7,
	big: 9_007_199_254_740_993n,
	ratio: 0.1,
	at: new Date("1969-12-31T23:59:59.123Z"),
	ref: "0190f7a0-0000-7000-8000-000000000000",
	data: { a: [1, 2.5] },
	texts: ['a"b', "c,d", "{e}", "NULL", ""],
	flags: [true, false],
	bigs: [1n, -9_007_199_254_740_993n],
	ratios: [1.5, -2],
	dates: [new Date("2020-01-01T00:00:00Z")],
	refs: ["0190f7a0-0000-7000-8000-000000000001"],
	tags: ["x y"],
	metadata: { snake_case: 1, deep: { camelCase: [null] } },
	graphEdges: [{ dst: "Other", rel_type: "knows" }],
	userId: "u",
};

const plain = (tenantId: string, names: readonly string[]) =>
	db.service.batchUpsert({
		tableName: "plain",
		entities: names.map((name) => ({ name })),
		tenantId,
	});

/** How many statements the work sends. */
async function statements(work: () => Promise<unknown>): Promise<number> {
	const query = vi.spyOn(db.service.core.db, "query");
	try {
		await work();
		return query.mock.calls.length;
	} finally {
		query.mockRestore();
	}
}

describe("hydrate", () => {
	test("brings the row that find returns, every type of column, in the same statement", async () => {
		const tenantId = "hydrate";
		await db.service.batchUpsert({
			tableName: "everything",
			entities: [whole, { name: "Bare" }],
			tenantId,
		});
		const rows = await db.service
			.repository(Everything)
			.find({ tenantId }, { orderBy: "name" });
		let records: unknown[] = [];
		const sent = await statements(async () => {
			const hits = await db.service.lookupEntities({
				entityKeys: ["bare", "WHOLE"],
				tenantId,
				hydrate: true,
			});
			records = hits.map(({ record }) => record);
		});
		expect(records).toEqual(rows);
		expect(rows[1]).toMatchObject(whole);
		expect(sent).toBe(1);
	});

	test("distinguishes records by the entity's type", async () => {
		const tenantId = "hydrate types";
		await plain(tenantId, ["same"]);
		await db.service.batchUpsert({
			tableName: "everything",
			entities: [{ name: "same", whole: 5 }],
			tenantId,
		});
		await db.service.batchUpsert({
			tableName: "common",
			entities: [{ name: "same", area: 3 }],
		});
		const hits = await db.service.lookupEntities({
			entityKeys: ["same"],
			tenantId,
			hydrate: true,
		});
		const facts = hits.map((hit) => {
			switch (hit.entityType) {
				case "everything":
					return ["everything", hit.record?.whole];
				case "common":
					return ["common", hit.record?.area];
				default:
					return [hit.entityType, hit.record?.name];
			}
		});
		expect(new Map(facts as [string, unknown][])).toEqual(
			new Map<string, unknown>([
				["everything", 5],
				["common", 3],
				["plain", "same"],
			]),
		);
		const one = await db.service.lookupEntity({
			entityKey: "same",
			entityType: "everything",
			tenantId,
			hydrate: true,
		});
		expect(one?.record?.whole).toBe(5);
	});

	test("is left out unless it is asked for", async () => {
		await plain("unhydrated", ["a"]);
		const [hit] = await db.service.lookupEntities({
			entityKeys: ["a"],
			tenantId: "unhydrated",
		});
		expect(hit).toBeDefined();
		expect(hit).not.toHaveProperty("record");
	});

	test("checks the row itself: an entry whose row is gone, deleted or another tenant's is no hit", async () => {
		const tenantId = "stale";
		const { ids } = await plain(tenantId, ["gone", "deleted", "moved", "live"]);
		const [gone, deleted, moved] = ids;
		// Changed behind the cache's back.
		await db.service.execute(`
SET session_replication_role = replica;
ALTER TABLE plain DISABLE TRIGGER USER;
DELETE FROM plain WHERE id = '${gone}';
UPDATE plain SET deleted_at = now() WHERE id = '${deleted}';
UPDATE plain SET tenant_id = 'thief' WHERE id = '${moved}';
ALTER TABLE plain ENABLE TRIGGER USER;
SET session_replication_role = origin`);
		const found = async (hydrate: boolean, tenant = tenantId) => {
			const hits = await db.service.lookupEntities({
				entityKeys: ["gone", "deleted", "moved", "live"],
				tenantId: tenant,
				hydrate,
			});
			return hits.map(({ entityKey }) => entityKey);
		};
		expect(await found(false)).toEqual(["gone", "deleted", "moved", "live"]);
		expect(await found(true)).toEqual(["live"]);
		expect(await found(true, "thief")).toEqual([]);
		await db.service.execute(
			`DELETE FROM kv_store WHERE tenant_id = '${tenantId}'; DELETE FROM plain WHERE tenant_id IN ('${tenantId}', 'thief')`,
		);
	});

	test("works while the cache is empty", async () => {
		const tenantId = "hydrate uncached";
		await plain(tenantId, ["a"]);
		await db.service.execute("DELETE FROM kv_state; DELETE FROM kv_store");
		const [hit] = await db.service.lookupEntities({
			entityKeys: ["A"],
			tenantId,
			hydrate: true,
		});
		expect(hit?.record).toMatchObject({ name: "a", tenantId });
		await db.service.kv.ensureReady();
	});

	test("leaves the record out where no model is registered for the type", async () => {
		const tenantId = "unregistered";
		await plain(tenantId, ["a"]);
		const { core } = db.service;
		const table = core.registry.get("plain");
		core.registry.remove(table.entity);
		onTestFinished(() => {
			core.registry.add(table.entity);
		});
		const [hit] = await db.service.lookupEntities({
			entityKeys: ["a"],
			tenantId,
			hydrate: true,
		});
		expect(hit).toMatchObject({ entityType: "plain", entityKey: "a" });
		expect(hit).not.toHaveProperty("record");
	});
});

describe("lookups of one tick", () => {
	const tenantId = "tick";
	const names = Array.from({ length: 30 }, (_, at) => `name ${at}`);
	const look = (entityKey: string, more: object = {}) =>
		db.service.lookupEntity({ entityKey, tenantId, ...more });

	beforeAll(async () => {
		await plain(tenantId, [...names, "NAME 3"]);
		await plain("tick 2", ["name 1"]);
	});

	test("are one statement, and each gets its own answer", async () => {
		const keys = [...names, "nobody", "name 3", "Name_3"];
		let hits: unknown[] = [];
		const sent = await statements(async () => {
			hits = await Promise.all(keys.map((key) => look(key)));
		});
		expect(sent).toBe(1);
		expect(
			hits.map((hit) => (hit as { entityKey?: string } | undefined)?.entityKey),
		).toEqual([...names, undefined, "name 3", expect.stringMatching(/3$/)]);
	});

	test("of many keys each get every match of theirs, in their order", async () => {
		const lists = [["name 3", "x"], [], ["name 5", "name 3"], ["name 3"]];
		let found: string[][] = [];
		const sent = await statements(async () => {
			found = await Promise.all(
				lists.map(async (entityKeys) => {
					const hits = await db.service.lookupEntities({
						entityKeys,
						tenantId,
					});
					return hits.map((hit) => `${hit.requestedKey}=${hit.entityKey}`);
				}),
			);
		});
		const threes = ["name 3=name 3", "name 3=NAME 3"];
		expect(found).toEqual([threes, [], ["name 5=name 5", ...threes], threes]);
		expect(sent).toBe(1);
	});

	test("join also where they come from promises that settle together", async () => {
		const sent = await statements(() =>
			Promise.all(
				names.map(async (name) => {
					await Promise.resolve();
					await Promise.resolve();
					return look(name);
				}),
			),
		);
		expect(sent).toBe(1);
	});

	test("of different tenants, users, types or columns stay apart", async () => {
		const calls = [
			{},
			{ tenantId: "tick 2" },
			{ userId: "u" },
			{ userId: null },
			{ userId: "null" },
			{ userId: "undefined" },
			{ entityType: "plain" },
			{ hydrate: true },
		];
		let hits: unknown[] = [];
		const sent = await statements(async () => {
			hits = await Promise.all(calls.map((call) => look("name 1", call)));
		});
		expect(sent).toBe(calls.length);
		expect(
			new Set(hits.map((hit) => (hit as { entityId: string }).entityId)).size,
		).toBe(2);
	});

	test("do not suffer from one another: a bad key fails alone", async () => {
		const [good, empty, long, unknown] = await Promise.all([
			look("name 1"),
			codeOf(look("")),
			codeOf(look("k".repeat(256))),
			codeOf(look("name 1", { entityType: "plein" })),
		]);
		expect(good?.entityKey).toBe("name 1");
		expect([empty, long, unknown]).toEqual([
			"VALIDATION",
			"INPUT_LIMIT",
			"UNKNOWN_ENTITY",
		]);
	});

	test("all fail when their statement does, and the next one works", async () => {
		vi.spyOn(db.service.core.db, "query").mockRejectedValueOnce(
			new RemError("CONNECTION_FAILED", "gone"),
		);
		const codes = await Promise.all([
			codeOf(look("name 1")),
			codeOf(look("name 2")),
		]);
		vi.restoreAllMocks();
		expect(codes).toEqual(["CONNECTION_FAILED", "CONNECTION_FAILED"]);
		expect(await look("name 1")).toBeDefined();
	});

	test("of a transaction see what it has written, others do not", async () => {
		// A caller that is not part of the transaction's work.
		const lookBeside = AsyncResource.bind(look);
		const [inside, outside] = await db.service.transaction(
			async (transaction) => {
				await db.service.batchUpsert({
					tableName: "plain",
					entities: [{ name: "uncommitted" }],
					tenantId,
					transaction,
				});
				const other =
					db.service.capabilities.maxConnections > 1
						? lookBeside("uncommitted")
						: undefined;
				return Promise.all([look("uncommitted", { transaction }), other]);
			},
		);
		expect(inside?.entityKey).toBe("uncommitted");
		expect(outside).toBeUndefined();
	});

	test("more than fit into a statement go in several", async () => {
		const lists = Array.from({ length: 4 }, (_, list) =>
			Array.from({ length: 200 }, (_, at) => `name ${(list * 200 + at) % 30}`),
		);
		let counts: number[] = [];
		const sent = await statements(async () => {
			counts = await Promise.all(
				lists.map(async (entityKeys) => {
					const hits = await db.service.lookupEntities({
						entityKeys,
						tenantId,
					});
					return new Set(hits.map(({ requestedKey }) => requestedKey)).size;
				}),
			);
		});
		expect(counts).toEqual([30, 30, 30, 30]);
		expect(sent).toBe(2);
	});

	test("are sent one by one if the service is configured so", async () => {
		const options: ConnectOptions<typeof models> = {
			connectionString: db.url,
			models,
			coalesceLookups: false,
		};
		const service = await PostgresService.connect<typeof models>(options);
		onTestFinished(() => service.close());
		if (service.capabilities.kind === "embedded") await service.migrate();
		const query = vi.spyOn(service.core.db, "query");
		await Promise.all(
			names.map((entityKey) => service.lookupEntity({ entityKey, tenantId })),
		);
		// The service's own upkeep asks the same database.
		const lookups = query.mock.calls.filter(
			([, options]) => options?.readsUnlogged,
		);
		expect(lookups).toHaveLength(names.length);
	});
});

test("a lookup is planned once per connection, under a name of its text", async () => {
	const query = vi.spyOn(db.service.core.db, "query");
	onTestFinished(() => query.mockRestore());
	const call = { entityKey: "a", tenantId: "named" };
	await db.service.lookupEntity(call);
	await db.service.lookupEntity({ ...call, tenantId: "other" });
	await db.service.lookupEntity({ ...call, userId: "u" });
	const names = query.mock.calls.map(([, options]) => options?.name);
	expect(names[0]).toMatch(/^rem_lookup_[0-9a-f]{16}$/);
	expect(names[1]).toBe(names[0]);
	expect(names[2]).not.toBe(names[0]);
});

test.runIf(engine === "server")(
	"the plan is reused: PostgreSQL finds no custom plan cheaper",
	async () => {
		const service = await PostgresService.connect({
			connectionString: db.url,
			models,
			poolSize: 1,
		});
		onTestFinished(() => service.close());
		for (let at = 0; at < 10; at++)
			await service.lookupEntity({ entityKey: `key ${at}`, tenantId: "t" });
		// Of a named statement the first five plans are made for their values.
		const { rows } = await service.execute(
			"SELECT custom_plans::int, generic_plans::int FROM pg_prepared_statements WHERE name LIKE 'rem_lookup_%'",
		);
		expect(rows).toEqual([{ custom_plans: 5, generic_plans: 5 }]);
	},
);

test("a name in a small cache is found by the index as well: stored plans outlive its growth", async () => {
	await db.service.batchUpsert({
		tableName: "plain",
		entities: Array.from({ length: 200 }, (_, at) => ({ name: `small ${at}` })),
		tenantId: "small",
	});
	for (const { settings } of coresOf(db.service))
		await db.service.execute(`ANALYZE ${settings.schema}.kv_store`);
	const names = ["small 7", "small 8"];
	for (const find of [
		() => db.service.lookupEntity({ entityKey: "small 7", tenantId: "small" }),
		() => db.service.lookupEntities({ entityKeys: names, tenantId: "small" }),
	]) {
		const [plan, ...others] = await readPlans(db.service, find);
		expect(others).toEqual([]);
		expect(plan?.rows).toBeGreaterThan(0);
		expect(plan?.scanned).not.toContain("kv_store");
	}
});
