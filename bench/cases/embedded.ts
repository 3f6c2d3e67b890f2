import { PostgresService } from "remdb";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** The embedded database against the server, the same call on both. */
export const embedded: BenchCase = { name: "embedded", run };

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 500 : 2_000;
	const { withVectors, provider } = prepareNotes(count);
	const models = [Note] as const;
	const upsert = (service: PostgresService<typeof models>) => () =>
		timed(() =>
			service.batchUpsert({
				tableName: "notes",
				entities: withVectors,
				tenantId,
				generateEmbeddings: false,
			}),
		);
	return withWorkbench(server, models, provider, async (database, service) => {
		const inMemory = await PostgresService.connect({
			connectionString: "memory:",
			models,
			embedding: provider,
		});
		try {
			await inMemory.migrate();
			const times = await pairedRounds(
				{ embedded: upsert(inMemory), server: upsert(service) },
				{
					rounds,
					before: async () => {
						await database.empty(models);
						await inMemory.execute(
							"TRUNCATE kv_store; TRUNCATE notes CASCADE; CHECKPOINT",
						);
					},
					after: async (name) => {
						const table =
							"(SELECT FROM notes JOIN embeddings_notes e ON e.entity_id = notes.id JOIN kv_store k ON k.entity_id = notes.id) AS r";
						const { rows } = await (name === "server"
							? service
							: inMemory
						).execute<{ count: number }>(
							`SELECT count(*)::integer AS count FROM ${table}`,
						);
						if (rows[0]?.count !== count)
							throw new Error(`${name} left ${rows[0]?.count} rows`);
					},
				},
			);
			return [
				{
					name: `${whole(count)} entities + ${whole(count)} vectors + kv, embedded (memory:) ÷ server`,
					values: ratios(times.embedded, times.server),
					unit: "×",
					target: atMost(3),
					detail: `${milliseconds(times.embedded)}, ${rowsPerSecond(count, times.embedded)}; server ${milliseconds(times.server)}`,
				},
			];
		} finally {
			await inMemory.close();
		}
	});
}
