import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { sql } from "../../src/sql.ts";
import { openWriter } from "../support/blocker.ts";
import { codeOf, createDatabase, engine } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const hnsw = "hnsw_pages__content__local__lexical-v1__8";
const request = { tableName: "pages", indexType: "hnsw" } as const;

const connect = (
	url: string,
	backgroundIndex: { enabled?: boolean; minRows?: number } = {},
	logged: string[] = [],
) =>
	PostgresService.connect({
		connectionString: url,
		models: [Page],
		embedding: { provider: "local", dimensions: 8 },
		backgroundIndex: {
			enabled: false,
			minRows: 10,
			retryMs: 0,
			...backgroundIndex,
		},
		logger: {
			...silentLogger,
			info: (_, message) => logged.push(message),
			warn: (_, message) => logged.push(message),
			error: (_, message) => logged.push(message),
		},
	});

type Service = Awaited<ReturnType<typeof connect>>;

const pages = (from: number, to: number) =>
	Array.from({ length: to - from }, (_, at) => ({
		name: `page ${from + at}`,
		content: `content of page ${from + at} about ${(from + at) % 7}`,
	}));

/** A table of 20 pages with a valid index. */
async function open(...options: [Parameters<typeof connect>[1]?, string[]?]) {
	const database = await createDatabase();
	const service = await connect(database.url, ...options);
	onTestFinished(async () => {
		await service.close();
		await database.drop();
	});
	await service.migrate();
	await service.batchUpsert({ tableName: "pages", entities: pages(0, 20) });
	await service.createIndexConcurrently(request);
	expect(await stateOf(service)).toBe("valid");
	return { service, url: database.url };
}

async function stateOf(service: Service): Promise<string | undefined> {
	const { indexes } = await service.indexer.status();
	return indexes.find(({ indexName }) => indexName === hnsw)?.state;
}

async function exists(service: Service): Promise<boolean> {
	const { rows } = await service.execute<{ there: boolean }>(
		`SELECT to_regclass('"${hnsw}"') IS NOT NULL AS there`,
	);
	return rows[0]?.there === true;
}

const load = (from: number, to: number) =>
	({ tableName: "pages", entities: pages(from, to), bulk: true }) as const;

test("a load that is large compared with the table drops the index, reports that, and has it built again", async () => {
	const logged: string[] = [];
	const { service } = await open({ enabled: false }, logged);
	const result = await service.batchUpsert(load(20, 60));
	expect(result).toMatchObject({ inserted: 40, embeddingsGenerated: 40 });
	expect(result.bulk?.dropped).toEqual([hnsw]);
	expect(result.bulk?.explanation).toMatch(/dropped .* searches compare every/);
	expect(logged).toContain(result.bulk?.explanation);
	// No indexer runs here: it stays queued until a process runs one.
	expect(await exists(service)).toBe(false);
	expect(await stateOf(service)).toBe("queued");
	await service.indexer.drain();
	expect(await stateOf(service)).toBe("valid");
});

test("where the indexer runs, the index is back by itself", async () => {
	const { service } = await open({ enabled: true });
	const { bulk } = await service.batchUpsert(load(20, 60));
	expect(bulk?.dropped).toEqual([hnsw]);
	await expect.poll(() => stateOf(service)).toBe("valid");
});

test("a load that is small, or small compared with the table, does not drop it and reports why", async () => {
	const { service } = await open();
	const few = await service.batchUpsert(load(20, 25));
	expect(few.bulk).toEqual({
		dropped: [],
		explanation:
			"bulk: indexes are not dropped: a load of 5 vectors is not large (BACKGROUND_INDEX__MIN_ROWS is 10)",
	});
	await service.batchUpsert({ tableName: "pages", entities: pages(25, 100) });
	const small = await service.batchUpsert(load(100, 120));
	expect(small.bulk?.dropped).toEqual([]);
	expect(small.bulk?.explanation).toContain("few against those");
	expect(await stateOf(service)).toBe("valid");
});

