/**
 * What rows, vectors and cached names take on disk, and how long it takes to
 * load them, to fill the cache of names and to build the indexes; docs/scale.md
 * has the figures.
 *
 *     REM_TEST_DATABASE_URL=… npx jiti scripts/measure-storage.ts [entities]
 */
import pg from "pg";
import { PostgresService, Resource, registerType } from "../src/index.ts";

const count = Number(process.argv[2] ?? 20_000);
const dimensions = 1536;
const embedding = {
	provider: "openai",
	model: "text-embedding-3-small",
	dimensions,
} as const;

const url = new URL(process.env.REM_TEST_DATABASE_URL as string);
const admin = new pg.Client({ connectionString: url.href });
await admin.connect();
const name = `rem_storage_${process.pid}`;
await admin.query(`CREATE DATABASE ${name}`);
url.pathname = `/${name}`;
const client = new pg.Client({ connectionString: url.href });
try {
	await load();
	await client.connect();
	await client.query("SET maintenance_work_mem = '1GB'");
	await client.query("VACUUM ANALYZE");
	console.log(await sizes());
	console.log(await builds());
} finally {
	await client.end();
	await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
	await admin.end();
}

async function load(): Promise<void> {
	const service = await PostgresService.connect({
		connectionString: url.href,
		models: [Resource],
		backgroundIndex: { enabled: false },
		embedding: { ...embedding, apiKey: "none: vectors are ready" },
	});
	await service.migrate();
	await timed("batchUpsert", () =>
		service.batchUpsert({
			tableName: "resources",
			entities: entities(),
			tenantId: "acme",
			generateEmbeddings: false,
		}),
	);
	await service.execute("TRUNCATE kv_store");
	await timed("kv rebuild", () => service.kv.rebuild());
	await service.close();
}

async function timed(what: string, work: () => Promise<unknown>) {
	const started = performance.now();
	await work();
	const seconds = (performance.now() - started) / 1000;
	const rate = Math.round(count / seconds);
	console.log(`${what}: ${seconds.toFixed(1)} s, ${rate} rows a second`);
}

/** A paragraph of 600 characters, some metadata, an edge, a vector. */
function* entities() {
	for (let at = 0; at < count; at++)
		yield {
			name: `resource-${at}-${words(at, 2).replace(" ", "-")}`,
			content: words(at, 100),
			category: words(at, 1),
			metadata: { year: 1900 + (at % 120), genres: [words(at, 1)] },
			graphEdges: [{ dst: `resource-${at + 1}`, rel_type: "next", weight: 1 }],
			vectors: { content: vector() },
		};
}

function words(seed: number, length: number): string {
	return Array.from({ length }, (_, at) =>
		((seed * 31 + at * 7919) % 60_466_176).toString(36).padStart(5, "a"),
	).join(" ");
}

function vector(): Float32Array {
	return Float32Array.from({ length: dimensions }, () => Math.random() - 0.5);
}

/** Bytes per row of each table and index. */
async function sizes(): Promise<string> {
	const { rows } = await client.query(
		`SELECT c.relname AS table, pg_table_size(c.oid) AS bytes,
			(SELECT json_object_agg(i.indexrelid::regclass::text, pg_relation_size(i.indexrelid)) FROM pg_index AS i WHERE i.indrelid = c.oid) AS indexes
		FROM pg_class AS c WHERE c.relkind = 'r' AND c.relname IN ('resources', 'embeddings_resources', 'rem_words_resources', 'kv_store')`,
	);
	const perRow = (bytes: number) => `${Math.round(bytes / count)} B a row`;
	return rows
		.flatMap(({ table, bytes, indexes }) => [
			`${table}: ${perRow(Number(bytes))}`,
			...Object.entries<number>(indexes).map(
				([index, size]) => `  ${index}: ${perRow(size)}`,
			),
		])
		.join("\n");
}

async function builds(): Promise<string> {
	const { sql } = registerType(Resource, { embedding });
	const lines: string[] = [];
	for (const statement of sql.backgroundIndexes
		.split(/;\s*\n/)
		.filter(Boolean)) {
		const started = performance.now();
		await client.query(statement);
		const seconds = (performance.now() - started) / 1000;
		const index = statement.match(/EXISTS ("[^"]+")/)?.[1];
		const { rows } = await client.query(
			"SELECT pg_relation_size($1::regclass) AS bytes",
			[index],
		);
		const perRow = Math.round(Number(rows[0].bytes) / count);
		lines.push(`${index}: ${seconds.toFixed(1)} s, ${perRow} B a row`);
	}
	return lines.join("\n");
}
