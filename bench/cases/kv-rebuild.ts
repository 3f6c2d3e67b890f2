import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { PostgresService } from "remdb";
import type { BenchDatabase } from "../support/bench-database.ts";
import {
	atLeast,
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Cached } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { PrecomputedProvider } from "../support/precomputed-provider.ts";
import { ratios } from "../support/statistics.ts";
import { tenantId, withWorkbench } from "../support/workbench.ts";

/** Filling an emptied cache beside a writer, and what the check of its marker costs a LOOKUP. */
export const kvRebuild: BenchCase = { name: "kv-rebuild", run };

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 20_000 : 500_000;
	const provider = new PrecomputedProvider(new Map());
	return withWorkbench(
		server,
		[Cached],
		provider,
		async (database, service) => {
			await database.client.query(
				`INSERT INTO cached_rows (tenant_id, name, description, content)
SELECT $1, 'name ' || i, 'description ' || i, 'content of row ' || i FROM generate_series(1, $2::int) AS i`,
				[tenantId, count],
			);
			await database.client.query("VACUUM ANALYZE cached_rows");
			const stalls: number[] = [];
			const times = await pairedRounds(
				{
					rebuild: () => timed(() => service.kv.rebuild()),
					besideWriter: async () => {
						const writer = await startWriter(database.url);
						const ms = await timed(() => service.kv.rebuild());
						stalls.push(await writer.stop());
						return ms;
					},
					plain: () => timed(() => database.client.query(plainCopy)),
				},
				{
					rounds,
					before: async () => {
						await database.client.query("TRUNCATE kv_store");
						await database.checkpoint();
					},
					after: (name) => database.expectCounts({ kv_store: count }, name),
				},
			);
			await service.kv.rebuild();
			return [
				{
					name: `${whole(count)} names, plain INSERT … SELECT ÷ rebuild`,
					values: ratios(times.plain, times.rebuild),
					unit: "×",
					target: atLeast(0.6),
					detail: `rebuild ${milliseconds(times.rebuild)}, ${rowsPerSecond(count, times.rebuild)}; plain ${milliseconds(times.plain)}`,
				},
				{
					name: "longest wait of a writer during a rebuild",
					// The first was the warm-up.
					values: stalls.slice(1),
					unit: "ms",
					target: atMost(50),
				},
				await contentIndexFigure({ database, provider, rounds, count }),
				await markerFigure(database, 4 * rounds, quick ? 200 : 1000),
			];
		},
	);
}

interface Filled {
	readonly database: BenchDatabase;
	readonly provider: PrecomputedProvider;
	readonly rounds: number;
	readonly count: number;
}

/** With the index of contents there: the indexer drops it for the time, and builds it again. */
async function contentIndexFigure({
	database,
	provider,
	rounds,
	count,
}: Filled): Promise<Figure> {
	const service = await PostgresService.connect({
		connectionString: database.url,
		models: [Cached],
		embedding: provider,
	});
	const rebuild = () => timed(() => service.kv.rebuild());
	try {
		const times = await pairedRounds(
			{
				indexed: rebuild,
				bare: async () => {
					await database.client.query("DROP INDEX IF EXISTS kv_store_content");
					return rebuild();
				},
			},
			{
				rounds,
				before: async () => {
					await service.indexer.repair({ missing: true });
					await service.indexer.drain();
					await database.client.query("TRUNCATE kv_store");
					await database.checkpoint();
				},
				after: async (name) => {
					await database.expectCounts({ kv_store: count }, name);
					await service.indexer.drain();
				},
			},
		);
		return {
			name: `${whole(count)} names, rebuild with the index of contents ÷ without`,
			values: ratios(times.indexed, times.bare),
			unit: "×",
			target: atMost(1.5),
			detail: `${milliseconds(times.indexed)}; ${milliseconds(times.bare)}`,
		};
	} finally {
		await service.close();
	}
}

const columns =
	"tenant_id, entity_key, normalized_key, entity_type, entity_id, user_id, content_summary, metadata, graph_edges, created_at";
const plainCopy = `INSERT INTO kv_store (${columns}) SELECT ${columns} FROM kv_source_cached_rows`;

/** Changes a row every few milliseconds, in batches' way; tells its longest wait. */
async function startWriter(url: string): Promise<{ stop(): Promise<number> }> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	let isOver = false;
	let longest = 0;
	const writing = (async () => {
		for (let turn = 0; !isOver; turn++) {
			const ms = await timed(() =>
				client.query(
					"UPDATE cached_rows SET description = $2 WHERE tenant_id = $3 AND user_id IS NULL AND name = 'name ' || $1::int AND deleted_at IS NULL",
					[1 + ((turn * 7919) % 20_000), `turn ${turn}`, tenantId],
				),
			);
			longest = Math.max(longest, ms);
			await sleep(2);
		}
	})();
	return {
		async stop() {
			isOver = true;
			await writing;
			await client.end();
			return longest;
		},
	};
}

const hit =
	"SELECT entity_key, entity_type, entity_id, user_id, metadata, content_summary, graph_edges FROM kv_store WHERE tenant_id IN ($1, '*') AND normalized_key = rem_normalize_key($2)";
const checked = `SELECT s.ready, k.* FROM (SELECT EXISTS (SELECT FROM kv_state
  WHERE kind = 'ready' AND filenode = pg_relation_filenode('kv_store'::regclass)) AS ready) AS s
LEFT JOIN LATERAL (${hit}) AS k ON s.ready`;

async function markerFigure(
	{ client }: BenchDatabase,
	rounds: number,
	lookups: number,
): Promise<Figure> {
	const ask = (name: string, text: string) => () =>
		timed(async () => {
			for (let number = 1; number <= lookups; number++)
				await client.query({
					name,
					text,
					values: [tenantId, `name ${number}`],
				});
		});
	const times = await pairedRounds(
		{ checked: ask("checked", checked), bare: ask("bare", hit) },
		{ rounds, before: async () => {}, after: async () => {} },
	);
	return {
		name: "LOOKUP with the check of the marker ÷ without",
		values: ratios(times.checked, times.bare),
		unit: "×",
		target: atMost(1.15),
		detail: `${whole(lookups)} lookups: ${milliseconds(times.checked)}; without ${milliseconds(times.bare)}`,
	};
}