test("without being asked a large load drops the index where it is rebuilt by itself, and reports that", async () => {
	const { service } = await open({ enabled: true });
	const entities = pages(20, 60);
	const { bulk } = await service.batchUpsert({ tableName: "pages", entities });
	expect(bulk?.dropped).toEqual([hnsw]);
	expect(bulk?.explanation).toMatch(/dropped .* searches compare every/);
	await expect.poll(() => stateOf(service)).toBe("valid");
});

test.each<[string, object]>([
	["few", { entities: pages(20, 25) }],
	["many, with `bulk: false`,", { entities: pages(20, 60), bulk: false }],
])(
	"without being asked %s vectors go into the index, and nothing is reported",
	async (_, load) => {
		const { service } = await open({ enabled: true });
		const result = await service.batchUpsert({
			tableName: "pages",
			entities: [],
			...load,
		});
		expect(result).not.toHaveProperty("bulk");
		expect(await stateOf(service)).toBe("valid");
	},
);

test("inside a transaction a large load goes into the index", async () => {
	const { service } = await open({ enabled: true });
	const entities = pages(20, 60);
	const result = await service.transaction((transaction) =>
		service.batchUpsert({ tableName: "pages", entities, transaction }),
	);
	expect(result).not.toHaveProperty("bulk");
	expect(await stateOf(service)).toBe("valid");
});

test.runIf(engine === "server")(
	"an index that searches use stays, unless it is asked for",
	async () => {
		const { service } = await open({ enabled: true });
		await service.transaction(async (transaction) => {
			// Of 20 rows PostgreSQL would read all.
			await transaction.query(sql`SET LOCAL enable_seqscan = off`);
			await transaction.query(sql`SET LOCAL enable_bitmapscan = off`);
			await transaction.query(sql`SET LOCAL enable_sort = off`);
			await service.vectorSearch({
				tableName: "pages",
				queryText: "content of page 7",
				mode: "approximate",
				transaction,
			});
			// Otherwise a busy connection may report its work a minute later.
			await transaction.query(sql`SELECT pg_stat_force_next_flush()`);
		});
		const used = await service.batchUpsert({
			tableName: "pages",
			entities: pages(20, 60),
		});
		expect(used.bulk?.dropped).toEqual([]);
		expect(used.bulk?.explanation).toContain(`searches have used ${hnsw}`);
		expect(await stateOf(service)).toBe("valid");
		const { bulk } = await service.batchUpsert(load(60, 140));
		expect(bulk?.dropped).toEqual([hnsw]);
		await expect.poll(() => stateOf(service)).toBe("valid");
	},
);

test("without an indexer it is off, and rows that are stored already do not count", async () => {
	const { service } = await open();
	const usual = await service.batchUpsert({
		tableName: "pages",
		entities: pages(20, 60),
	});
	expect(usual).not.toHaveProperty("bulk");
	expect(await stateOf(service)).toBe("valid");
	const { bulk, unchanged } = await service.batchUpsert(load(0, 60));
	expect(unchanged).toBe(60);
	expect(bulk?.dropped).toEqual([]);
	expect(await stateOf(service)).toBe("valid");
});

test("without an index there is nothing to drop", async () => {
	const { service } = await open();
	await service.execute(`DROP INDEX "${hnsw}"`);
	const { bulk } = await service.batchUpsert(load(20, 60));
	expect(bulk).toEqual({
		dropped: [],
		explanation:
			'bulk: indexes are not dropped: "embeddings_pages" has no HNSW index',
	});
});

test("a stream drops it once it has turned out to be large", async () => {
	const { service } = await open();
	const progress: boolean[] = [];
	const { bulk, inserted } = await service.batchUpsert({
		tableName: "pages",
		entities: (async function* () {
			yield* pages(20, 1500);
		})(),
		bulk: true,
		onProgress: async () => progress.push(true),
	});
	expect(inserted).toBe(1480);
	expect(progress).toHaveLength(3);
	expect(bulk?.dropped).toEqual([hnsw]);
});

