import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

const Event = defineEntity(
	"fresh_events",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

// One connection: it caches the plans of foreign keys and triggers.
const db = useService({
	models: [Page, Event],
	poolSize: 1,
	embedding: { provider: "local", dimensions: 16 },
});

const tenantId = "plans";

const upsert = (from: number, to: number) =>
	db.service.batchUpsert({
		tableName: "pages",
		entities: Array.from({ length: to - from }, (_, index) => ({
			name: `page ${from + index}`,
			content: `text ${from + index}`,
		})),
		tenantId,
	});

/** Rows that were read by scanning whole tables. */
async function rowsScanned(): Promise<number> {
	await db.service.execute("SELECT pg_stat_force_next_flush()");
	const { rows } = await db.service.execute<{ scanned: number }>(
		"SELECT sum(seq_tup_read)::integer AS scanned FROM pg_stat_user_tables WHERE relname IN ('pages', 'embeddings_pages', 'kv_store')",
	);
	return rows[0]?.scanned ?? 0;
}

test("a load scans no table, though the connection's first plans were made for a table of one row", async () => {
	await upsert(0, 1);
	await db.service.execute("VACUUM (ANALYZE) pages");
	await db.service.execute("VACUUM (ANALYZE) kv_store");
	for (let at = 1; at < 12; at++) await upsert(at, at + 1);
	const before = await rowsScanned();
	await upsert(12, 1012);
	// 516,357 rows with plans as PostgreSQL caches them: 500 times the stored ones.
	expect((await rowsScanned()) - before).toBeLessThan(1000);
});

test("in a transaction of the caller's, only the upsert has settings of its own", async () => {
	const settings =
		"SELECT current_setting('enable_seqscan') AS scan, current_setting('plan_cache_mode') AS plan";
	await db.service.transaction(async (tx) => {
		await tx.script("SET LOCAL plan_cache_mode = force_custom_plan");
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "page of the caller", content: "text" }],
			tenantId,
			transaction: tx,
		});
		const [result] = await tx.script(settings);
		expect(result?.rows).toEqual([{ scan: "on", plan: "force_custom_plan" }]);
	});
	const { rows } = await db.service.execute(settings);
	expect(rows).toEqual([{ scan: "on", plan: "auto" }]);
});

/** Entries of indexes that were read on the way to rows. */
async function entriesRead(): Promise<number> {
	await db.service.execute("SELECT pg_stat_force_next_flush()");
	const { rows } = await db.service.execute<{ read: number }>(
		"SELECT sum(idx_tup_read)::integer AS read FROM pg_stat_user_indexes WHERE relname IN ('fresh_events', 'kv_store')",
	);
	return rows[0]?.read ?? 0;
}

test.each(["chunk", true] as const)(
	"the first load of a table reads each row a few times, however many there are (atomic: %s)",
	async (atomic) => {
		await db.service.execute("TRUNCATE fresh_events CASCADE");
		// As if autovacuum had not come by yet.
		for (const name of ["fresh_events", "kv_store"])
			await db.service.execute(
				`ALTER TABLE ${name} SET (autovacuum_enabled = off)`,
			);
		const count = 12_000;
		const before = await entriesRead();
		await db.service.batchUpsert({
			tableName: "fresh_events",
			entities: Array.from({ length: count }, (_, index) => ({
				name: `event ${index}`,
				content: `text ${index}`,
			})),
			tenantId,
			atomic,
			generateEmbeddings: false,
		});
		// Without statistics 28 and 16 for each row, and twice that of twice as many.
		expect((await entriesRead()) - before).toBeLessThan(10 * count);
	},
);

const Plain = defineEntity(
	"plain_events",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

// A database of its own: all that is read there is counted.
const own = useService({
	models: [Plain],
	poolSize: 1,
	embedding: { provider: "local", dimensions: 16 },
});

type Reads = Readonly<Record<string, number>>;

/** Rows of tables that were scanned, and entries of indexes that were read, so far. */
async function allReads(): Promise<Reads> {
	await own.service.execute("SELECT pg_stat_force_next_flush()");
	const { rows } = await own.service.execute<{ reads: Reads }>(
		`SELECT jsonb_object_agg(name, read) AS reads FROM (
			SELECT relname AS name, seq_tup_read AS read FROM pg_stat_user_tables
			UNION ALL SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes)`,
	);
	return rows[0]?.reads ?? {};
}

/** The tables and indexes of which the work reads more than so much. */
async function largeReads(
	most: number,
	work: () => Promise<unknown>,
): Promise<Reads> {
	const before = await allReads();
	await work();
	const after = Object.entries(await allReads()).map(
		([name, read]) => [name, read - (before[name] ?? 0)] as const,
	);
	return Object.fromEntries(after.filter(([, read]) => read > most));
}

const writes = {
	insert:
		"INSERT INTO plain_events (tenant_id, name, content) VALUES ($1, 'event', 'its text')",
	"other text":
		"UPDATE plain_events SET content = 'another text' WHERE tenant_id = $1 AND name = 'event'",
	"other owner":
		"UPDATE plain_events SET user_id = 'ada' WHERE tenant_id = $1 AND name = 'event'",
	"soft delete":
		"UPDATE plain_events SET deleted_at = now() WHERE tenant_id = $1 AND name = 'event'",
	restore:
		"UPDATE plain_events SET deleted_at = NULL WHERE tenant_id = $1 AND name = 'event'",
	delete: "DELETE FROM plain_events WHERE tenant_id = $1 AND name = 'event'",
};

test("a write in plain SQL reads what it changes, though the triggers' plans were made for an empty table", async () => {
	for (const { relname } of (
		await own.service.execute<{ relname: string }>(
			"SELECT relname FROM pg_stat_user_tables",
		)
	).rows)
		await own.service.execute(
			`ALTER TABLE ${relname} SET (autovacuum_enabled = off)`,
		);
	const write = (statement: string) =>
		own.service.execute(statement, [tenantId]);
	for (let round = 0; round < 7; round++)
		for (const statement of Object.values(writes)) await write(statement);
	const count = 4000;
	const load = () =>
		write(
			`INSERT INTO plain_events (tenant_id, name, content)
			SELECT $1, 'event ' || i, 'text ' || i FROM generate_series(1, ${count}) AS i`,
		);
	expect(await largeReads(4 * count, load)).toEqual({});
	for (const [name, statement] of Object.entries(writes))
		expect(await largeReads(100, () => write(statement)), name).toEqual({});
});
