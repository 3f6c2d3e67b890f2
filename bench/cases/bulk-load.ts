import type { NewRow, PostgresService } from "remdb";
import {
	type BenchCase,
	below,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** A load into a standing HNSW index, and one that drops it and has it built again, until it is valid. */
export const bulkLoad: BenchCase = { name: "bulk-load", run };

type Rows = NewRow<typeof Note>[];

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const stored = quick ? 1_000 : 6_000;
	const { withVectors, provider } = prepareNotes(2 * stored);
	return withWorkbench(server, [Note], provider, async (database, service) => {
		const figures: Figure[] = [];
		// From here on a load counts as large, and as many as there are.
		for (const count of [stored / 2, stored]) {
			const loaded = withVectors.slice(stored, stored + count);
			const loading: number[] = [];
			const times = await pairedRounds(
				{
					standing: () => timed(() => upsert(service, loaded, false)),
					bulk: () =>
						timed(async () => {
							loading.push(await timed(() => upsert(service, loaded, true)));
							await service.indexer.drain();
						}),
				},
				{
					rounds,
					before: async () => {
						await database.empty([Note]);
						const index = await hnswName(service);
						await database.client.query(`DROP INDEX IF EXISTS "${index}"`);
						await upsert(service, withVectors.slice(0, stored), false);
						await service.createIndexConcurrently({
							tableName: "notes",
							indexType: "hnsw",
						});
						await database.client.query("VACUUM (ANALYZE) embeddings_notes");
						await database.checkpoint();
					},
					after: async (name) => {
						await database.expectCounts(
							{ embeddings_notes: stored + count },
							name,
						);
						const { indexes } = await service.indexer.status();
						const index = indexes.find(({ indexType }) => indexType === "hnsw");
						if (index?.state !== "valid")
							throw new Error(`the index is ${index?.state}`);
					},
				},
			);
			figures.push({
				name: `${whole(count)} vectors to ${whole(stored)}: bulk, until the index is back ÷ into the index`,
				values: ratios(times.bulk, times.standing),
				unit: "×",
				target: below(1),
				detail: `${milliseconds(times.bulk)}, of it the load ${milliseconds(loading.slice(1))}; into the index ${milliseconds(times.standing)}`,
			});
		}
		return figures;
	});
}

type Service = PostgresService<readonly [typeof Note]>;

async function upsert(
	service: Service,
	entities: Rows,
	bulk: boolean,
): Promise<void> {
	const result = await service.batchUpsert({
		tableName: "notes",
		entities,
		tenantId,
		generateEmbeddings: false,
		bulk,
	});
	if (bulk && result.bulk?.dropped.length !== 1)
		throw new Error(`the index was not dropped: ${result.bulk?.explanation}`);
}

async function hnswName(service: Service): Promise<string> {
	const { indexes } = await service.indexer.status();
	const index = indexes.find(({ indexType }) => indexType === "hnsw");
	if (index === undefined) throw new Error("there is no HNSW index to drop");
	return index.indexName;
}
