import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type IndexStatus,
	PostgresService,
} from "../../src/index.ts";
import { indexTypeNames, indexTypes } from "../../src/schema/index-types.ts";
import { openWriter } from "../support/blocker.ts";
import {
	codeOf,
	createDatabase,
	engine,
	useService,
} from "../support/engine.ts";
import {
	inSchemas,
	schemaOf,
	schemas,
	tenantOfEach,
} from "../support/schemas.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string(), year: z.int().optional() },
	{ entityKeyField: "name", indexes: [["year"]] },
);

const space = { provider: "local", model: "lexical-v1" };
const options = {
	models: [Page],
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false, retryMs: 0, minRows: 50 },
} as const;
const db = useService(options);

const hnsw = "hnsw_pages__content__local__lexical-v1__8";

async function fill(
	service: PostgresService<readonly [typeof Page]>,
	count: number,
) {
	await service.batchUpsert({
		tableName: "pages",
		entities: Array.from({ length: count }, (_, at) => ({
			name: `page ${at}`,
			content: `content of page ${at} about ${at % 7}`,
		})),
	});
}

async function statusOf(
	service: PostgresService<readonly [typeof Page]>,
	indexName: string,
): Promise<IndexStatus | undefined> {
	const { indexes } = await service.indexer.status();
	return indexes.find(
		(index) =>
			index.indexName === indexName &&
			(index.bucket ?? schemaOf()) === schemaOf(),
	);
}

async function invalidIndexes(
	service: PostgresService<readonly [typeof Page]>,
) {
	const { rows } = await service.execute(
		"SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid",
	);
	return rows;
}

test("status lists every index of the models, deferred ones too", async () => {
	const { indexes, running } = await db.service.indexer.status();
	expect(running).toBe(false);
	expect(
		indexes.map(({ indexName, state }) => `${indexName} ${state}`),
	).toEqual(
		schemas.flatMap(() => [
			`${hnsw} deferred`,
			"idx_embeddings_pages_scope valid",
			"kv_store_content deferred",
			"kv_store_content_pairs deferred",
			"kv_store_key_pairs deferred",
			"gin_pages__edge_keys deferred",
			"gin_pages__graph_edges deferred",
			"gin_pages__metadata deferred",
			"gin_pages__tags deferred",
			"idx_pages__created_at valid",
			"idx_pages__deleted_at valid",
			"idx_pages__id valid",
			"idx_pages__name valid",
			"idx_pages__updated_at valid",
			"idx_pages__year valid",
			"norm_pages__key valid",
			"gin_rem_words_pages__words deferred",
		]),
	);
});

test("createIndexConcurrently builds the table's indexes of a type", async () => {
	const { indexes: before } = await db.service.indexer.status();
	for (const indexType of indexTypeNames)
		if (indexTypes[indexType].builtBy === "indexer")
			await db.service.createIndexConcurrently({
				tableName: "pages",
				indexType,
			});
	const { indexes } = await db.service.indexer.status();
	expect(indexes.filter(({ state }) => state !== "valid")).toEqual([]);
	expect(indexes).toHaveLength(before.length);
});

test("what an index computes is analyzed with it: the planner knows it at once", async () => {
	for (const tenantId of tenantOfEach)
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "analyzed", content: "a page with words" }],
			tenantId,
		});
	const computed = async (condition: string) => {
		const { rows } = await db.service.execute<{ name: string }>(
			`SELECT c.relname AS name FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
WHERE x.indrelid = 'pages'::regclass AND x.indexprs IS NOT NULL AND c.relname LIKE 'gin_%' AND ${condition}`,
		);
		return rows.map(({ name }) => name);
	};
	for (const name of new Set(await computed("TRUE")))
		await db.service.execute(`DROP INDEX "${name}"`);
	await db.service.createIndexConcurrently({
		tableName: "pages",
		indexType: "gin",
	});
	expect(await computed("TRUE")).toHaveLength(schemas.length);
	expect(
		await computed(
			"NOT EXISTS (SELECT FROM pg_statistic WHERE starelid = c.oid)",
		),
	).toEqual([]);
});

