import { defineEntity, type NewRow, PostgresService, RemError } from "remdb";
import * as z from "zod";
import { BenchDatabase } from "../support/bench-database.ts";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { filmTexts, type SearchText } from "../support/films.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle } from "../support/paired.ts";
import { median, ratios } from "../support/statistics.ts";
import { tenantId } from "../support/workbench.ts";
import { zipfTexts } from "../support/zipf-texts.ts";

/**
 * What each search costs next to vectorSearch in a service that has been running for a
 * while, as loaded and once its indexes are built. Each search runs before the rounds
 * until its JavaScript is compiled: the first dozens of calls are interpreted.
 */
export const searchSpeed: BenchCase = { name: "search-speed", run };

const Text = defineEntity(
	"texts",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

type Service = PostgresService<readonly [typeof Text]>;

/** Rows, and the searches that are made among them. */
interface Rows {
	readonly count: number;
	readonly texts: Iterable<SearchText>;
	readonly samples: readonly SearchText[];
}

async function run(context: Context): Promise<Figure[]> {
	const { quick, full, say } = context;
	const sizes = [1_400, ...(quick ? [] : [10_000])];
	const large = full ? [100_000, 1_000_000] : [];
	const figures: Figure[] = [];
	for (const engine of ["server", "embedded"] as const) {
		const hybrid = new Map<number, number[]>();
		// The large ones would take the embedded database hours to load.
		for (const count of [...sizes, ...(engine === "server" ? large : [])]) {
			await onEngine(engine, context, async (service) => {
				const rows = rowsOf(count);
				await load(service, rows.texts);
				for (const state of ["as loaded", "indexed"] as const) {
					if (state === "indexed") await buildIndexes(service);
					const title = `${whole(count)} rows, ${engine}, ${state}`;
					const times = await measure(context, service, rows.samples);
					figures.push(...compare(title, times));
					say(`search-speed: ${title}: ${describe(times)}`);
					if (state === "indexed") hybrid.set(count, times.hybrid ?? []);
				}
			});
		}
		figures.push(...growth(engine, hybrid));
	}
	return figures;
}

function rowsOf(count: number): Rows {
	const films = count <= 10_000 ? filmTexts(count) : [];
	if (films.length > 0) return { count, texts: films, samples: some(films) };
	return {
		count,
		texts: zipfTexts(count),
		// Of the first: a seed gives the same texts each time.
		samples: some([...zipfTexts(Math.min(count, 1_000))]),
	};
}

const searchesPerRound = 7;

/** Texts from all over the rows. */
function some(texts: readonly SearchText[]): SearchText[] {
	const step = Math.floor(texts.length / (searchesPerRound + 1));
	return Array.from(
		{ length: searchesPerRound },
		(_, at) => texts[(at + 1) * step] as SearchText,
	);
}

async function load(
	service: Service,
	texts: Iterable<SearchText>,
): Promise<void> {
	await service.batchUpsert({
		tableName: "texts",
		entities: texts as Iterable<NewRow<typeof Text>>,
		tenantId,
		atomic: "chunk",
	});
}

async function buildIndexes(service: Service): Promise<void> {
	await service.indexer.repair({ missing: true });
	await service.indexer.drain();
	await service.execute("ANALYZE");
}

/** Every search by its name: those that this version has. */
function searchesOf(
	service: Service,
): Readonly<Record<string, (text: SearchText) => Promise<unknown>>> {
	const tableName = "texts";
	const recall: unknown = Reflect.get(service, "recall");
	return {
		vector: ({ content }) =>
			service.vectorSearch({
				tableName,
				queryText: wordsOf(content, 8),
				tenantId,
			}),
		hybrid: ({ content }) =>
			service.hybridSearch({ tableName, query: wordsOf(content, 8), tenantId }),
		...(typeof recall === "function"
			? {
					recall: ({ content }) =>
						recall.call(service, {
							query: wordsOf(content, 8),
							tables: [tableName],
							tenantId,
						}),
				}
			: {}),
		key: ({ name }) =>
			// A letter left out, as a hand does.
			service.fuzzySearch({
				query: name.slice(0, 2) + name.slice(3),
				tenantId,
			}),
		content: ({ content }) =>
			service.fuzzySearch({
				query: wordsOf(content, 5),
				mode: "content",
				tenantId,
			}),
	};
}

/** So many words from the middle of the text: frequent and rare ones, as a question has them. */
function wordsOf(content: string, count: number): string {
	const words = content.split(/\s+/);
	const start = Math.max(0, Math.floor((words.length - count) / 2));
	return words.slice(start, start + count).join(" ");
}

/** So many times each text is searched for before the rounds, or for as long as {@link maxWarmUpMs}. */
const warmUpPasses = 10;
const maxWarmUpMs = 3_000;

async function warmUp(
	search: (text: SearchText) => Promise<unknown>,
	samples: readonly SearchText[],
	maxMs: number,
): Promise<void> {
	const end = performance.now() + maxMs;
	for (let pass = 0; pass < warmUpPasses; pass++)
		for (const sample of samples) {
			await took(search, sample);
			if (performance.now() > end) return;
		}
}

/** The median time of a search in each round, by the search's name. */
async function measure(
	{ rounds, quick }: Context,
	service: Service,
	samples: readonly SearchText[],
): Promise<Record<string, number[]>> {
	const searches = Object.entries(searchesOf(service));
	for (const [, search] of searches)
		await warmUp(search, samples, quick ? maxWarmUpMs / 10 : maxWarmUpMs);
	return pairedRounds(
		Object.fromEntries(
			searches.map(([name, search]) => [
				name,
				async () => {
					const times: number[] = [];
					for (const sample of samples) times.push(await took(search, sample));
					return median(times);
				},
			]),
		),
		{ rounds, before: () => settle(), after: async () => {} },
	);
}

/** One that fails, for its limit of time, has taken as long. */
async function took(
	search: (text: SearchText) => Promise<unknown>,
	sample: SearchText,
): Promise<number> {
	const started = performance.now();
	try {
		await search(sample);
	} catch (error) {
		if (!(error instanceof RemError)) throw error;
	}
	return performance.now() - started;
}

function compare(
	title: string,
	times: Readonly<Record<string, number[]>>,
): Figure[] {
	const figure = (name: string, other: string, bound: number): Figure[] => {
		const [ours, base] = [times[name], times[other]];
		if (ours === undefined || base === undefined) return [];
		return [
			{
				name: `${title}: ${names[name]} ÷ ${names[other]}, p50`,
				values: ratios(ours, base),
				unit: "×",
				target: atMost(bound),
				detail: `${milliseconds(ours)}; ${milliseconds(base)}`,
			},
		];
	};
	return [
		...figure("hybrid", "vector", 3),
		...figure("recall", "vector", 5),
		...figure("content", "key", 5),
	];
}

const names: Readonly<Record<string, string>> = {
	vector: "vectorSearch",
	hybrid: "hybridSearch",
	recall: "recall",
	key: "fuzzySearch by key",
	content: "by content",
};

/** hybridSearch among many rows against the smallest size. */
function growth(
	engine: string,
	times: ReadonlyMap<number, readonly number[]>,
): Figure[] {
	const [[smallest, base] = [0, []], ...larger] = times;
	return larger.map(([count, ours]) => ({
		name: `hybridSearch, ${engine}, indexed: among ${whole(count)} ÷ among ${whole(smallest)}`,
		values: ratios(ours, base),
		unit: "×",
		target: atMost(10),
		detail: `${milliseconds(ours)}; ${milliseconds(base)}`,
	}));
}

function describe(times: Readonly<Record<string, number[]>>): string {
	return Object.entries(times)
		.map(([name, ms]) => `${name} ${milliseconds(ms)}`)
		.join(", ");
}

/** On a database of its own. */
async function onEngine(
	engine: "server" | "embedded",
	{ server }: Context,
	work: (service: Service) => Promise<void>,
): Promise<void> {
	if (engine === "embedded") return onDatabase("memory:", work);
	const database = await BenchDatabase.create(server);
	try {
		await onDatabase(database.url, work);
	} finally {
		await database.drop();
	}
}

async function onDatabase(
	connectionString: string,
	work: (service: Service) => Promise<void>,
): Promise<void> {
	const service = await PostgresService.connect({
		connectionString,
		models: [Text],
		embedding: { provider: "local" },
		// As loaded means: without what is built in the background.
		backgroundIndex: { enabled: false },
	});
	try {
		await service.migrate();
		await work(service);
	} finally {
		await service.close();
	}
}
