import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { generateEntities } from "../support/data.ts";
import { Cached, Uncached } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { PrecomputedProvider } from "../support/precomputed-provider.ts";
import { ratios } from "../support/statistics.ts";
import { tenantId, withWorkbench } from "../support/workbench.ts";

/** What it costs that every name is in the cache: the same upsert with and without, no vectors that would hide it. */
export const kvUpkeep: BenchCase = { name: "kv-upkeep", run };

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 2_000 : 10_000;
	const entities = generateEntities(count);
	const provider = new PrecomputedProvider(new Map());
	return withWorkbench(
		server,
		[Cached, Uncached],
		provider,
		async (database, service) => {
			const upsert = (tableName: "cached_rows" | "uncached_rows") => () =>
				timed(() => service.batchUpsert({ tableName, entities, tenantId }));
			const times = await pairedRounds(
				{ cached: upsert("cached_rows"), uncached: upsert("uncached_rows") },
				{
					rounds,
					before: () => database.empty([Cached, Uncached]),
					after: (name) =>
						database.expectCounts(
							{
								[`${name}_rows`]: count,
								kv_store: name === "cached" ? count : 0,
							},
							name,
						),
				},
			);
			return [
				{
					name: `${whole(count)} entities without vectors, with kv ÷ without`,
					values: ratios(times.cached, times.uncached),
					unit: "×",
					target: atMost(2),
					detail: `${milliseconds(times.cached)}, ${rowsPerSecond(count, times.cached)}; without ${milliseconds(times.uncached)}`,
				},
			];
		},
	);
}
