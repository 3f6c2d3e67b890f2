import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// A large tenant before the background has built the index of its contents, and with it.

const summarised = { name: z.string(), summary: z.string().optional() };
const Report = defineEntity("reports", summarised, { entityKeyField: "name" });
const Letter = defineEntity("letters", summarised, { entityKeyField: "name" });
const db = useService({
	models: [Report, Letter],
	backgroundIndex: { enabled: false },
});
const tenantId = "large";

beforeAll(async () => {
	const { service } = db;
	await service.execute(
		`INSERT INTO reports (tenant_id, name, summary)
SELECT t, 'report ' || n, 'The report of a generation, of week ' || md5(t || n::text)
FROM generate_series(1, 3000) AS n, unnest(ARRAY[$1, 'other']) AS t`,
		[tenantId],
	);
	await service.execute(
		`INSERT INTO reports (tenant_id, name, summary)
SELECT $1, 'trap ' || n, 'The report of a generation, of rat_trap ' || md5(n::text)
FROM generate_series(1, 20) AS n`,
		[tenantId],
	);
	for (const tenant of [tenantId, "other"]) {
		await service.batchUpsert({
			tableName: "reports",
			tenantId: tenant,
			entities: [
				{ name: "migration", summary: "PostgreSQL moves to the new cluster." },
				{ name: "summer", summary: "Holidays: the zeppelin lands in July" },
				{ name: "zoo", summary: "A rat was seen beside the elephant." },
			],
		});
		await service.batchUpsert({
			tableName: "letters",
			tenantId: tenant,
			entities: [{ name: "zz letter", summary: "The report of a summer" }],
		});
	}
});

const find = (query: string, entityType?: string) =>
	db.service.fuzzySearch({
		query,
		mode: "content",
		tenantId,
		...(entityType === undefined ? {} : { entityType }),
	});

const found: readonly (readonly [string, string])[] = [
	["moves to the new cluster", "migration"],
	["moves to the new clustr", "migration"],
	["postgresql moves", "migration"],
	["the ZEPPELIN lands", "summer"],
	["a rat", "zoo"],
];

test.each(found)(
	"without the index, %s is found among all",
	async (query, name) => {
		const hits = await find(query);
		expect(hits[0]).toMatchObject({ entityKey: name, entityType: "reports" });
		expect(hits.filter(({ entityKey }) => entityKey === name)).toHaveLength(1);
		expect(hits.bounded).toBeUndefined();
	},
);

test("words that every summary has are found, each time the same", async () => {
	const hits = await find("report of a generation");
	expect(hits).toHaveLength(10);
	expect(hits.bounded).toBeUndefined();
	expect(await find("report of a generation")).toEqual(hits);
});

test("a type with few entities is found among many of another", async () => {
	const hits = await find("the report of a summer", "letters");
	expect(hits.map(({ entityKey }) => entityKey)).toEqual(["zz letter"]);
});

test.each(found)("with the index, %s is found", async (query, name) => {
	await db.service.createIndexConcurrently({
		tableName: "reports",
		indexType: "trgm",
	});
	const hits = await find(query);
	expect(hits[0]?.entityKey).toBe(name);
	expect(hits.filter(({ entityKey }) => entityKey === name)).toHaveLength(1);
});

test("with the index, a word of several summaries is found by itself, and not inside another", async () => {
	const hits = await find("the report of a generation, of rat trap");
	expect(hits.map(({ entityKey }) => entityKey?.slice(0, 5))).toEqual(
		Array(10).fill("trap "),
	);
});
