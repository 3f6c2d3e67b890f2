import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{
		name: z.string(),
		content: z.string().optional(),
		colour: z.string().optional(),
		views: z.number().int().optional(),
	},
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Page],
	embedding: { provider: "local", dimensions: 16 },
});

/** The keys in another order for each writer, each row with columns of its own choice. */
function batchOf(writer: number, round: number, keys: number) {
	const names = Array.from({ length: keys }, (_, i) => `page ${i}`);
	if (writer % 2 === 1) names.reverse();
	return names.map((name, i) => ({
		name,
		...((writer + i) % 3 === 0 ? {} : { content: `text ${writer} ${round}` }),
		...((writer + i) % 4 === 0 ? { colour: `colour ${writer}` } : {}),
		...((writer + i) % 2 === 0 ? { views: round } : {}),
	}));
}

async function rowsOf(tenantId: string) {
	return db.service.repository(Page).find({ tenantId });
}

/** Texts whose vector is missing, or that of another text. */
async function wrongVectors(tenantId: string): Promise<number> {
	const { rowCount } = await db.service.execute(
		`SELECT FROM (SELECT * FROM pages WHERE deleted_at IS NULL) p
FULL JOIN embeddings_pages e ON e.entity_id = p.id
WHERE coalesce(p.tenant_id, e.tenant_id) = $1 AND (p.content IS NOT NULL OR e.id IS NOT NULL)
  AND e.content_hash IS DISTINCT FROM sha256(convert_to(p.content, 'UTF8'))`,
		[tenantId],
	);
	return rowCount;
}

describe.each([2, 4, 8])("%i writers over the same keys", (writers) => {
	test.each([true, "chunk"] as const)(
		"no deadlock, no duplicate, no lost row, no stale vector (atomic: %s)",
		async (atomic) => {
			const tenantId = `writers ${writers} ${atomic}`;
			const keys = 150;
			await Promise.all(
				Array.from({ length: writers }, async (_, writer) => {
					for (let round = 0; round < 3; round++)
						await db.service.batchUpsert({
							tableName: "pages",
							entities: batchOf(writer, round, keys),
							tenantId,
							atomic,
						});
				}),
			);
			const rows = await rowsOf(tenantId);
			expect(rows.map((row) => row.name).sort()).toEqual(
				Array.from({ length: keys }, (_, i) => `page ${i}`).sort(),
			);
			expect(await wrongVectors(tenantId)).toBe(0);
			const found = await db.service.lookupEntities({
				entityKeys: rows.map((row) => row.name),
				tenantId,
			});
			expect(found).toHaveLength(keys);
		},
	);
});

test("writers that bring ids and writers that bring keys get along", async () => {
	const tenantId = "ids and keys";
	const names = Array.from({ length: 60 }, (_, i) => `page ${i}`);
	const { ids } = await db.service.batchUpsert({
		tableName: "pages",
		entities: names.map((name) => ({ name })),
		tenantId,
	});
	await Promise.all([
		...[1, 2, 3].map((writer) =>
			db.service.batchUpsert({
				tableName: "pages",
				entities: names.map((name) => ({ name, content: `by key ${writer}` })),
				tenantId,
			}),
		),
		...[1, 2, 3].map((writer) =>
			db.service.batchUpsert({
				tableName: "pages",
				entities: ids
					.map((id, i) => ({
						id,
						name: names[i] as string,
						content: `by id ${writer}`,
					}))
					.reverse(),
				tenantId,
			}),
		),
	]);
	expect(await rowsOf(tenantId)).toHaveLength(60);
	expect(await wrongVectors(tenantId)).toBe(0);
});

test("a row deleted and written at the same time is one or the other, and says so", async () => {
	const tenantId = "delete and write";
	const pages = db.service.repository(Page);
	for (let round = 0; round < 10; round++) {
		const row = await pages.upsert({ name: "it", content: "old", tenantId });
		const [, written] = await Promise.all([
			pages.delete(row.id, tenantId),
			pages.upsert({ name: "it", content: `new ${round}`, tenantId }),
		]);
		const live = await pages.find({ tenantId });
		// Either the delete came first and a new row is there, or it came second.
		expect(live.map(({ id }) => id)).toEqual(
			written.id === row.id ? [] : [written.id],
		);
		expect(await wrongVectors(tenantId)).toBe(0);
	}
});