test("a queued index is built by drain, which is what another process may do", async () => {
	await db.service.execute(`DROP INDEX "${hnsw}"`);
	await db.service.indexer.queueIndex({
		tableName: "pages",
		indexType: "hnsw",
	});
	expect(await statusOf(db.service, hnsw)).toMatchObject({
		state: "queued",
		usable: false,
	});
	await db.service.indexer.drain();
	expect(await statusOf(db.service, hnsw)).toMatchObject({
		state: "valid",
		usable: true,
	});
});

test("an invalid index is repaired, and what REINDEX left is dropped", async () => {
	await db.service.execute(
		`UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"${hnsw}"'::regclass`,
	);
	await db.service.execute(
		"CREATE INDEX idx_pages__year_ccnew ON pages (year)",
	);
	await db.service.execute(
		`UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('idx_pages__year'::regclass, 'idx_pages__year_ccnew'::regclass)`,
	);
	expect(await statusOf(db.service, hnsw)).toMatchObject({
		state: "invalid",
		usable: false,
	});
	expect(await db.service.indexer.repair()).toEqual(
		expect.arrayContaining(
			[hnsw, "idx_pages__year"].flatMap((name) => inSchemas(name)),
		),
	);
	await db.service.indexer.drain();
	expect(await invalidIndexes(db.service)).toEqual([]);
	const { indexes } = await db.service.indexer.status();
	expect(indexes.map(({ state }) => state)).toEqual(indexes.map(() => "valid"));
});

test("what a cancelled REINDEX left beside a valid index is dropped", async () => {
	await db.service.execute(
		"CREATE INDEX idx_pages__year_ccnew1 ON pages (year)",
	);
	await db.service.execute(
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_pages__year_ccnew1'::regclass",
	);
	const { indexes } = await db.service.indexer.status();
	expect(indexes.find(({ indexType }) => indexType === null)).toMatchObject({
		indexName: "idx_pages__year_ccnew1",
		state: "invalid",
	});
	expect(await db.service.indexer.repair()).toEqual(
		inSchemas("idx_pages__year"),
	);
	await db.service.indexer.drain();
	expect(await invalidIndexes(db.service)).toEqual([]);
});

test("an index of another definition is replaced by a new one beside it", async () => {
	await db.service.execute(`DROP INDEX "${hnsw}"`);
	await db.service.execute(
		`CREATE INDEX "${hnsw}" ON embeddings_pages USING hnsw ((embedding::vector(8)) vector_cosine_ops) WITH (m = 4, ef_construction = 64)
     WHERE field_name = 'content' AND provider = '${space.provider}' AND model = '${space.model}' AND dimensions = 8`,
	);
	expect(await statusOf(db.service, hnsw)).toMatchObject({
		state: "changed",
		usable: true,
	});
	await db.service.indexer.repair();
	await db.service.indexer.drain();
	expect(await statusOf(db.service, hnsw)).toMatchObject({ state: "valid" });
	const { rows } = await db.service.execute(
		"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'embeddings_pages' AND indexdef LIKE '%hnsw%'",
	);
	expect(rows).toEqual(
		schemas.map(() => ({
			indexname: hnsw,
			indexdef: expect.stringContaining("m='16'"),
		})),
	);
});

test("a request for a missing index reports that", async () => {
	const { indexer } = db.service;
	expect(
		await codeOf(indexer.queueIndex({ tableName: "nope", indexType: "gin" })),
	).toBe("UNKNOWN_ENTITY");
	expect(
		await codeOf(
			indexer.queueIndex({ tableName: "kv_store", indexType: "hnsw" }),
		),
	).toBe("UNKNOWN_ENTITY");
	expect(
		await codeOf(
			indexer.queueIndex({ tableName: "pages", indexType: "x" as never }),
		),
	).toBe("VALIDATION");
});

