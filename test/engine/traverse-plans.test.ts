import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";
import { readPlans } from "../support/read-plans.ts";

// What a step of TRAVERSE reads follows its edges, also where PostgreSQL does not
// know how many rows there are: without statistics, and with plans that were made
// while the tables had a few rows.

const Node = defineEntity(
	"graph_nodes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name", createEmbeddings: false },
);

// One connection: it caches its plans.
const db = useService({
	models: [Node],
	poolSize: 1,
	backgroundIndex: { enabled: false },
});

const tenantId = "walked";
const others = 10_000;
const count = 1000;

const walks = {
	out: { from: "hub", limit: 2000, tenantId },
	"the first ones": { from: "hub", limit: 5, tenantId },
	in: { from: "centre", direction: "in", limit: 2000, tenantId },
	both: { from: "leaf 7", direction: "both", depth: 2, tenantId },
} as const;

beforeAll(async () => {
	const run = (text: string) => db.service.execute(text);
	for (const name of ["graph_nodes", "kv_store"])
		await run(`ALTER TABLE ${name} SET (autovacuum_enabled = off)`);
	// Few, but more than fit in the pages that PostgreSQL would rather scan than look up.
	await run(`
INSERT INTO graph_nodes (tenant_id, name, content, graph_edges)
SELECT CASE WHEN i < 50 THEN '${tenantId}' ELSE 't' || i % 10 END, CASE i WHEN 0 THEN 'hub' WHEN 1 THEN 'centre' ELSE 'leaf ' || i END, '',
  jsonb_build_array(jsonb_build_object('dst', 'leaf ' || i + 1, 'rel_type', 'has'))
FROM generate_series(0, 999) AS i`);
	for (const name of ["graph_nodes", "kv_store"])
		await run(`VACUUM (ANALYZE) ${name}`);
	for (let round = 0; round < 8; round++)
		for (const walk of Object.values(walks)) await db.service.traverse(walk);
	await run(`DELETE FROM graph_nodes`);
	await run(`
INSERT INTO graph_nodes (tenant_id, name, content, graph_edges)
SELECT 't' || i % 10, 'leaf ' || i / 10, '', jsonb_build_array(jsonb_build_object('dst', 'centre', 'rel_type', 'of'))
FROM generate_series(0, ${others - 1}) AS i`);
	await run(`
INSERT INTO graph_nodes (tenant_id, name, content, graph_edges)
SELECT '${tenantId}', 'leaf ' || i, '', jsonb_build_array(jsonb_build_object('dst', 'centre', 'rel_type', 'of'))
FROM generate_series(0, ${count - 1}) AS i
UNION ALL SELECT '${tenantId}', 'centre', '', '[]'
UNION ALL SELECT '${tenantId}', 'hub', '', jsonb_agg(jsonb_build_object('dst', 'leaf ' || i, 'rel_type', 'has')) FROM generate_series(0, ${count - 1}) AS i`);
	await db.service.indexer.build({
		tableName: "graph_nodes",
		indexType: "gin",
	});
});

/** Rows of tables that were scanned, and entries of indexes that were read. */
async function reads(): Promise<number> {
	await db.service.execute("SELECT pg_stat_force_next_flush()");
	const { rows } = await db.service.execute<{ read: number }>(
		`SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('graph_nodes', 'kv_store'))
			+ (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('graph_nodes', 'kv_store')))::integer AS read`,
	);
	return rows[0]?.read ?? 0;
}

test.each(Object.entries(walks))(
	"a walk %s reads its edges' rows, by the plans of before",
	async (_, walk) => {
		const before = await reads();
		const { nodes } = await db.service.traverse(walk);
		expect(nodes.length).toBe(
			"depth" in walk ? 50 : Math.min(walk.limit, count),
		);
		expect((await reads()) - before).toBeLessThan(10 * count);
	},
);

test.each(Object.entries(walks))(
	"a walk %s reads its edges' rows, without statistics",
	async (_, walk) => {
		const plans = await readPlans(db.service, () => db.service.traverse(walk));
		expect(plans.length).toBeGreaterThan(0);
		for (const { text, blocks, scanned } of plans) {
			expect(scanned, text).not.toContain("kv_store");
			expect(blocks, text).toBeLessThan(100 + 10 * count);
		}
	},
);
