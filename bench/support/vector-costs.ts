import type { Client } from "pg";
import { ProcessorTime } from "./processor-time.ts";
import { type TenantVectors, tenantVectors } from "./tenant-vectors.ts";

/** What reading vectors costs at one length: the planner of searches is fitted to these. */
export interface VectorCosts {
	readonly dimensions: number;
	/** Microseconds to compare one vector of a scope. */
	readonly vector: number;
	/** Microseconds for one more candidate of an HNSW scan. */
	readonly candidate: number;
}

const vectorCount = 5000;
/** Tenants of 964, 482, 241, 96 and 31 vectors. */
const scopes = [0, 1, 3, 9, 30];
const candidates = [10, 20, 40, 80, 120];
const queries = 10;
const repetitions = 8;

/** Of the halfvec form above 2,000 dimensions, as the schema has it. */
export async function measureVectorCosts(
	client: Client,
	dimensions: number,
): Promise<VectorCosts> {
	const vectors = tenantVectors(dimensions, vectorCount);
	const type = dimensions > 2000 ? "halfvec" : "vector";
	await load(client, vectors);
	await client.query(`SET maintenance_work_mem = '1GB';
CREATE INDEX ON cost (tenant_id);
CREATE INDEX ON cost USING hnsw ((embedding::${type}(${dimensions})) ${type}_cosine_ops)`);
	await client.query("VACUUM ANALYZE cost");
	const searched = Array.from({ length: queries }, () =>
		asText(vectors.near(vectors.vector())),
	);
	// Of the server's process: other work on the machine changes it little.
	const processor = await ProcessorTime.ofServer(client);
	const fastest = async (text: string, more: readonly unknown[]) => {
		let sum = 0;
		for (const query of searched) {
			let fastest = Number.POSITIVE_INFINITY;
			for (let at = 0; at < repetitions; at++) {
				const clock = () => processor?.readServer() ?? performance.now();
				const started = clock();
				await client.query(text, [query, ...more]);
				fastest = Math.min(fastest, clock() - started);
			}
			sum += fastest;
		}
		return (1000 * sum) / queries;
	};
	const exact: Point[] = [];
	for (const rank of scopes) {
		const { tenantId = "", size = 0 } = vectors.tenants[rank] ?? {};
		const text =
			"SELECT id FROM cost WHERE tenant_id = $2 ORDER BY embedding <=> $1::vector LIMIT 10";
		exact.push([size, await fastest(text, [tenantId])]);
	}
	const indexed: Point[] = [];
	for (const count of candidates) {
		await client.query(
			`SET hnsw.ef_search = ${count}; SET enable_seqscan = off`,
		);
		const text = `SELECT id FROM cost ORDER BY (embedding::${type}(${dimensions})) <=> $1::${type}(${dimensions}) LIMIT 10`;
		indexed.push([count, await fastest(text, [])]);
	}
	return { dimensions, vector: slope(exact), candidate: slope(indexed) };
}

async function load(client: Client, vectors: TenantVectors): Promise<void> {
	await client.query(`DROP TABLE IF EXISTS cost;
CREATE TABLE cost (id INTEGER GENERATED ALWAYS AS IDENTITY, tenant_id TEXT, embedding VECTOR) WITH (toast_tuple_target = 8160)`);
	for (const { tenantId, size } of vectors.tenants)
		for (let at = 0; at < size; at += 100) {
			const texts = Array.from({ length: Math.min(100, size - at) }, () =>
				asText(vectors.vector()),
			);
			await client.query(
				"INSERT INTO cost (tenant_id, embedding) SELECT $1, unnest($2::text[])::vector",
				[tenantId, texts],
			);
		}
}

function asText(vector: Float32Array): string {
	return `[${Array.from(vector, (value) => value.toFixed(4)).join(",")}]`;
}

type Point = readonly [count: number, microseconds: number];

/** Of the line that fits the points best. */
function slope(points: readonly Point[]): number {
	const mean = (of: (point: Point) => number) =>
		points.reduce((sum, point) => sum + of(point), 0) / points.length;
	const [x, y] = [mean(([count]) => count), mean(([, time]) => time)];
	return (
		mean((point) => (point[0] - x) * (point[1] - y)) /
		mean(([count]) => (count - x) ** 2)
	);
}
