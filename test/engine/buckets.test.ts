import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConnectOptions, PostgresService } from "../../src/index.ts";
import { codeOf, createDatabase, useService } from "../support/engine.ts";

const buckets = 4;
const tenants = ["acme", "globex", "initech", "umbrella", "hooli", "stark"];

describe("calls with a tenant", () => {
	const db = useService({ buckets });

	test("write and read in the schema of the tenant's bucket", async () => {
		for (const tenantId of tenants) {
			await db.service.batchUpsert({
				tableName: "resources",
				tenantId,
				entities: [{ name: "doc", content: `The document of ${tenantId}` }],
			});
			const hit = await db.service.lookupEntity({ entityKey: "doc", tenantId });
			expect(hit?.entityKey).toBe("doc");
		}
		const { rows } = await db.service.execute<{ schema: string }>(
			`SELECT n.nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relname = 'resources' ORDER BY 1`,
		);
		expect(rows.map(({ schema }) => schema)).toEqual([
			"public_b00",
			"public_b01",
			"public_b02",
			"public_b03",
		]);
		for (const { schema } of rows) {
			const inIt = await db.service.execute<{
				tenant: string;
				bucket: string;
			}>(
				`SELECT tenant_id AS tenant,
				'public_b0' || ('x' || encode(substr(sha256(convert_to(tenant_id, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint % 4 AS bucket
				FROM ${schema}.resources`,
			);
			for (const { bucket } of inIt.rows) expect(bucket).toBe(schema);
		}
	});

	test("find the rows of their tenant alone", async () => {
		const rows = await db.service
			.scope({ tenantId: "acme" })
			.query('SEARCH "document" IN resources');
		expect(rows).toMatchObject({ kind: "search", rows: [{ name: "doc" }] });
	});
});

describe("the number of buckets", () => {
	let database: { url: string; drop(): Promise<void> };
	beforeAll(async () => {
		database = await createDatabase();
	});
	afterAll(() => database.drop());

	const connect = (options: ConnectOptions) =>
		PostgresService.connect({
			connectionString: database.url,
			embedding: { provider: "local" },
			...options,
		});

	test("is refused where the schema's name would be too long", async () => {
		const schema = "s".repeat(60);
		expect(await codeOf(connect({ schema, buckets }))).toBe("CONFIG_INVALID");
	});
});
