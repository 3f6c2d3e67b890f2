import type { PostgresService } from "remdb";
import type { BenchDatabase } from "../support/bench-database.ts";
import {
	atLeast,
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { startEmbeddingProcess } from "../support/embedding-process.ts";
import { Note } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** Texts to stored vectors through a provider's protocol, in a process of its own. */
export const embedding: BenchCase = { name: "embedding", run: atOnce };

/** The same in chunks: while one is written, the next one is embedded. */
export const chunks: BenchCase = { name: "chunks", run: overlapping };

type Rows = ReturnType<typeof prepareNotes>;
type NoteService = PostgresService<readonly [typeof Note]>;

/** The server answers at once: what is measured is everything around its calls. */
async function atOnce({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 5_000 : 20_000;
	const rows = prepareNotes(count);
	const provider = await startEmbeddingProcess(0);
	try {
		return await withWorkbench(
			server,
			[Note],
			provider.options,
			async (database, service) => {
				const after = (name: string) => expectVectors(database, count, name);
				const ready = () => timed(() => upsertReady(service, rows));
				const written = await pairedRounds(
					{ ready, embedded: () => timed(() => upsertBare(service, rows)) },
					{ rounds, before: () => database.empty([Note]), after },
				);
				await database.client.query("VACUUM (ANALYZE) notes");
				const synced = await pairedRounds(
					{ ready, embedded: () => timed(() => service.embeddings.sync()) },
					{
						rounds,
						before: async () => {
							await database.client.query("TRUNCATE embeddings_notes");
							await database.checkpoint();
						},
						after,
					},
				);
				return [
					rateFigure(
						`${whole(count)} new rows, embedded ÷ ready vectors, rate`,
						written,
						count,
					),
					rateFigure(
						`${whole(count)} rows that are there, sync ÷ ready vectors, rate`,
						synced,
						count,
					),
				];
			},
		);
	} finally {
		provider.stop();
	}
}

function rateFigure(
	name: string,
	{ ready, embedded }: { ready: number[]; embedded: number[] },
	count: number,
): Figure {
	return {
		name,
		values: ratios(ready, embedded),
		unit: "×",
		target: atLeast(0.5),
		detail: `${milliseconds(embedded)}, ${rowsPerSecond(count, embedded)}; ready ${milliseconds(ready)}`,
	};
}

/** Most of a provider's time is waiting, as it is with real ones: they take longer than this for 500 texts. */
const delayMs = 250;

/** A provider that takes its time, and a database that does: together no longer than one of them. */
async function overlapping({
	server,
	quick,
	rounds,
}: Context): Promise<Figure[]> {
	const count = quick ? 5_000 : 20_000;
	const rows = prepareNotes(count);
	const texts = rows.bare.map(({ content }) => content);
	const provider = await startEmbeddingProcess(delayMs);
	try {
		return await withWorkbench(
			server,
			[Note],
			{ ...provider.options, batchSize: 500, parallelCalls: 1 },
			async (database, service) => {
				const times = await pairedRounds(
					{
						provider: () =>
							timed(() => service.embeddings.generateBatch(texts)),
						database: () => timed(() => upsertReady(service, rows, "chunk")),
						both: () => timed(() => upsertBare(service, rows, "chunk")),
					},
					{
						rounds,
						before: () => database.empty([Note]),
						after: (name) =>
							expectVectors(database, name === "provider" ? 0 : count, name),
					},
				);
				const longer = times.provider.map((ms, round) =>
					Math.max(ms, times.database[round] as number),
				);
				return [
					{
						name: `${whole(count)} rows in chunks ÷ the longer of provider and database`,
						values: ratios(times.both, longer),
						unit: "×",
						target: atMost(1.25),
						detail: `${milliseconds(times.both)}; provider ${milliseconds(times.provider)}, database ${milliseconds(times.database)}`,
					},
				];
			},
		);
	} finally {
		provider.stop();
	}
}

function upsertBare(
	service: NoteService,
	{ bare }: Rows,
	atomic: true | "chunk" = true,
): Promise<unknown> {
	return service.batchUpsert({
		tableName: "notes",
		entities: bare,
		tenantId,
		atomic,
	});
}

function upsertReady(
	service: NoteService,
	{ withVectors }: Rows,
	atomic: true | "chunk" = true,
): Promise<unknown> {
	return service.batchUpsert({
		tableName: "notes",
		entities: withVectors,
		tenantId,
		generateEmbeddings: false,
		atomic,
	});
}

function expectVectors(
	database: BenchDatabase,
	count: number,
	who: string,
): Promise<void> {
	return database.expectCounts({ embeddings_notes: count }, who);
}
