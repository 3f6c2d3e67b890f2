import {
	atLeast,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { type Measure, pairedRounds, timed } from "../support/paired.ts";
import {
	howToInstall,
	openPeers,
	type Peer,
	type PeerRow,
	toNumbers,
} from "../support/peer-libraries.ts";
import { ratios } from "../support/statistics.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** The same texts and ready vectors by other libraries; ours also keeps entities apart by key and the cache of names. */
export const peers: BenchCase = { name: "peers", run };

async function run(context: Context): Promise<Figure[]> {
	const { server, quick, rounds, peersFolder } = context;
	if (peersFolder === undefined) {
		context.say(`peers: not asked for.\n${howToInstall}`);
		return [];
	}
	const count = quick ? 500 : 5_000;
	const { withVectors, provider } = prepareNotes(count);
	const peerRows = withVectors.map(toPeerRow);
	return withWorkbench(server, [Note], provider, async (database, service) => {
		const opened = await openPeers(peersFolder, database.url);
		const variants: Record<string, Measure> = {
			ours: () =>
				timed(() =>
					service.batchUpsert({
						tableName: "notes",
						entities: withVectors,
						tenantId,
						generateEmbeddings: false,
					}),
				),
			...Object.fromEntries(
				opened.map((peer): [string, Measure] => [
					peer.name,
					() => timed(() => peer.insert(peerRows)),
				]),
			),
		};
		try {
			const times = await pairedRounds(variants, {
				rounds,
				before: async () => {
					for (const { table } of opened)
						await database.client.query(`TRUNCATE ${table}`);
					await database.empty([Note]);
				},
				after: (name) => {
					const table = opened.find((peer) => peer.name === name)?.table;
					return database.expectCounts(
						table === undefined
							? { notes: count, embeddings_notes: count, kv_store: count }
							: { [table]: count },
						name,
					);
				},
			});
			const ours = times.ours ?? [];
			return opened.map(({ name }: Peer) => ({
				name: `${name} ÷ ours, ${whole(count)} rows`,
				values: ratios(times[name] ?? [], ours),
				unit: "×",
				target: atLeast(4),
				detail: `${rowsPerSecond(count, times[name] ?? [])}; ours ${rowsPerSecond(count, ours)}, ${milliseconds(ours)}`,
			}));
		} finally {
			for (const peer of opened) await peer.close();
		}
	});
}

function toPeerRow(
	row: ReturnType<typeof prepareNotes>["withVectors"][number],
): PeerRow {
	return {
		name: row.name,
		description: row.description,
		content: row.content,
		metadata: { ...row.metadata },
		tenantId,
		embedding: toNumbers(Float32Array.from(row.vectors?.content ?? [])),
	};
}
