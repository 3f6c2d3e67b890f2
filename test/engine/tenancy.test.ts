import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { codeOf, createDatabase, useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name", unique: [["content"]] },
);
const Common = defineEntity(
	"common",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name", tenantScoped: false },
);

const db = useService({
	models: [Page, Common],
	embedding: { provider: "local", dimensions: 16 },
});

// Same keys, same texts; names that a prefix, a pattern or a fold would confuse.
const tenants = [
	"tenant 1",
	"tenant 10",
	"Tenant 1",
	"tenant_1",
	"tenant%",
	"tenant 1 ",
	"'; DROP TABLE pages; --",
	"🙂".repeat(100),
	"default",
	"null",
];

const ownerOf = (tenantId: string) => ({ owner: tenantId });

beforeAll(async () => {
	for (const tenantId of tenants)
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [
				{ name: "same key", content: "same text", metadata: ownerOf(tenantId) },
				{ name: "same key", userId: "u", metadata: ownerOf(tenantId) },
				{
					name: `only ${tenants.indexOf(tenantId)}`,
					metadata: ownerOf(tenantId),
				},
			],
			tenantId,
		});
	await db.service.batchUpsert({
		tableName: "common",
		entities: [{ name: "common key", content: "common text" }],
		tenantId: "tenant 1",
	});
});

/** Everything a read gives, for every form of its request. */
async function readAll(
	service: Pick<
		typeof db.service,
		"lookupEntities" | "fuzzySearch" | "vectorSearch"
	>,
	tenantId: string,
) {
	const entityKeys = [
		"same key",
		"SAME-KEY",
		...tenants.map((_, i) => `only ${i}`),
	];
	const [keys, nearly, near, filtered] = await Promise.all([
		service.lookupEntities({ entityKeys, tenantId }),
		service.fuzzySearch({
			query: "same key",
			tenantId,
			threshold: 0.1,
			limit: 1000,
		}),
		service.vectorSearch({
			tableName: "pages",
			queryText: "same text",
			tenantId,
			limit: 1000,
		}),
		service.vectorSearch({
			tableName: "pages",
			queryText: "same text",
			tenantId,
			where: { tenantId: { ne: tenantId } },
		}),
	]);
	return { keys, nearly, near, filtered };
}

test.each(tenants.map((tenant, i) => [tenant, i] as const))(
	"tenant %j reads its own rows and no others",
	async (tenantId, i) => {
		const { keys, nearly, near, filtered } = await readAll(
			db.service,
			tenantId,
		);
		expect(keys.map(({ entityKey }) => entityKey)).toEqual([
			"same key",
			"same key",
			"same key",
			"same key",
			`only ${i}`,
		]);
		expect(near).toHaveLength(1);
		expect(nearly.map(({ entityKey }) => entityKey)).toContain("same key");
		for (const hit of [...keys, ...near])
			expect(hit.metadata).toEqual(ownerOf(tenantId));
		for (const hit of nearly.filter((hit) => hit.entityType === "pages"))
			expect(hit.metadata).toEqual(ownerOf(tenantId));
		expect(near[0]?.tenantId).toBe(tenantId);
		expect(filtered).toEqual([]);
	},
);

test("a tenant that wrote nothing reads nothing but what is common", async () => {
	const { keys, nearly, near } = await readAll(db.service, "tenant");
	expect({ keys, near }).toEqual({ keys: [], near: [] });
	expect(nearly.filter((hit) => hit.entityType === "pages")).toEqual([]);
	const common = await db.service.lookupEntity({
		entityKey: "Common Key",
		tenantId: "tenant",
	});
	expect(common).toMatchObject({ entityType: "common" });
});

test("rows stay apart while the cache is empty", async () => {
	await db.service.execute("DELETE FROM kv_state; DELETE FROM kv_store");
	const { keys, nearly } = await readAll(db.service, "tenant 1");
	expect(keys).toHaveLength(5);
	for (const hit of keys) expect(hit.metadata).toEqual(ownerOf("tenant 1"));
	for (const hit of nearly.filter((hit) => hit.entityType === "pages"))
		expect(hit.metadata).toEqual(ownerOf("tenant 1"));
	await db.service.kv.ensureReady();
});

test("a row that another program moves to another tenant goes with its vector and cache entry", async () => {
	const scope = { tenantId: "from" };
	await db.service.batchUpsert({
		tableName: "pages",
		entities: [{ name: "moved", content: "moved text" }],
		...scope,
	});
	await db.service.execute(
		"UPDATE pages SET tenant_id = 'to' WHERE tenant_id = 'from'",
	);
	const found = async (tenantId: string) => {
		const near = await db.service.vectorSearch({
			tableName: "pages",
			queryText: "moved",
			tenantId,
		});
		const key = await db.service.lookupEntity({ entityKey: "moved", tenantId });
		return [near.length, key === undefined ? 0 : 1];
	};
	expect(await found("from")).toEqual([0, 0]);
	expect(await found("to")).toEqual([1, 1]);
});

test("unique constraints apply within a tenant only", async () => {
	const write = (tenantId: string, name: string) =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name, content: "unique text" }],
			tenantId,
		});
	await write("unique 1", "a");
	await write("unique 2", "a");
	expect(await codeOf(write("unique 1", "b"))).toBe("DUPLICATE_KEY");
});

