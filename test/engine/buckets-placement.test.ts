import { describe, expect, test } from "vitest";
import { codeOf, useService } from "../support/engine.ts";

describe("buckets.status", () => {
	const db = useService({ buckets: 4 });

	test("counts rows, tenants and bytes of each bucket, in their order", async () => {
		const { service } = db;
		for (const tenantId of ["acme", "globex", "initech"])
			await service.batchUpsert({
				tableName: "resources",
				tenantId,
				entities: [{ name: "one" }, { name: "two" }],
			});
		const { ids } = await service.batchUpsert({
			tableName: "users",
			tenantId: "acme",
			entities: [{ name: "sarah" }],
		});
		await service.scope({ tenantId: "acme" }).query('LOOKUP "sarah"');
		const found = await service.buckets.status();
		expect(found.map(({ schema }) => schema)).toEqual([
			"public_b00",
			"public_b01",
			"public_b02",
			"public_b03",
		]);
		const sum = (values: readonly number[]) =>
			values.reduce((a, b) => a + b, 0);
		expect(ids).toHaveLength(1);
		expect(sum(found.map(({ rows }) => rows))).toBe(7);
		expect(sum(found.map(({ tenants }) => tenants))).toBe(3);
		for (const { bytes, node, missing, unlogged } of found) {
			expect(bytes).toBeGreaterThan(8192);
			expect(node).toBeNull();
			expect(missing).toEqual([]);
			expect(unlogged).toContain("kv_store");
		}
	});

	test("counts the buckets that are asked for, and refuses others", async () => {
		const found = await db.service.buckets.status({ buckets: [2] });
		expect(found.map(({ bucket }) => bucket)).toEqual([2]);
		expect(await codeOf(db.service.buckets.status({ buckets: [4] }))).toBe(
			"VALIDATION",
		);
	});

	test("names tables that a bucket lacks, and counts the others", async () => {
		await db.service.execute("DROP TABLE public_b01.files CASCADE");
		const [first, second] = await db.service.buckets.status({
			buckets: [0, 1],
		});
		expect(first?.missing).toEqual([]);
		expect(second?.missing).toEqual(["files"]);
	});

	test("a bucket cannot be moved on a server without Citus", async () => {
		expect(
			await codeOf(db.service.buckets.move({ bucket: 0, to: "elsewhere" })),
		).toBe("SERVER_UNSUPPORTED");
	});
});

describe("without buckets", () => {
	const db = useService();

	test("there is no status and no move", async () => {
		expect(await codeOf(db.service.buckets.status())).toBe("CONFIG_INVALID");
		expect(
			await codeOf(db.service.buckets.move({ bucket: 0, to: "elsewhere" })),
		).toBe("CONFIG_INVALID");
	});
});
