import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { fingerprint } from "../support/fingerprint.ts";
import { Document } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { type Measure, pairedRounds, timed } from "../support/paired.ts";
import { PsqlCopy, psqlVersion } from "../support/psql-copy.ts";
import { StagedRows } from "../support/staged-rows.ts";
import { ratios } from "../support/statistics.ts";
import {
	prepareDocuments,
	tenantId,
	withWorkbench,
} from "../support/workbench.ts";

/** Entities with two vectors each, against the server and against psql's \copy. */
export const twoVectors: BenchCase = { name: "two-vectors", run };

async function run({ server, quick, rounds, say }: Context): Promise<Figure[]> {
	const count = quick ? 1_000 : 10_000;
	const { withVectors, provider } = prepareDocuments(count);
	const psql = psqlVersion();
	if (psql === undefined) say("no psql on this machine: \\copy is left out");

	return withWorkbench(
		server,
		[Document],
		provider,
		async (database, service) => {
			const ours: Measure = () =>
				timed(() =>
					service.batchUpsert({
						tableName: "documents",
						entities: withVectors,
						tenantId,
						generateEmbeddings: false,
					}),
				);
			await ours();
			const staged = await StagedRows.of(database, Document);
			const expected = await fingerprint(database, Document);
			const copy =
				psql === undefined ? undefined : new PsqlCopy(database, staged);
			const variants: Record<string, Measure> = {
				ours,
				server: () => staged.insert(),
				serverUpsert: () => staged.upsert(),
				...(copy === undefined ? {} : { copy: async () => copy.run() }),
			};
			const times = await pairedRounds(variants, {
				rounds,
				before: () => database.empty([Document]),
				after: async (name) => {
					if ((await fingerprint(database, Document)) !== expected)
						throw new Error(`${name} wrote other rows`);
				},
			}).finally(() => copy?.remove());

			const oursMs = times.ours ?? [];
			const what = `${whole(count)} entities + ${whole(2 * count)} vectors + kv`;
			const against = (
				name: string,
				other: readonly number[] = [],
				bound?: number,
			): Figure => ({
				name: `${what} ÷ ${name}`,
				values: ratios(oursMs, other),
				unit: "×",
				...(bound === undefined ? {} : { target: atMost(bound) }),
				detail: `${milliseconds(oursMs)}, ${rowsPerSecond(count, oursMs)}; other ${milliseconds(other)}`,
			});
			return [
				against("INSERT … SELECT", times.server, 2.0),
				against("INSERT … SELECT … ON CONFLICT", times.serverUpsert),
				...(copy === undefined
					? []
					: [against("psql \\copy binary", times.copy, 1.6)]),
			];
		},
	);
}
