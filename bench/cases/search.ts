import { type NewRow, PostgresService } from "remdb";
import { BenchDatabase } from "../support/bench-database.ts";
import {
	atLeast,
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { openRawSearches, type RawSearches } from "../support/raw-searches.ts";
import { median, ratios } from "../support/statistics.ts";
import {
	type TenantSize,
	type TenantVectors,
	tenantVectors,
} from "../support/tenant-vectors.ts";

/** Nearest vectors within tenants of every size: what is found, and how long it takes next to the best SQL. */
export const search: BenchCase = { name: "search", run };

const limit = 10;
/** Far enough for every row, near enough for some: what LangChain's users set. */
const minSimilarity = 0.5;

async function run(context: Context): Promise<Figure[]> {
	const { quick } = context;
	return [
		...(await measure(context, tenantVectors(384, quick ? 10_000 : 50_000))),
		...(await measure(context, tenantVectors(1536, quick ? 3_000 : 20_000))),
	];
}

type Service = PostgresService<readonly [typeof Note]>;

async function measure(
	context: Context,
	vectors: TenantVectors,
): Promise<Figure[]> {
	const { dimensions } = vectors;
	const space = { provider: "bench", model: "clusters", dimensions };
	const database = await BenchDatabase.create(context.server);
	try {
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [Note],
			// Nothing is built beside the measurement but what it asks for.
			backgroundIndex: { enabled: false },
			embedding: {
				name: space.provider,
				model: space.model,
				dimensions,
				limits: { maxTexts: 1 },
				embed: async () => {
					throw new Error("every vector is given");
				},
			},
		});
		const raw = await openRawSearches(database.url, space);
		try {
			await load(service, vectors);
			context.say(`search: ${dimensions} dimensions are loaded and indexed`);
			await database.client.query("VACUUM (ANALYZE)");
			return [
				...(await quality(service, raw, vectors)),
				...(await speed(context, service, raw, vectors)),
			];
		} finally {
			await raw.close();
			await service.close();
		}
	} finally {
		await database.drop();
	}
}

async function load(service: Service, vectors: TenantVectors): Promise<void> {
	await service.migrate();
	for (const { tenantId, size } of vectors.tenants)
		await service.batchUpsert({
			tableName: "notes",
			entities: rowsOf(size, vectors),
			tenantId,
			generateEmbeddings: false,
		});
	await service.createIndexConcurrently({
		tableName: "notes",
		indexType: "hnsw",
	});
}

function* rowsOf(
	size: number,
	vectors: TenantVectors,
): Generator<NewRow<typeof Note>> {
	for (let at = 0; at < size; at++)
		yield {
			name: `note ${at}`,
			description: "a note",
			content: `note ${at}`,
			vectors: { content: vectors.vector() },
		};
}

const queriesPerTenant = 5;

/** Every tenant, held against all of its vectors compared. */
async function quality(
	service: Service,
	{ searches }: RawSearches,
	vectors: TenantVectors,
): Promise<Figure[]> {
	const recalls: number[] = [];
	let whole = 0;
	let own = 0;
	for (const { tenantId, size } of vectors.tenants) {
		let hits = 0;
		for (let at = 0; at < queriesPerTenant; at++) {
			const query = vectors.near(vectors.vector());
			const truth = await searches.exact?.(query, tenantId);
			const found = await find(service, query, tenantId);
			const ids = new Set(found.map(({ id }) => id));
			hits += truth?.filter(({ id }) => ids.has(id)).length ?? 0;
			if (found.length === Math.min(limit, size)) whole++;
			if (found.every((row) => row.tenantId === tenantId)) own++;
		}
		recalls.push(hits / (queriesPerTenant * Math.min(limit, size)));
	}
	const searched = queriesPerTenant * vectors.tenants.length;
	const share = (count: number) => [(100 * count) / searched];
	const title = `${vectors.dimensions} dimensions`;
	return [
		{
			name: `${title}: recall@10, mean of ${recalls.length} tenants`,
			values: [
				(100 * recalls.reduce((sum, one) => sum + one)) / recalls.length,
			],
			unit: "%",
			target: atLeast(97),
		},
		{
			name: `${title}: recall@10, worst tenant`,
			values: [100 * Math.min(...recalls)],
			unit: "%",
			target: atLeast(90),
		},
		{
			name: `${title}: searches with all rows there are`,
			values: share(whole),
			unit: "%",
			target: atLeast(100),
		},
		{
			name: `${title}: searches without another tenant's row`,
			values: share(own),
			unit: "%",
			target: atLeast(100),
		},
	];
}

/** The largest tenants, where plans differ, and two of the many small ones. */
const ranks = [0, 1, 3, 9, 30, 99];
const queriesPerRound = 20;
const goodRecall = 0.97;

async function speed(
	context: Context,
	service: Service,
	raw: RawSearches,
	vectors: TenantVectors,
): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const rank of ranks) {
		const tenant = vectors.tenants[rank] as TenantSize;
		const { tenantId, size } = tenant;
		const queries = Array.from({ length: queriesPerRound }, () =>
			vectors.near(vectors.vector()),
		);
		const each = (work: (query: Float32Array) => Promise<unknown>) => () =>
			timed(async () => {
				for (const query of queries) await work(query);
			});
		const good = await searchesThatFind(raw, queries, tenantId);
		const times = await pairedRounds(
			{
				ours: each((query) => find(service, query, tenantId)),
				near: each((query) => find(service, query, tenantId, minSimilarity)),
				...Object.fromEntries(
					good.map((name) => [
						name,
						each((query) => raw.searches[name]?.(query, tenantId) as never),
					]),
				),
			} as Record<string, () => Promise<number>>,
			{ rounds: context.rounds, before: () => settle(), after: async () => {} },
		);
		const perSearch = (name: string) =>
			(times[name] ?? []).map((ms) => ms / queriesPerRound);
		const [best = "exact"] = good.toSorted(
			(a, b) => median(perSearch(a)) - median(perSearch(b)),
		);
		const title = `${vectors.dimensions} dimensions, tenant of ${whole(size)}`;
		figures.push(
			{
				name: `${title} ÷ best SQL (${best})`,
				values: ratios(perSearch("ours"), perSearch(best)),
				unit: "×",
				target: atMost(1.5),
				detail: `${milliseconds(perSearch("ours"))}; SQL ${milliseconds(perSearch(best))}`,
			},
			{
				name: `${title}, with minSimilarity ÷ without`,
				values: ratios(perSearch("near"), perSearch("ours")),
				unit: "×",
				target: atMost(1.5),
			},
		);
	}
	return figures;
}

/** SQL that misses rows is no measure for SQL that does not. */
async function searchesThatFind(
	{ searches }: RawSearches,
	queries: readonly Float32Array[],
	tenantId: string,
): Promise<string[]> {
	const good: string[] = [];
	for (const [name, search] of Object.entries(searches)) {
		let found = 0;
		let all = 0;
		for (const query of queries) {
			const truth = (await searches.exact?.(query, tenantId)) ?? [];
			const ids = new Set((await search(query, tenantId)).map(({ id }) => id));
			found += truth.filter(({ id }) => ids.has(id)).length;
			all += truth.length;
		}
		if (found >= goodRecall * all) good.push(name);
	}
	return good;
}

function find(
	service: Service,
	queryEmbedding: Float32Array,
	tenantId: string,
	minSimilarity?: number,
) {
	return service.vectorSearch({
		tableName: "notes",
		queryEmbedding,
		tenantId,
		limit,
		...(minSimilarity === undefined ? {} : { minSimilarity }),
	});
}
