import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { migrate } from "../../src/migrate/migrate.ts";
import { kvTriggers } from "../../src/schema/kv-trigger.ts";
import { compile, sql } from "../../src/sql.ts";
import { coreOf, useService } from "../support/engine.ts";
import { inSchemas, schemaOf } from "../support/schemas.ts";

const Book = defineEntity(
	"books",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
const Page = defineEntity(
	"pages",
	{ uri: z.string(), ordinal: z.int() },
	{ entityKeyField: ["uri", "ordinal"] },
);

const db = useService({
	models: [Book, Page],
	embedding: { provider: "local", dimensions: 8 },
});

const run = (text: string, values: string[] = []) =>
	db.service.execute(text, values);
const tenantId = "verify";

beforeEach(async () => {
	await run(
		"INSERT INTO books (tenant_id, name, content) SELECT $1, 'Book ' || i, 'text ' || i FROM generate_series(1, 30) AS i",
		[tenantId],
	);
	await run("INSERT INTO pages (tenant_id, uri, ordinal) VALUES ($1, 'u', 1)", [
		tenantId,
	]);
	await db.service.kv.ensureReady();
});

afterEach(async () => {
	await run("DELETE FROM books");
	await run("DELETE FROM pages");
	await db.service.kv.ensureReady();
	expect(await db.service.kv.verify({ repair: true })).toMatchObject({
		ready: true,
		problems: [],
	});
	expect((await db.service.kv.verify()).differing).toBe(0);
});

/** Writes that the triggers do not see. */
async function behindTheTriggers(text: string): Promise<void> {
	const triggers = ["insert", "update", "delete"].map(
		(event) => `trg_books_kv_store_${event}`,
	);
	for (const name of triggers)
		await run(`ALTER TABLE books DISABLE TRIGGER ${name}`);
	await run(text);
	for (const name of triggers)
		await run(`ALTER TABLE books ENABLE ALWAYS TRIGGER ${name}`);
}

const named = async () => {
	const { differences } = await db.service.kv.verify();
	return differences
		.map((one) => [one.kind, one.entityType, one.entityKey, ...one.columns])
		.sort();
};

describe("verify", () => {
	test("finds nothing in a cache that is whole", async () => {
		expect(await db.service.kv.verify()).toEqual({
			ready: true,
			compared: 31,
			differing: 0,
			differences: [],
			repaired: 0,
			problems: [],
		});
	});

	test("names entries that were deleted, changed and added by hand, and repairs exactly them", async () => {
		const missing = await run(
			"DELETE FROM kv_store WHERE entity_key = 'Book 1' RETURNING entity_id",
		);
		await run(
			"UPDATE kv_store SET content_summary = 'lie', user_id = 'u' WHERE entity_key = 'Book 2'",
		);
		await run(
			"INSERT INTO kv_store (tenant_id, entity_key, normalized_key, entity_type, entity_id) VALUES ($1, 'Ghost', 'ghost', 'books', gen_random_uuid())",
			[tenantId],
		);
		expect(await named()).toEqual([
			["extra", "books", "Ghost"],
			["missing", "books", "Book 1"],
			["stale", "books", "Book 2", "user_id", "content_summary"],
		]);
		const before = await run(
			"SELECT entity_id, xmin::text FROM kv_store WHERE entity_key NOT IN ('Book 1', 'Book 2', 'Ghost') ORDER BY 1",
		);
		const repaired = await db.service.kv.verify({ repair: true });
		expect(repaired).toMatchObject({ differing: 3, repaired: 3 });
		expect(repaired.differences).toContainEqual({
			kind: "missing",
			tenantId,
			entityType: "books",
			entityId: missing.rows[0]?.entity_id,
			entityKey: "Book 1",
			columns: [],
		});
		expect(await named()).toEqual([]);
		const after = await run(
			"SELECT entity_id, xmin::text FROM kv_store WHERE entity_key NOT IN ('Book 1', 'Book 2') ORDER BY 1",
		);
		expect(after.rows).toEqual(before.rows);
	});

	test("names no more than asked for, and counts and repairs all", async () => {
		await run("DELETE FROM kv_store WHERE entity_type = 'books'");
		const result = await db.service.kv.verify({ limit: 2, repair: true });
		expect(result.differences).toHaveLength(2);
		expect(result).toMatchObject({ differing: 30, repaired: 30 });
		expect((await db.service.kv.verify()).differing).toBe(0);
	});

	test("finds what was written while the triggers were off, whatever it was", async () => {
		await behindTheTriggers("DELETE FROM books WHERE name = 'Book 1'");
		await behindTheTriggers(
			"UPDATE books SET name = 'Renamed' WHERE name = 'Book 2'",
		);
		await behindTheTriggers(
			"UPDATE books SET deleted_at = now() WHERE name = 'Book 3'",
		);
		await behindTheTriggers(
			"INSERT INTO books (tenant_id, name) VALUES ('other', 'New')",
		);
		expect(await named()).toEqual([
			["extra", "books", "Book 1"],
			["extra", "books", "Book 3"],
			["missing", "books", "New"],
			["stale", "books", "Renamed", "entity_key", "normalized_key"],
		]);
	});

	test("reports that a trigger is disabled or missing, and how to repair it", async () => {
		await run("ALTER TABLE books DISABLE TRIGGER trg_books_kv_store_update");
		const [problem] = (await db.service.kv.verify()).problems;
		expect(problem).toMatchObject({
			kind: "trigger",
			message: inSchemas(
				"trigger trg_books_kv_store_update of books is disabled",
				": ",
			)[0],
		});
		await run(problem?.hint.split(";")[0] ?? "");
		expect((await db.service.kv.status()).problems).toEqual([]);
		await run("DROP TRIGGER trg_books_kv_store_delete ON books");
		expect((await db.service.kv.status()).problems).toMatchObject(
			inSchemas(
				"table books has no trigger trg_books_kv_store_delete",
				": ",
			).map((message) => ({ message })),
		);
		const { registerType } = await import("../../src/index.ts");
		await db.service.execute(registerType(Book).sql.kvTrigger);
		expect((await db.service.kv.status()).problems).toEqual([]);
		await db.service.kv.ensureReady();
	});

	const broken = kvTriggers("books").flatMap(({ name }) => [
		[`DROP TRIGGER ${name} ON books`, `table books has no trigger ${name}`],
		[
			`ALTER TABLE books DISABLE TRIGGER ${name}`,
			`trigger ${name} of books is disabled`,
		],
	]);
	test.each(broken)(
		"after %s a migration makes it again, and the cache equal to the tables",
		async (statement, message) => {
			await run(statement ?? "");
			await run("DELETE FROM books WHERE name = 'Book 1'");
			await run("UPDATE books SET name = 'Renamed' WHERE name = 'Book 2'");
			await run("INSERT INTO books (tenant_id, name) VALUES ('other', 'New')");
			for (const reported of [db.service.kv.verify(), db.service.kv.status()])
				expect((await reported).problems).toEqual(
					inSchemas(message ?? "", ": ").map((message) => ({
						kind: "trigger",
						message,
						hint: expect.anything(),
					})),
				);
			expect((await db.service.migrate()).applied).toEqual(
				inSchemas("entity:books", "/"),
			);
			await db.service.kv.ensureReady();
			expect(await db.service.kv.verify()).toMatchObject({
				differing: 0,
				problems: [],
			});
		},
	);

	test("finds entries of a table that was dropped", async () => {
		const Gone = defineEntity(
			"gone_books",
			{ name: z.string() },
			{ entityKeyField: "name" },
		);
		await db.service.register(Gone as never);
		await run("INSERT INTO gone_books (tenant_id, name) VALUES ($1, 'Lost')", [
			tenantId,
		]);
		await run("DROP TABLE gone_books CASCADE");
		expect(await named()).toEqual([["extra", "gone_books", "Lost"]]);
		expect(await db.service.kv.verify({ repair: true })).toMatchObject({
			repaired: 1,
		});
		expect(await named()).toEqual([]);
		await run("DELETE FROM rem_migrations WHERE name = 'entity:gone_books'");
		db.service.registry.remove(Gone);
	});

	test("compares nothing where the cache was emptied: reads do not use it", async () => {
		await run("TRUNCATE kv_store");
		expect(await db.service.kv.verify()).toMatchObject({
			ready: false,
			compared: 0,
			differing: 0,
		});
	});

	test("reports its progress, and stops when asked", async () => {
		const seen: number[] = [];
		await db.service.kv.verify({
			onProgress: ({ done, total }) => seen.push(done, total),
		});
		expect(seen.slice(-2)).toEqual([31, 31]);
		await expect(
			db.service.kv.verify({ signal: AbortSignal.abort() }),
		).rejects.toMatchObject({ code: "CANCELLED" });
	});
});

describe("a rebuild", () => {
	test("reports its progress, and stops when asked", async () => {
		await run("TRUNCATE kv_store");
		await expect(
			db.service.kv.rebuild({ signal: AbortSignal.abort() }),
		).rejects.toMatchObject({ code: "CANCELLED" });
		expect((await db.service.kv.status()).ready).toBe(false);
		const seen: number[] = [];
		await db.service.kv.rebuild({
			onProgress: ({ done, total }) => seen.push(done, total),
		});
		expect(seen.slice(-2)).toEqual([31, 31]);
		expect(await db.service.kv.status()).toMatchObject({
			ready: true,
			standby: false,
			persistence: "unlogged",
			entries: { books: 30, pages: 1 },
		});
	});

	test("may be vacuumed behind", async () => {
		await db.service.kv.vacuum();
	});
});

describe("the persistence", () => {
	const switchTo = (kvPersistence: "logged" | "unlogged") =>
		migrate(db.service.core.db, {
			tables: coreOf(db.service, tenantId).registry.all(),
			options: { schema: schemaOf(tenantId), kvPersistence },
		});
	const persistences = async () => {
		const { rows } = await run(
			"SELECT DISTINCT relpersistence::text AS p FROM pg_class WHERE relname IN ('kv_store', 'kv_state')",
		);
		return rows.map(({ p }) => p);
	};

	test("is changed by a migration, either way, and answers stay right", async () => {
		const find = async () => {
			const hits = await db.service.lookupEntities({
				entityKeys: ["book 7", "u#1"],
				tenantId,
			});
			return hits.map(({ entityKey }) => entityKey);
		};
		for (const [name, letter] of [
			["logged", "p"],
			["unlogged", "u"],
		] as const) {
			await switchTo(name);
			expect(await persistences()).toEqual([letter]);
			expect(await find()).toEqual(["Book 7", "u#1"]);
			await db.service.kv.ensureReady();
			expect(await find()).toEqual(["Book 7", "u#1"]);
			expect((await db.service.kv.status()).persistence).toBe(name);
			expect((await switchTo(name)).applied).toEqual([]);
		}
	});

	test("that is not the same for the cache and its marker is a problem", async () => {
		await run("ALTER TABLE kv_state SET LOGGED");
		expect((await db.service.kv.status()).problems).toMatchObject([
			{ kind: "persistence" },
		]);
		await run("ALTER TABLE kv_state SET UNLOGGED");
	});
});

test("the fallback of LOOKUP reads an index, and FUZZY the tenant's rows only", async () => {
	await run(
		"INSERT INTO books (tenant_id, name) SELECT 'many ' || i % 50, 'Title ' || i FROM generate_series(1, 5000) AS i",
	);
	await run("ANALYZE books");
	await run("ANALYZE pages");
	const { lookupSql } = await import("../../src/query/lookup.ts");
	const { fuzzySql } = await import("../../src/query/fuzzy-sql.ts");
	const { queryOf } = await import("../../src/query/fuzzy-request.ts");
	const { matchOf } = await import("../../src/query/fuzzy-match.ts");
	const from = sql`(SELECT * FROM kv_source_books UNION ALL SELECT * FROM kv_source_pages)`;
	const scope = { tenantId: "many 7" };
	const explain = async (statement: ReturnType<typeof sql>) => {
		const { text, values } = compile(statement);
		const { rows } = await db.service.execute<{ "QUERY PLAN": string }>(
			`EXPLAIN ${text}`,
			values,
		);
		return rows.map((row) => row["QUERY PLAN"]).join("\n");
	};
	const lookup = await explain(
		lookupSql(
			"public",
			{ from, isFallback: true },
			{ ...scope, entityKeys: ["title 7"] },
		),
	);
	expect(lookup).toContain("norm_books__key");
	expect(lookup).not.toContain("Seq Scan on books");
	const request = { ...scope, query: "title 7", threshold: 0.3, limit: 10 };
	const fuzzy = await explain(
		fuzzySql(
			from,
			request,
			matchOf(queryOf(request), { schema: "public", sample: undefined }),
		),
	);
	expect(fuzzy).not.toContain("Seq Scan on books");
	expect(fuzzy).toMatch(/Index Cond: .*tenant_id/);
});