describe("the tenant of a row", () => {
	const upsert = (entity: object, tenantId?: string) =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "row", ...entity }],
			...(tenantId === undefined ? {} : { tenantId }),
		});
	const foundIn = async (tenantId: string) =>
		(await db.service.lookupEntity({ entityKey: "row", tenantId })) !==
		undefined;

	test("is its own, else the call's, else the default one", async () => {
		await upsert({ tenantId: "own" });
		expect(await foundIn("own")).toBe(true);
		expect(await foundIn("default")).toBe(false);
		await upsert({}, "call");
		expect(await foundIn("call")).toBe(true);
		await upsert({});
		expect(await foundIn("default")).toBe(true);
		expect(await db.service.lookupEntity({ entityKey: "row" })).toBeDefined();
	});

	test("that is not the call's is TENANT_MISMATCH, and nothing is written", async () => {
		expect(await codeOf(upsert({ tenantId: "a" }, "b"))).toBe(
			"TENANT_MISMATCH",
		);
		expect(await foundIn("a")).toBe(false);
		expect(await foundIn("b")).toBe(false);
	});

	test.each(["*", "", "t".repeat(101), "a\0"])(
		"of the call may not be %j",
		async (tenantId) => {
			expect(
				await codeOf(upsert({ name: `by ${tenantId.length}` }, tenantId)),
			).toBe("VALIDATION");
		},
	);

	test.each(["*", "", "t".repeat(101), "a\0"])(
		"of a read may not be %j",
		async (tenantId) => {
			for (const read of [
				db.service.lookupEntity({ entityKey: "row", tenantId }),
				db.service.fuzzySearch({ query: "row", tenantId }),
				db.service.vectorSearch({
					tableName: "pages",
					queryText: "x",
					tenantId,
				}),
				db.service.lookupEntity({
					entityKey: "row",
					tenantId: "t",
					userId: tenantId,
				}),
				db.service.fuzzySearch({
					query: "row",
					tenantId: "t",
					userId: tenantId,
				}),
				db.service.vectorSearch({
					tableName: "pages",
					queryText: "x",
					tenantId: "t",
					userId: tenantId,
				}),
			])
				expect(await codeOf(read)).toBe("VALIDATION");
		},
	);
});

describe("the user of a row", () => {
	const tenantId = "users";
	const visibleTo = async (userId?: string | null) => {
		const scope = { tenantId, ...(userId === undefined ? {} : { userId }) };
		const [keys, nearly, near] = await Promise.all([
			db.service.lookupEntities({ entityKeys: ["a", "b", "c"], ...scope }),
			db.service.fuzzySearch({ query: "a", threshold: 0.01, ...scope }),
			db.service.vectorSearch({ tableName: "pages", queryText: "x", ...scope }),
		]);
		return [
			keys.length,
			nearly.filter((hit) => hit.entityKey === "a").length,
			near.length,
		];
	};

	beforeAll(() =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [
				{ name: "a", userId: "u", content: "x 1" },
				{ name: "b", userId: "v", content: "x 2" },
				{ name: "c", content: "x 3" },
			],
			tenantId,
		}),
	);

	test("omitted in a read: the whole tenant", async () => {
		expect(await visibleTo()).toEqual([3, 1, 3]);
	});

	test("given: that user's and shared rows", async () => {
		expect(await visibleTo("u")).toEqual([2, 1, 2]);
		expect(await visibleTo("v")).toEqual([2, 0, 2]);
		expect(await visibleTo("nobody")).toEqual([1, 0, 1]);
	});

	test("null: shared rows only", async () => {
		expect(await visibleTo(null)).toEqual([1, 0, 1]);
	});

	test("null in a row makes it shared, whichever user writes it", async () => {
		const { ids } = await db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "stays shared" }],
			tenantId,
		});
		const id = ids[0] as string;
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [{ id, name: "stays shared", userId: null, tags: ["t"] }],
			tenantId,
			userId: "u",
		});
		const hit = await db.service.lookupEntity({
			entityKey: "stays shared",
			tenantId,
		});
		expect(hit?.userId).toBeNull();
	});
});

test("strict tenancy refuses rows and reads without a tenant, and takes both with one", async () => {
	const database = await createDatabase();
	onTestFinished(() => database.drop());
	const service = await PostgresService.connect({
		connectionString: database.url,
		models: [Page, Common],
		embedding: { provider: "local", dimensions: 16 },
		strictTenancy: true,
	});
	onTestFinished(() => service.close());
	await service.migrate();
	const entities = [{ name: "a" }];
	for (const call of [
		() => service.batchUpsert({ tableName: "pages", entities }),
		() => service.lookupEntity({ entityKey: "a" }),
		() => service.fuzzySearch({ query: "a" }),
		() => service.vectorSearch({ tableName: "pages", queryText: "a" }),
	])
		expect(await codeOf(call())).toBe("TENANT_REQUIRED");
	await service.batchUpsert({
		tableName: "pages",
		entities: [{ name: "a", tenantId: "own" }],
	});
	await service.batchUpsert({ tableName: "pages", entities, tenantId: "call" });
	await service.batchUpsert({ tableName: "common", entities });
	for (const tenantId of ["own", "call"])
		expect(
			await service.lookupEntities({ entityKeys: ["a"], tenantId }),
		).toHaveLength(2);
});