test("vectors of more than 2,000 dimensions are indexed as half floats", async () => {
	const service = await withDimensions(2001);
	await service.batchUpsert({
		tableName: "pages",
		entities: [{ name: "wide", content: "a page of many dimensions" }],
	});
	await service.createIndexConcurrently({
		tableName: "pages",
		indexType: "hnsw",
	});
	const { rows } = await service.execute(
		"SELECT indexdef FROM pg_indexes WHERE indexname = 'hnsw_pages__content__local__semantic-v1__2001'",
	);
	expect(rows[0]?.indexdef).toContain("halfvec_cosine_ops");
});

test("more than 4,000 dimensions are refused at once, with what to do", async () => {
	const service = await withDimensions(4001);
	const request = { tableName: "pages", indexType: "hnsw" } as const;
	await expect(service.createIndexConcurrently(request)).rejects.toMatchObject({
		code: "INDEX_FAILED",
		sqlState: "54000",
		message: expect.stringContaining("4001 dimensions"),
		hint: expect.stringContaining("EMBEDDING__DIMENSIONS"),
	});
	expect(
		await statusOf(service, "hnsw_pages__content__local__semantic-v1__4001"),
	).toMatchObject({ state: "impossible", attempts: 0 });
});

/** A service on a database of its own. */
async function withDimensions(dimensions: number) {
	const database = await createDatabase();
	const service = await PostgresService.connect({
		...options,
		connectionString: database.url,
		embedding: { provider: "local", dimensions },
	});
	onTestFinished(async () => {
		await service.close();
		await database.drop();
	});
	await service.migrate();
	return service;
}

test("indexes appear by themselves when a table is large enough and its load is over", async () => {
	const database = await createDatabase();
	const service = await PostgresService.connect({
		...options,
		connectionString: database.url,
		backgroundIndex: { minRows: 40 },
	});
	onTestFinished(async () => {
		await service.close();
		await database.drop();
	});
	const states = async () => {
		const { indexes } = await service.indexer.status();
		const names = [hnsw, "gin_pages__metadata"];
		return names.map(
			(name) =>
				indexes.find(
					({ indexName, bucket = schemaOf() }) =>
						indexName === name && bucket === schemaOf(),
				)?.state,
		);
	};
	await service.migrate();
	await fill(service, 30);
	await service.indexer.drain();
	expect(await states()).toEqual(["deferred", "deferred"]);
	await fill(service, 60);
	// A graph would stop everything else on the embedded database's only connection.
	const graph = engine === "server" ? "valid" : "missing";
	await expect.poll(states).toEqual([graph, "valid"]);
});

test.runIf(engine === "server")(
	"what is loaded just before closing is queued for the next process",
	async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const connect = (enabled: boolean) =>
			PostgresService.connect({
				...options,
				connectionString: database.url,
				backgroundIndex: { enabled, minRows: 20 },
			});
		const loader = await connect(true);
		await loader.migrate();
		await fill(loader, 40);
		await loader.close();
		const next = await connect(false);
		expect(await statusOf(next, hnsw)).toMatchObject({ state: "queued" });
		await next.close();
	},
);

test.runIf(engine === "server")(
	"the doctor names an index that is being built, and nothing is wrong with it",
	async () => {
		const name = "gin_pages__metadata";
		await db.service.execute(`DROP INDEX IF EXISTS ${name}`);
		const blocker = await openWriter(db.url, "pages");
		const build = db.service.createIndexConcurrently({
			tableName: "pages",
			indexType: "gin",
		});
		await expect
			.poll(async () => {
				const { checks } = await db.service.doctor();
				return checks
					.filter(({ name: of }) => of === "indexes" || of === "schema")
					.map(({ state, found }) => `${state}: ${found}`)
					.join("\n");
			})
			.toMatch(
				/ok: (3 buckets, the first: )?the database is as the models are\nok: .*gin_pages__metadata is being built/,
			);
		const { differences } = await db.service.schema
			.diff()
			.then((found) => ({ differences: found }));
		expect(differences).toEqual([]);
		await blocker.release();
		await build;
	},
);
