import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../../src/index.ts";
import { createDatabase, engine } from "../../support/engine.ts";

// Statistics that know nothing of an entity type are the rule after a crash,
// after a table was renamed, and for a model that gets its cache later.

const entity = (tableName: string, createKvTrigger = true) =>
	defineEntity(
		tableName,
		{ name: z.string() },
		{ entityKeyField: "name", createKvTrigger },
	);

const fill = (table: string, count: number, from = 0) =>
	`INSERT INTO ${table} (tenant_id, name)
SELECT 't' || i % 10, '${table} ' || i FROM generate_series(${from + 1}, ${from + count}) AS i`;

let database: Awaited<ReturnType<typeof createDatabase>>;
beforeAll(async () => {
	database = await createDatabase();
});
afterAll(() => database.drop());

async function connect(models: readonly ReturnType<typeof entity>[]) {
	const service = await PostgresService.connect({
		connectionString: database.url,
		models,
		embedding: { provider: "local", dimensions: 8 },
		backgroundIndex: { enabled: false },
	});
	await service.migrate();
	return service;
}

/** What the planner may take a table for, each the wrong way round for the rebuild. */
const statistics: Record<string, (table: string) => string> = {
	"that know other types only": (table) => `
ANALYZE kv_store, ${table};`,
	"of a table that nobody analysed": (table) => `
ALTER TABLE ${table} SET (autovacuum_enabled = off);`,
	"of the time when all rows were deleted": (table) => `
UPDATE ${table} SET deleted_at = now();
ANALYZE ${table};
ANALYZE kv_store;
UPDATE ${table} SET deleted_at = NULL;`,
	"of the time when the table was empty": (table) => `
CREATE TABLE aside AS SELECT * FROM ${table};
TRUNCATE ${table} CASCADE;
ANALYZE ${table};
INSERT INTO ${table} SELECT * FROM aside;
DROP TABLE aside;`,
};

let tables = 0;

describe.each(Object.entries(statistics))(
	"with statistics %s",
	(_, prepare) => {
		test("the times of a rebuild and of a comparison grow as the rows do", async () => {
			const small = entity(`small_${++tables}`);
			const large = entity(`large_${tables}`);
			const other = entity("others");
			const service = await connect([other, small, large]);
			try {
				const run = (text: string) => service.execute(text);
				await run("ALTER TABLE kv_store SET (autovacuum_enabled = off)");
				await run(fill("others", 3000, 10_000 * tables));
				const perRow: number[] = [];
				for (const [{ tableName }, count] of [
					[small, 1000],
					[large, 8000],
				] as const) {
					await run(fill(tableName, count));
					await run(`DELETE FROM kv_store WHERE entity_type = '${tableName}'`);
					await run(prepare(tableName));
					await run(
						`DELETE FROM kv_state; DELETE FROM kv_store WHERE entity_type = '${tableName}'`,
					);
					const started = performance.now();
					expect(await service.kv.rebuild()).toEqual({ entries: count });
					const { differing, ready } = await service.kv.verify();
					perRow.push((performance.now() - started) / count);
					expect([ready, differing]).toEqual([true, 0]);
					await run(
						`DROP TABLE IF EXISTS embeddings_${tableName}; DROP TABLE ${tableName} CASCADE; DELETE FROM kv_store WHERE entity_type = '${tableName}'`,
					);
				}
				const [first = 0, second = 0] = perRow;
				// Of a squared time, the share of a row is 8 times as large.
				expect(second / first).toBeLessThan(4);
			} finally {
				await service.close();
			}
		});
	},
);

/** A service whose model gets its cache only with this migration. */
async function lateCache(tableName: string, rows: number) {
	const before = await connect([entity(tableName, false)]);
	await before.execute(fill(tableName, rows));
	await before.close();
	return PostgresService.connect({
		connectionString: database.url,
		models: [entity(tableName)],
		embedding: { provider: "local", dimensions: 8 },
		backgroundIndex: { enabled: false },
	});
}

test.runIf(engine === "server")(
	"migrate does not wait for the rebuild, and reads are complete during it",
	async () => {
		const service = await lateCache("late", 2000);
		const writer = new pg.Client({ connectionString: database.url });
		await writer.connect();
		try {
			await service.migrate();
			await service.kv.ensureReady();
			// The rebuild cannot go past a row that is being written.
			await writer.query(
				"BEGIN; SELECT FROM late WHERE name = 'late 7' FOR UPDATE",
			);
			await service.execute("DELETE FROM kv_state; DELETE FROM kv_store");
			await service.migrate();
			expect(await service.kv.status()).toMatchObject({
				ready: false,
				rebuilding: true,
			});
			for (const name of ["late 7", "late 1999"])
				expect(
					await service.lookupEntity({
						entityKey: name,
						tenantId: `t${Number(name.slice(5)) % 10}`,
					}),
				).toMatchObject({ entityKey: name });
			await writer.query("COMMIT");
			await service.kv.ensureReady();
			expect(await service.kv.verify()).toMatchObject({
				ready: true,
				differing: 0,
			});
		} finally {
			await writer.end();
			await service.close();
		}
	},
);

test("a rebuild that migrate started is stopped by a caller who waits for it", async () => {
	const service = await lateCache("later", 4000);
	try {
		await service.migrate();
		const stop = new AbortController();
		const waiting = service.kv.rebuild({ signal: stop.signal });
		const other = service.kv.rebuild();
		stop.abort();
		await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
		await other;
		expect(await service.kv.verify()).toMatchObject({
			ready: true,
			differing: 0,
		});
	} finally {
		await service.close();
	}
});
