import type { BenchDatabase } from "../support/bench-database.ts";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { fingerprint } from "../support/fingerprint.ts";
import { Document } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { StagedRows } from "../support/staged-rows.ts";
import { ratios } from "../support/statistics.ts";
import {
	prepareDocuments,
	tenantId,
	withWorkbench,
} from "../support/workbench.ts";

/** The rows are there and stay as they are; only their vectors are missing. */
export const vectors: BenchCase = { name: "vectors", run };

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 1_000 : 10_000;
	const { withVectors, provider } = prepareDocuments(count);

	return withWorkbench(
		server,
		[Document],
		provider,
		async (database, service) => {
			const upsert = () =>
				service.batchUpsert({
					tableName: "documents",
					entities: withVectors,
					tenantId,
					generateEmbeddings: false,
				});
			await upsert();
			const staged = await StagedRows.of(database, Document);
			const expected = await fingerprint(database, Document);
			const embeddings = staged.tables.slice(1);
			// Whoever reads a row first after its transaction writes hint bits: not ours to pay.
			await database.client.query("VACUUM (ANALYZE)");

			const transactions: number[] = [];
			const times = await pairedRounds(
				{
					ours: async () => {
						const ms = await timed(upsert);
						transactions.push(await sinceBegin(database));
						return ms;
					},
					server: () => staged.insert(embeddings),
				},
				{
					rounds,
					before: async () => {
						await database.client.query("TRUNCATE embeddings_documents");
						await database.checkpoint();
					},
					after: async (name) => {
						if ((await fingerprint(database, Document)) !== expected)
							throw new Error(`${name} wrote other rows`);
					},
				},
			);
			// The round that warms up is not counted.
			const writing = transactions.slice(1);
			return [
				{
					name: `their transaction alone, without validating and comparing ${whole(count)} rows before it`,
					values: ratios(writing, times.server),
					unit: "×",
					target: atMost(1.8),
					detail: `${milliseconds(writing)}, ${rowsPerSecond(2 * count, writing)}`,
				},
				{
					name: `${whole(2 * count)} vectors of unchanged rows ÷ INSERT … SELECT`,
					values: ratios(times.ours, times.server),
					unit: "×",
					target: atMost(1.8),
					detail: `${milliseconds(times.ours)}, ${rowsPerSecond(2 * count, times.ours)}; server ${milliseconds(times.server)}`,
				},
			];
		},
	);
}

/** Milliseconds since the transaction began that wrote the vectors: its time is theirs, and the server's clock ours. */
async function sinceBegin({ client }: BenchDatabase): Promise<number> {
	const now = performance.timeOrigin + performance.now();
	const { rows } = await client.query<{ began: number }>(
		"SELECT extract(epoch FROM max(created_at))::float8 * 1000 AS began FROM embeddings_documents",
	);
	return now - (rows[0]?.began ?? Number.NaN);
}