test("searches are right while the index is away", async () => {
	const { service } = await open();
	const search = async () => {
		const hits = await service.vectorSearch({
			tableName: "pages",
			queryText: "content of page 7 about 0",
			limit: 5,
			mode: "auto",
		});
		return hits.map(({ similarity }) => Math.round(similarity * 1e6));
	};
	const exact = async () => {
		const hits = await service.vectorSearch({
			tableName: "pages",
			queryText: "content of page 7 about 0",
			limit: 5,
			mode: "exact",
		});
		return hits.map(({ similarity }) => Math.round(similarity * 1e6));
	};
	await search();
	const during: [number[], number[], boolean][] = [];
	await service.batchUpsert({
		tableName: "pages",
		entities: (async function* () {
			for (let from = 20; from < 1020; from += 500) {
				yield* pages(from, from + 500);
				during.push([await search(), await exact(), await exists(service)]);
			}
		})(),
		bulk: true,
	});
	expect(during.map(([, , isThere]) => isThere)).toContain(false);
	for (const [found, expected] of during) expect(found).toEqual(expected);
	expect(await search()).toEqual(await exact());
});

test("a load that fails leaves the index to be built again", async () => {
	const { service } = await open();
	const failing = service.batchUpsert({
		tableName: "pages",
		entities: (async function* () {
			yield* pages(20, 520);
			yield* pages(520, 1020);
			yield { name: "bad", content: 7 as unknown as string };
		})(),
		bulk: true,
	});
	expect(await codeOf(failing)).toBe("VALIDATION");
	expect(await exists(service)).toBe(false);
	await service.indexer.drain();
	expect(await stateOf(service)).toBe("valid");
});

test("inside a transaction it is refused, and nothing is written", async () => {
	const { service } = await open();
	const refused = service.transaction((transaction) =>
		service.batchUpsert({ ...load(20, 60), transaction }),
	);
	expect(await codeOf(refused)).toBe("VALIDATION");
	const { rows } = await service.execute(
		"SELECT count(*)::int AS n FROM pages",
	);
	expect(rows).toEqual([{ n: 20 }]);
	expect(await stateOf(service)).toBe("valid");
});

test.runIf(engine === "server")(
	"other processes build nothing on the table before the load is over",
	async () => {
		const { service, url } = await open();
		const other = await connect(url, { enabled: true });
		onTestFinished(() => other.close());
		let during: string | undefined;
		await service.batchUpsert({
			tableName: "pages",
			entities: (async function* () {
				yield* pages(20, 1020);
				// The first chunk is written, or about to be.
				await expect.poll(() => exists(service)).toBe(false);
				other.indexer.check();
				await new Promise((resolve) => setTimeout(resolve, 1500));
				during = await stateOf(other);
				yield* pages(1020, 1100);
			})(),
			bulk: true,
		});
		expect(during).toBe("queued");
		await expect.poll(() => stateOf(other)).toBe("valid");
	},
);

test.runIf(engine === "server")(
	"a build under way is not disturbed",
	async () => {
		const { service, url } = await open();
		await service.execute(`DROP INDEX "${hnsw}"`);
		const other = await connect(url);
		onTestFinished(() => other.close());
		const blocker = await openWriter(url, "embeddings_pages");
		const build = other.createIndexConcurrently(request);
		await expect.poll(() => exists(service)).toBe(true);
		const { bulk, inserted } = await service.batchUpsert(load(20, 60));
		expect(inserted).toBe(40);
		expect(bulk?.dropped).toEqual([]);
		expect(bulk?.explanation).toContain("is being built");
		await blocker.release();
		await build;
		expect(await stateOf(service)).toBe("valid");
	},
);

test.runIf(engine === "server")(
	"an index that cannot be dropped because of a long transaction is repaired after it",
	async () => {
		const logged: string[] = [];
		const { service, url } = await open({}, logged);
		const blocker = await openWriter(url, "embeddings_pages");
		const { bulk, inserted } = await service.batchUpsert(load(20, 60));
		expect(inserted).toBe(40);
		expect(bulk?.dropped).toEqual([]);
		expect(bulk?.explanation).toContain("cannot be dropped");
		expect(logged).toContain(bulk?.explanation);
		await blocker.release();
		await service.indexer.drain();
		expect(await stateOf(service)).toBe("valid");
	},
);
