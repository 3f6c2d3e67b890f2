import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// A large tenant before the background has built the index of its contents.

const Report = defineEntity(
	"reports",
	{ name: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Report],
	backgroundIndex: { enabled: false },
});
const tenantId = "large";

beforeAll(async () => {
	const { service } = db;
	await service.execute(
		`INSERT INTO reports (tenant_id, name, summary)
SELECT t, 'report ' || n, 'The report of the week ' || md5(t || n::text)
FROM generate_series(1, 3000) AS n, unnest(ARRAY[$1, 'other']) AS t`,
		[tenantId],
	);
	for (const tenant of [tenantId, "other"])
		await service.batchUpsert({
			tableName: "reports",
			tenantId: tenant,
			entities: [
				{ name: "migration", summary: "Postgres moves to the new cluster." },
				{ name: "summer", summary: "Holidays: the zeppelin lands in July" },
			],
		});
});

const find = (query: string) =>
	db.service.fuzzySearch({ query, mode: "content", tenantId });

test.each([
	["moves to the new cluster", "migration"],
	["postgres moves", "migration"],
	["the ZEPPELIN lands", "summer"],
])(
	"%s is found by its rarest words, and the result is marked",
	async (query, name) => {
		const hits = await find(query);
		expect(hits[0]).toMatchObject({ entityKey: name, entityType: "reports" });
		expect(hits.filter(({ entityKey }) => entityKey === name)).toHaveLength(1);
		expect(hits.bounded).toEqual({});
	},
);

test("words that every summary has are found in some of them, each time the same", async () => {
	const hits = await find("report of the week");
	expect(hits).toHaveLength(10);
	expect(hits.bounded).toEqual({});
	expect(await find("report of the week")).toEqual(hits);
});

test("once the index is built, all of them are found", async () => {
	await db.service.createIndexConcurrently({
		tableName: "reports",
		indexType: "trgm",
	});
	const hits = await find("moves to the new clustr");
	expect(hits[0]?.entityKey).toBe("migration");
	expect(hits.bounded).toBeUndefined();
});
