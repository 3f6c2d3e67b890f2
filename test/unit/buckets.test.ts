import { expect, test } from "vitest";
import { bucketSchemas } from "../../src/buckets/bucket-names.ts";
import { bucketOf } from "../../src/buckets/bucket-of.ts";

test.each([
	["default", 64, 1],
	["acme-corp", 64, 60],
])("the bucket of %s of %i is %i, for good", (tenant, buckets, bucket) => {
	expect(bucketOf(tenant, buckets)).toBe(bucket);
});

test("tenants are spread evenly", () => {
	const sizes = new Array(16).fill(0);
	for (let at = 0; at < 16_000; at++) sizes[bucketOf(`tenant-${at}`, 16)]++;
	expect(Math.min(...sizes)).toBeGreaterThan(850);
	expect(Math.max(...sizes)).toBeLessThan(1150);
});

test("the schemas of buckets have numbers of one length", () => {
	expect(bucketSchemas("public", 3)).toEqual([
		"public_b00",
		"public_b01",
		"public_b02",
	]);
	expect(bucketSchemas("rem", 101).at(-1)).toBe("rem_b100");
	expect(bucketSchemas("rem", 101)[7]).toBe("rem_b007");
});

test("a schema whose name would be cut is refused", () => {
	expect(bucketSchemas("s".repeat(59), 64)[0]).toHaveLength(63);
	expect(() => bucketSchemas("s".repeat(60), 64)).toThrow(
		expect.objectContaining({ code: "CONFIG_INVALID" }),
	);
});
