import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type RemError } from "../../src/index.ts";
import { engine, useService } from "../support/engine.ts";
import { schemaOf } from "../support/schemas.ts";

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

test("a row that is deleted before it is read back is returned", async () => {
	const tenantId = "deleted at once";
	const table = `${schemaOf(tenantId)}.pages`;
	// As another client's delete would, between the commit and the reading.
	await db.service.execute(`
CREATE FUNCTION ${schemaOf(tenantId)}.delete_at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE ${table} SET deleted_at = now() WHERE id = NEW.id AND deleted_at IS NULL;
  RETURN NULL;
END $$`);
	await db.service.execute(
		`CREATE CONSTRAINT TRIGGER delete_at_once AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.tenant_id = '${tenantId}') EXECUTE FUNCTION ${schemaOf(tenantId)}.delete_at_once()`,
	);
	const pages = db.service.repository(Page);
	const written = await pages.upsert({ name: "gone", tenantId });
	expect(written).toMatchObject({
		name: "gone",
		deletedAt: expect.any(Date),
	});
	expect(await pages.find({ tenantId })).toEqual([]);
});

test("a row deleted and written at the same time is one or the other, and reports which", async () => {
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

describe.runIf(engine === "server")(
	"every kind of writer over the same rows",
	() => {
		const names = Array.from({ length: 60 }, (_, i) => `page ${i}`);
		const some = <T>(all: readonly T[]): T[] =>
			all
				.map((one) => ({ one, at: Math.random() }))
				.filter(({ at }) => at < 0.6)
				.sort((a, b) => a.at - b.at)
				.map(({ one }) => one);

		interface Known {
			readonly id: string;
			readonly name: string;
		}
		const idsOf = (rows: readonly Known[]) => rows.map(({ id }) => id);

		/** Everything that changes rows, or what is derived from them; `rows` exist, live or not. */
		const writers: Record<
			string,
			(
				tenantId: string,
				rows: readonly Known[],
				round: number,
			) => Promise<unknown>
		> = {
			"upsert by key": (tenantId, _, round) =>
				db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					entities: some(names).map((name) => ({
						name,
						content: `by key ${round}`,
					})),
				}),
			"upsert by key, in chunks": (tenantId, _, round) =>
				db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					atomic: "chunk",
					entities: some(names).map((name) => ({ name, views: round })),
				}),
			"upsert by id": (tenantId, rows, round) =>
				db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					entities: some(rows).map((row) => ({
						...row,
						colour: `by id ${round}`,
					})),
				}),
			"upsert by id and by key": (tenantId, rows, round) =>
				db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					entities: [
						...some(rows).map((row) => ({
							...row,
							content: `mixed ${round % 3}`,
						})),
						...some(names).map((name) => ({
							name,
							content: `mixed ${round % 3}`,
						})),
					],
				}),
			"upsert without vectors": (tenantId, _, round) =>
				db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					generateEmbeddings: false,
					entities: some(names).map((name) => ({
						name,
						content: `queued ${round}`,
					})),
				}),
			delete: (tenantId, rows) =>
				db.service.repository(Page).delete(idsOf(some(rows)), tenantId),
			restore: (tenantId, rows) =>
				db.service.repository(Page).restore(idsOf(some(rows)), tenantId),
			purge: (tenantId, rows) =>
				db.service
					.repository(Page)
					.purge(idsOf(some(rows)).slice(0, 3), tenantId),
			link: (tenantId, _, round) =>
				db.service.link({
					from: names[round % names.length] as string,
					tenantId,
					edges: [{ dst: `page ${round + 1}`, rel_type: "next" }],
				}),
			unlink: (tenantId, _, round) =>
				db.service.unlink({
					from: names[(7 * round) % names.length] as string,
					dst: "page 1",
					tenantId,
				}),
			"embedding worker": () => db.service.embeddings.sync(),
			"rebuild of the cache": () => db.service.kv.rebuild(),
			"repair of the cache": () => db.service.kv.verify({ repair: true }),
		};
		// A row that another writer deleted, or a key that is taken by now, is an answer.
		const isAnswer = (error: RemError) =>
			error.code === "DUPLICATE_KEY" ||
			error.message.startsWith("nothing is named") ||
			error.message.includes("was deleted while");

		const deadlocks = async () => {
			const { rows } = await db.service.execute<{ n: number }>(
				"SELECT deadlocks::int AS n FROM pg_stat_database WHERE datname = current_database()",
			);
			return rows[0]?.n ?? 0;
		};

		async function race(
			tenantId: string,
			chosen: readonly string[],
			rounds: number,
		): Promise<string[]> {
			// One by one and in no order: the order of the ids is not that of the keys.
			for (const name of [...some(names), ...names])
				await db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					entities: [{ name, content: "first" }],
				});
			const failures: string[] = [];
			await Promise.all(
				chosen.map(async (name) => {
					for (let round = 0; round < rounds; round++) {
						const { rows } = await db.service.execute<Known>(
							"SELECT id, name FROM pages WHERE tenant_id = $1",
							[tenantId],
						);
						await writers[name]?.(tenantId, rows, round).catch((error) => {
							if (!isAnswer(error))
								failures.push(
									`${name}: ${error.code} ${error.sqlState} ${error.message.slice(0, 100)}`,
								);
						});
					}
				}),
			);
			return failures;
		}

		test("no failure reaches a caller, and all that is derived is right afterwards", async () => {
			const tenantId = "all writers";
			expect(await race(tenantId, Object.keys(writers), 25)).toEqual([]);
			await db.service.embeddings.sync();
			expect(await wrongVectors(tenantId)).toBe(0);
			expect(await db.service.kv.verify()).toMatchObject({
				ready: true,
				differing: 0,
			});
		});

		test("writers of rows that exist lock them in one order", async () => {
			const before = await deadlocks();
			const chosen = [
				"upsert by key",
				"upsert by id",
				"upsert by id and by key",
				"upsert without vectors",
				"link",
			];
			expect(
				await race("one order", [...chosen, ...chosen, "embedding worker"], 25),
			).toEqual([]);
			expect(await deadlocks()).toBe(before);
		});

		test("a list is deleted and restored while it is written", async () => {
			const before = await deadlocks();
			const chosen = [
				"delete",
				"delete",
				"upsert by id",
				"upsert by id and by key",
			];
			expect(await race("deleted", chosen, 40)).toEqual([]);
			expect(await deadlocks()).toBe(before);
		});
	},
);
