import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { createDatabase } from "../support/engine.ts";
import { schemaOf } from "../support/schemas.ts";

// A cache that is filled again, and its indexes of contents.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name", createEmbeddings: false },
);
const tenantId = "t";
const index = "kv_store_content";
const schema = schemaOf(tenantId);

async function open({ rows, enabled }: { rows: number; enabled: boolean }) {
	const database = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: database.url,
		models: [Page],
		embedding: { provider: "local" },
		backgroundIndex: { enabled, minRows: 10, retryMs: 0 },
	});
	onTestFinished(async () => {
		await service.close();
		await database.drop();
	});
	await service.migrate();
	await service.execute(
		`INSERT INTO pages (tenant_id, name, content) SELECT $1, 'page ' || i, 'about the word' || i FROM generate_series(1, $2::int) AS i`,
		[tenantId, rows],
	);
	await service.indexer.repair({ missing: true });
	await service.indexer.drain();
	expect(await stateOf(service)).toBe("valid");
	await service.execute("TRUNCATE kv_store");
	return service;
}

type Service = Awaited<ReturnType<typeof open>>;

async function stateOf(service: Service): Promise<string | undefined> {
	const { indexes } = await service.indexer.status();
	return indexes.find(
		({ indexName, bucket = schema }) =>
			indexName === index && bucket === schema,
	)?.state;
}

async function exists(service: Service): Promise<boolean> {
	const { rows } = await service.execute<{ there: boolean }>(
		"SELECT to_regclass($1) IS NOT NULL AS there",
		[`${schema}.${index}`],
	);
	return rows[0]?.there === true;
}

const find = (service: Service) =>
	service.fuzzySearch({ query: "about the word77", mode: "content", tenantId });

/** Whether the index was there while the cache was filled. */
async function rebuild(service: Service, rows: number): Promise<boolean[]> {
	const looks: Promise<boolean>[] = [];
	expect(
		await service.kv.rebuild({
			onProgress: () => {
				if (looks.length === 0) looks.push(exists(service));
			},
		}),
	).toEqual({ entries: rows });
	return Promise.all(looks);
}

test("a cache that is filled from the beginning has them dropped and built again, and FUZZY answers all the time", async () => {
	const rows = 6000;
	const service = await open({ rows, enabled: true });
	const before = find(service);
	expect(await rebuild(service, rows)).toEqual([false]);
	for (const hits of [await before, await find(service)])
		expect(hits.map(({ entityKey }) => entityKey)).toContain("page 77");
	await service.indexer.drain();
	expect(await stateOf(service)).toBe("valid");
	expect((await find(service))[0]?.entityKey).toBe("page 77");
	// One that has most of its entries keeps them.
	await service.execute("DELETE FROM kv_store WHERE entity_key LIKE 'page 1%'");
	await service.kv.rebuild();
	expect(await exists(service)).toBe(true);
});

test.each([
	["of few rows", { rows: 100, enabled: true }],
	["where no indexer runs", { rows: 6000, enabled: false }],
])("a cache %s is filled with them", async (_, options) => {
	const service = await open(options);
	expect(await rebuild(service, options.rows)).toEqual([true]);
	expect(await stateOf(service)).toBe("valid");
});
