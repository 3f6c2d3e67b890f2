import { expect, test } from "vitest";
import { bucketSchemas } from "../../src/buckets/bucket-names.ts";
import { bucketOf } from "../../src/buckets/bucket-of.ts";
import { publicClasses } from "../../src/calls/public-methods.ts";
import { mergeChecks } from "../../src/doctor/merge-checks.ts";
import { rowsVerbs } from "../../src/verbs/repository/verbs.ts";
import { verbs } from "../../src/verbs/verbs.ts";

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

test("a verb that changes rows without tenants takes a transaction", () => {
	for (const { name, method, buckets } of rowsVerbs)
		if (buckets.changes === true)
			expect([
				name,
				method.parameters.filter(({ table }) =>
					table?.names.includes("transaction"),
				).length,
			]).toEqual([name, 1]);
});

/** Verbs whose call may concern several buckets; the others run in that of the call's tenant. */
const overSeveral = [
	"batchUpsert",
	"link",
	"unlink",
	"exportRows",
	"importRows",
	"verifyRows",
];

test("every verb that is not of one tenant states how it runs over buckets", () => {
	const ruled = verbs
		.filter(({ buckets }) => buckets !== "tenant")
		.map(({ name }) => name);
	expect(ruled.sort()).toEqual([...overSeveral].sort());
});

/** Of a repository's verbs: those that read over all buckets where no tenant is named, and those that change rows. */
const rowsRules = {
	overAll: ["count", "find", "findOne", "findPage", "iterate", "upsert"],
	changes: ["delete", "purge", "restore", "update", "updateMany"],
	neither: ["getById", "getBySession", "vectorStates"],
};

test("every verb of a repository states how it runs over buckets", () => {
	const names = (isMeant: (verb: (typeof rowsVerbs)[number]) => boolean) =>
		rowsVerbs
			.filter(isMeant)
			.map(({ name }) => name)
			.sort();
	expect({
		overAll: names(({ buckets }) => buckets.overAll !== undefined),
		changes: names(({ buckets }) => buckets.changes === true),
		neither: names(
			({ buckets }) =>
				buckets.overAll === undefined && buckets.changes === undefined,
		),
	}).toEqual(rowsRules);
});

// The first four are objects of spread(), which does not compile without a rule for each
// method; what a service's own methods do over buckets is in src/service/open-core.ts.
const classes = {
	KvCache: "spread",
	BackgroundIndexer: "spread",
	SchemaLifecycle: "spread",
	Embeddings: "spread",
	Placement: "about buckets themselves",
	Registry: "one for all buckets, copied into each",
	PostgresService: {
		scope: "a scope's verbs are routed",
		repository: "a repository's verbs are routed",
		migrate: "schema.migrate",
		register: "migrate",
		createIndexConcurrently: "indexer.build",
		doctor: "each bucket, merged",
		checkIsolation: "each bucket, added",
		forget: "in the tenant's bucket",
		execute: "the caller's own SQL",
		transaction: "one of the database",
		close: "each that was opened",
	},
};

test("every public class, and every method of a service, has its rule", async () => {
	await import("../../src/index.ts");
	const known = publicClasses().filter(({ type }) => type.name in classes);
	const others = publicClasses()
		.map(({ type }) => type.name)
		.filter((name) => !(name in classes));
	expect(known.map(({ type }) => type.name).sort()).toEqual(
		Object.keys(classes).sort(),
	);
	expect(others).toEqual([]);
	const service = known.find(({ type }) => type.name === "PostgresService");
	expect(Object.keys(service?.methods ?? {}).sort()).toEqual(
		Object.keys(classes.PostgresService).sort(),
	);
});

test("the checks of buckets become one line for what is well and one for each problem", () => {
	const check = (found: string, state: "ok" | "failed" = "ok") =>
		state === "ok"
			? { name: "kv store", state, found }
			: { name: "kv store", state, found, remedy: "rem kv rebuild" };
	expect(
		mergeChecks([
			{ bucket: "b00", checks: [check("3 entries")] },
			{ bucket: "b01", checks: [check("was emptied", "failed")] },
			{ bucket: "b02", checks: [check("4 entries")] },
			{ bucket: "b03", checks: [check("was emptied", "failed")] },
		]),
	).toEqual([
		check("2 buckets, the first: 3 entries"),
		check("b01, b03: was emptied", "failed"),
	]);
	expect(
		mergeChecks([
			{ bucket: "b00", checks: [check("was emptied", "failed")] },
			{ bucket: "b01", checks: [check("was emptied", "failed")] },
		]),
	).toEqual([check("all 2 buckets: was emptied", "failed")]);
});
