import {
	atMost,
	type BenchCase,
	below,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Document } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { settle } from "../support/paired.ts";
import { measureServerWork, type ServerWork } from "../support/server-work.ts";
import { ratios } from "../support/statistics.ts";
import {
	prepareDocuments,
	tenantId,
	withWorkbench,
} from "../support/workbench.ts";

/** The same rows again: nothing to embed and nothing to write. */
export const unchanged: BenchCase = { name: "unchanged", run };

async function run(context: Context): Promise<Figure[]> {
	const { server, rounds } = context;
	const count = context.quick ? 1_000 : 10_000;
	const { bare, provider } = prepareDocuments(count);

	return withWorkbench(
		server,
		[Document],
		provider,
		async (database, service) => {
			const upsert = () =>
				service.batchUpsert({
					tableName: "documents",
					entities: bare,
					tenantId,
				});
			const measure = async () => {
				await database.checkpoint();
				await settle();
				return measureServerWork(database, server.countsTime, upsert);
			};
			const first: ServerWork[] = [];
			const again: ServerWork[] = [];
			const calls: number[] = [];
			await service.batchUpsert({
				tableName: "documents",
				entities: bare,
				tenantId,
			});
			for (let round = 0; round < rounds; round++) {
				await database.empty([Document]);
				first.push(await measure());
				const callsBefore = provider.calls;
				// As autovacuum would: else the first reader writes the rows' hint bits.
				await database.client.query("VACUUM (ANALYZE)");
				again.push(await measure());
				calls.push(provider.calls - callsBefore);
				await database.expectCounts(
					{
						documents: count,
						embeddings_documents: 2 * count,
						kv_store: count,
					},
					"the second call",
				);
			}
			return figures(count, first, again, calls);
		},
	);
}

function figures(
	count: number,
	first: readonly ServerWork[],
	again: readonly ServerWork[],
	calls: readonly number[],
): Figure[] {
	const wall = (work: readonly ServerWork[]) =>
		work.map(({ wallMs }) => wallMs);
	const database = (work: readonly ServerWork[]) =>
		work.map(({ databaseMs, wallMs }) => databaseMs ?? wallMs);
	const wal = (work: readonly ServerWork[]) =>
		work.map(({ walBytes }) => walBytes);
	const clock =
		first[0]?.databaseMs === undefined ? "wall-clock time" : "database time";
	const what = `${whole(count)} unchanged entities`;
	return [
		{
			name: `${what} ÷ first load, ${clock}`,
			values: ratios(database(again), database(first)),
			unit: "×",
			target: atMost(0.4),
			detail: `${milliseconds(database(again))}; first ${milliseconds(database(first))}`,
		},
		{
			name: `${what} ÷ first load, wall-clock time`,
			values: ratios(wall(again), wall(first)),
			unit: "×",
			detail: `${milliseconds(wall(again))}, ${rowsPerSecond(count, wall(again))}; first ${milliseconds(wall(first))}`,
		},
		{
			name: `${what}: WAL, of the first load's`,
			values: ratios(wal(again), wal(first)).map((ratio) => ratio * 100),
			unit: "%",
			target: below(1),
			detail: `${whole(Math.max(...wal(again)))} bytes at most; first ${whole(Math.min(...wal(first)) / 1e6)} MB`,
		},
		{
			name: `${what}: calls to the provider`,
			values: calls,
			unit: "calls",
			target: atMost(0),
		},
	];
}
