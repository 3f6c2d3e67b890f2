import {
	atLeast,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { dimensions } from "../support/data.ts";
import { Note } from "../support/models.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import {
	howToInstall,
	openPeers,
	type Peer,
	toNumbers,
} from "../support/peer-libraries.ts";
import { PrecomputedProvider } from "../support/precomputed-provider.ts";
import { ratios } from "../support/statistics.ts";
import { type TenantSize, tenantVectors } from "../support/tenant-vectors.ts";
import { withWorkbench } from "../support/workbench.ts";

/** The same vectors searched within the same tenants by other libraries: how many rows come, and how long it takes. */
export const peerSearches: BenchCase = { name: "peer-searches", run };

const k = 10;
const queriesPerRound = 10;
/** The largest tenant, one in the middle, a small one. */
const ranks = [0, 9, 60];

/** Who searches: ours is one of them. */
interface Searcher {
	readonly name: string;
	search(vector: Float32Array, tenantId: string): Promise<string[]>;
}

async function run(context: Context): Promise<Figure[]> {
	const { server, quick, peersFolder } = context;
	if (peersFolder === undefined) {
		context.say(`peer-searches: not asked for.\n${howToInstall}`);
		return [];
	}
	const vectors = tenantVectors(dimensions, quick ? 2_000 : 10_000);
	const rows = vectors.tenants.flatMap(({ tenantId, size }) =>
		Array.from({ length: size }, (_, at) => ({
			tenantId,
			name: `${tenantId} ${at}`,
			description: "a note",
			content: `note ${at}`,
			vector: vectors.vector(),
		})),
	);
	const provider = new PrecomputedProvider(new Map());
	return withWorkbench(server, [Note], provider, async (database, service) => {
		const peers = await openPeers(peersFolder, database.url);
		try {
			await service.batchUpsert({
				tableName: "notes",
				entities: rows.map(({ vector, ...row }) => ({
					...row,
					vectors: { content: vector },
				})),
				generateEmbeddings: false,
			});
			await service.createIndexConcurrently({
				tableName: "notes",
				indexType: "hnsw",
			});
			for (const peer of peers) {
				await peer.insert(
					rows.map(({ vector, ...row }) => ({
						...row,
						metadata: {},
						embedding: toNumbers(vector),
					})),
				);
				await peer.buildIndex();
			}
			await database.client.query("VACUUM (ANALYZE)");
			const ours: Searcher = {
				name: "ours",
				search: async (queryEmbedding, tenantId) => {
					const found = await service.vectorSearch({
						tableName: "notes",
						queryEmbedding,
						tenantId,
						limit: k,
					});
					return found.map(({ name }) => name);
				},
			};
			const searchers = [ours, ...peers.map(searcherOf)];
			const figures: Figure[] = [];
			for (const rank of ranks) {
				const queries = Array.from({ length: queriesPerRound }, () =>
					vectors.near(vectors.vector()),
				);
				figures.push(
					...(await compare(
						context,
						searchers,
						vectors.tenants[rank] as TenantSize,
						queries,
					)),
				);
			}
			return figures;
		} finally {
			for (const peer of peers) await peer.close();
		}
	});
}

function searcherOf(peer: Peer): Searcher {
	return {
		name: peer.name,
		search: (vector, tenantId) => peer.search(toNumbers(vector), tenantId, k),
	};
}

async function compare(
	{ rounds }: Context,
	searchers: readonly Searcher[],
	{ tenantId, size }: TenantSize,
	queries: readonly Float32Array[],
): Promise<Figure[]> {
	const found = new Map<string, number>();
	const times = await pairedRounds(
		Object.fromEntries(
			searchers.map(({ name, search }) => [
				name,
				() =>
					timed(async () => {
						let rows = 0;
						for (const query of queries)
							rows += (await search(query, tenantId)).length;
						found.set(name, rows);
					}),
			]),
		),
		{ rounds, before: () => settle(), after: async () => {} },
	);
	const eligible = queries.length * Math.min(k, size);
	const each = (name: string) =>
		milliseconds((times[name] ?? []).map((ms) => ms / queries.length));
	const title = `tenant of ${whole(size)}`;
	return searchers.flatMap(({ name }): Figure[] => [
		{
			name: `${title}, ${name}: rows found, of those there are`,
			values: [(100 * (found.get(name) ?? 0)) / eligible],
			unit: "%",
			...(name === "ours" ? { target: atLeast(100) } : {}),
			detail: `${each(name)} a search`,
		},
		...(name === "ours"
			? []
			: [
					{
						name: `${title}, ${name} ÷ ours, time`,
						values: ratios(times[name] ?? [], times.ours ?? []),
						unit: "×" as const,
					},
				]),
	]);
}
