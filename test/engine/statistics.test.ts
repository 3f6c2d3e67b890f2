import { expect, test } from "vitest";
import * as z from "zod";
import { emptyPendingLists } from "../../src/db/catalogue/indexes.ts";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { ident } from "../../src/sql.ts";
import { coreOf, engine, neighbourOf, useService } from "../support/engine.ts";

const Paper = defineEntity(
	"papers",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Paper],
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false },
});

const tables = ["papers", "embeddings_papers", "kv_store"];

async function estimated(tableName: string, tenantId: string) {
	const { schema } = coreOf(db.service, tenantId).settings;
	const { rows } = await db.service.execute<{
		"QUERY PLAN": [{ Plan: { "Plan Rows": number } }];
	}>(
		`EXPLAIN (FORMAT JSON) SELECT FROM ${schema}.${tableName} WHERE tenant_id = '${tenantId}'`,
	);
	return rows[0]?.["QUERY PLAN"][0].Plan["Plan Rows"] ?? 0;
}

const load = (tenantId: string, count: number) =>
	db.service.batchUpsert({
		tableName: "papers",
		tenantId,
		entities: Array.from({ length: count }, (_, at) => ({
			name: `paper ${at}`,
			content: `content ${at}`,
		})),
	});

/** Statistics of some tenants, and none since: as if autovacuum had not come by, and an analysis were long ago. */
async function forgetLaterTenants() {
	for (const tenantId of ["a", "b", "c"]) await load(tenantId, 1000);
	for (const name of tables) {
		await db.service.execute(
			`ALTER TABLE ${name} SET (autovacuum_enabled = off)`,
		);
		await db.service.execute(`ANALYZE ${name}`);
	}
	await db.service.execute(
		"SELECT pg_stat_reset_single_table_counters(oid) FROM pg_class WHERE relname IN ('papers', 'embeddings_papers', 'kv_store')",
	);
}

test("after a load of a tenant that statistics do not know they know it, in every table", async () => {
	await forgetLaterTenants();
	await load("new", 1500);
	for (const name of tables)
		expect(await estimated(name, "new"), name).toBeGreaterThan(1000);
});

test("of a tenant that comes in small batches as well, also where some are a transaction's", async () => {
	await forgetLaterTenants();
	for (let at = 0; at < 12; at++) {
		const batch = {
			tableName: "papers",
			tenantId: "slow",
			entities: Array.from({ length: 100 }, (_, row) => ({
				name: `paper ${at} ${row}`,
				content: `content ${at} ${row}`,
			})),
		} as const;
		if (at % 2 === 0) await db.service.batchUpsert(batch);
		else
			await db.service.transaction((transaction) =>
				db.service.batchUpsert({ ...batch, transaction }),
			);
	}
	for (const name of tables)
		expect(await estimated(name, "slow"), name).toBeGreaterThan(700);
});

test("after a load the index of names has no list of entries that each search reads", async () => {
	const { schema } = coreOf(db.service, "listed").settings;
	const listed = async () => {
		const { rows } = await db.service.execute<{ pages: number }>(
			`SELECT gin_clean_pending_list('${schema}.kv_store_fuzzy')::int AS pages`,
		);
		return rows[0]?.pages ?? 0;
	};
	await load("listed", 1000);
	expect(await listed()).toBe(0);
	await load(neighbourOf(db.service, "listed"), 100);
	expect(await listed()).toBeGreaterThan(0);
});

test.skipIf(engine === "embedded")(
	"an index that another session has locked is left to VACUUM, and no write waits for it",
	async () => {
		const { db: own, settings } = coreOf(db.service, "listed");
		const other = await PostgresService.connect({
			connectionString: db.url,
			models: [],
		});
		try {
			await other.transaction(async (tx) => {
				await tx.script(`REINDEX INDEX "${settings.schema}".kv_store_fuzzy`);
				await emptyPendingLists(own, [ident(settings.schema, "kv_store")]);
			});
		} finally {
			await other.close();
		}
	},
);
