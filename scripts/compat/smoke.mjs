// Calls every verb once against DATABASE_URL and prints "ok": `npm run compat` runs it on each
// runtime. It asserts with its own function, so that it needs nothing of the runtime.
import {
	coreEntities,
	defineEntity,
	PostgresService,
	RemError,
	Repository,
	registerType,
	sql,
} from "remdb";
import * as z from "zod";

const Place = defineEntity(
	"places",
	{
		name: z.string(),
		content: z.string(),
		year: z.number().int().optional(),
		size: z.bigint().optional(),
		seen: z.date().optional(),
	},
	{ entityKeyField: "name" },
);
const Later = defineEntity(
	"laters",
	{ name: z.string() },
	{ entityKeyField: "name" },
);

const service = await PostgresService.connect({
	models: [Place],
	embedding: { provider: "local" },
	backgroundIndex: { enabled: false },
});
const tenantId = "acme";
const tableName = "places";

await service.migrate();
equal((await service.schema.diff()).length, 0, "schema.diff");
equal((await service.register(Later)) === undefined, false, "register");
equal(Object.keys(registerType(Later).sql).length, 5, "registerType");
equal(coreEntities.length, 12, "coreEntities");

const seen = new Date("2026-01-31T12:00:00.123Z");
const written = await service.batchUpsert({
	tableName,
	tenantId,
	entities: [
		{
			name: "river",
			content: "Water that flows",
			year: 2000,
			size: 2n ** 60n,
			seen,
		},
		{
			name: "Lake",
			content: "Water that stands",
			graphEdges: [{ dst: "river", rel_type: "feeds" }],
		},
		{
			name: "hill",
			content: "A small mountain",
			metadata: { high: [1, "zwei"] },
		},
	],
});
equal(written.inserted, 3, "batchUpsert");
async function* stream() {
	for (let line = 0; line < 600; line++)
		yield { name: `line ${line}`, content: "" };
}
equal(
	(await service.batchUpsert({ tableName, tenantId, entities: stream() }))
		.inserted,
	600,
	"batchUpsert of a stream",
);

const hit = await service.lookupEntity({
	entityKey: "River",
	tenantId,
	hydrate: true,
});
equal(
	[hit?.entityKey, hit?.record?.size, hit?.record?.seen.toISOString()].join(),
	`river,${2n ** 60n},${seen.toISOString()}`,
	"lookupEntity",
);
equal(
	(await service.lookupEntities({ entityKeys: ["lake", "nobody"], tenantId }))
		.length,
	1,
	"lookupEntities",
);
equal(
	(await service.fuzzySearch({ query: "rivr", tenantId }))[0]?.entityKey,
	"river",
	"fuzzySearch",
);
equal(
	(
		await service.vectorSearch({
			tableName,
			queryText: "water that flows",
			tenantId,
		})
	)[0]?.name,
	"river",
	"vectorSearch",
);
equal(
	(
		await service.hybridSearch({ tableName, query: "small mountain", tenantId })
	)[0]?.name,
	"hill",
	"hybridSearch",
);
equal(
	(await service.recall({ query: "small mountain", tenantId })).items[0]
		?.entityKey,
	"hill",
	"recall",
);
equal(
	(await service.traverse({ from: "lake", tenantId })).nodes[0]?.entityKey,
	"river",
	"traverse",
);
equal(
	(
		await service.link({
			from: "hill",
			edges: { dst: "Lake", rel_type: "above" },
			tenantId,
		})
	).added,
	1,
	"link",
);
equal(
	await service.unlink({ from: "hill", dst: "lake", tenantId }),
	1,
	"unlink",
);
for (const [text, expected] of [
	["LOOKUP river", 1],
	["FUZZY rivr", 1],
	['SEARCH "water" IN places WHERE year > 1999', 1],
	["TRAVERSE WITH LOOKUP lake", 1],
	["SQL places WHERE metadata @> '{\"high\": [1]}'", 1],
]) {
	const answer = await service.query(text, { tenantId });
	equal(answer.rows.length, expected, text);
}

const places = new Repository(Place, service);
const row = await places.upsert(
	{ name: "pond", content: "Still water" },
	{ tenantId },
);
equal((await places.getById(row.id, tenantId))?.name, "pond", "getById");
equal((await places.find({ tenantId, year: { gte: 1990 } })).length, 1, "find");
equal(await places.count({ tenantId }), 604, "count");
let iterated = 0;
for await (const _ of places.iterate({ tenantId })) iterated++;
equal(iterated, 604, "iterate");
equal(await places.delete(row.id, tenantId), true, "delete");
equal(await places.restore(row.id, tenantId), true, "restore");
equal(await places.purge(row.id, tenantId), true, "purge");

await service.transaction(async (transaction) => {
	await places.upsert(
		{ name: "sea", content: "Salt water" },
		{ tenantId, transaction },
	);
	const { rows } = await transaction.query(
		sql`SELECT count(*)::int AS n FROM places WHERE name = ${"sea"}`,
	);
	equal(rows[0]?.n, 1, "transaction");
});
const bytes = new Uint8Array([0, 1, 255]);
const { rows } = await service.execute(
	"SELECT $1::bytea AS bytes, $2::timestamptz AS time",
	[bytes, seen],
);
equal([...rows[0].bytes].join(), "0,1,255", "execute");
equal(
	(await service.scope({ tenantId }).lookupEntity({ entityKey: "sea" }))
		?.entityKey,
	"sea",
	"scope",
);

equal((await service.embeddings.sync()).dead, 0, "embeddings.sync");
equal(
	(await service.embeddings.status()).fields.length > 0,
	true,
	"embeddings.status",
);
await service.execute("TRUNCATE kv_store");
equal(
	(await service.lookupEntity({ entityKey: "sea", tenantId }))?.entityKey,
	"sea",
	"lookupEntity without the cache",
);
await service.kv.ensureReady();
equal((await service.kv.verify()).differences.length, 0, "kv.verify");
equal((await service.kv.status()).ready, true, "kv.status");
await service.createIndexConcurrently({ tableName, indexType: "gin" });
await service.indexer.queueIndex({ tableName, indexType: "hnsw" });
await service.indexer.drain();
equal(
	(await service.indexer.status()).indexes.some(
		({ state }) => state === "failed",
	),
	false,
	"indexer",
);
equal(
	(await service.doctor()).checks.some(({ state }) => state === "failed"),
	false,
	"doctor",
);
const isolation = await service.checkIsolation();
equal(typeof isolation, "object", "checkIsolation");
const refused = await service
	.lookupEntity({ entityKey: "" })
	.catch((error) => error);
equal(refused instanceof RemError && refused.code, "VALIDATION", "RemError");

const controller = new AbortController();
controller.abort();
const cancelled = await service
	.batchUpsert({
		tableName,
		tenantId,
		entities: [{ name: "x", content: "" }],
		signal: controller.signal,
	})
	.catch((error) => error);
equal(cancelled.code, "CANCELLED", "signal");
await service.close();
console.log("ok");

function equal(actual, expected, what) {
	if (actual !== expected)
		throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`);
}
