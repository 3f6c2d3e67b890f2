import pg from "pg";
import type { VectorSpace } from "remdb";

/** The same search in SQL as somebody writes it who knows pgvector well. */
export interface RawSearches {
	/** By name: every vector of the tenant compared, or the index with so many candidates. */
	readonly searches: Readonly<
		Record<
			string,
			(vector: Float32Array, tenantId: string) => Promise<{ id: string }[]>
		>
	>;
	close(): Promise<void>;
}

const limit = 10;
const candidates = [40, 100, 200, 400];

/** Each on a connection with its settings, the vector sent in binary. */
export async function openRawSearches(
	url: string,
	{ provider, model, dimensions }: VectorSpace,
): Promise<RawSearches> {
	const scope = `e.tenant_id = $2 AND e.field_name = 'content' AND e.provider = '${provider}' AND e.model = '${model}' AND e.dimensions = ${dimensions}`;
	const order = `(e.embedding::vector(${dimensions})) <=> $1::vector(${dimensions})`;
	const rows = (nearest: string) =>
		`SELECT r.*, 1 - n.distance AS similarity FROM (${nearest}) AS n JOIN notes AS r ON r.id = n.entity_id WHERE r.deleted_at IS NULL ORDER BY n.distance`;
	const exact = rows(
		`SELECT e.entity_id, e.embedding <=> $1::vector AS distance FROM embeddings_notes AS e WHERE ${scope} ORDER BY 2 LIMIT ${limit}`,
	);
	const byIndex = rows(
		`SELECT e.entity_id, ${order} AS distance FROM embeddings_notes AS e WHERE ${scope} ORDER BY ${order} LIMIT ${limit}`,
	);
	const clients: pg.Client[] = [];
	const open = async (text: string, settings: readonly string[]) => {
		const client = new pg.Client({
			connectionString: url,
			options: settings.map((setting) => `-c ${setting}`).join(" "),
		});
		await client.connect();
		clients.push(client);
		return async (vector: Float32Array, tenantId: string) => {
			const values = [binary(vector), tenantId];
			return (await client.query<{ id: string }>(text, values)).rows;
		};
	};
	const searches: Record<string, Awaited<ReturnType<typeof open>>> = {
		exact: await open(exact, ["hnsw.iterative_scan=off"]),
	};
	for (const ef of candidates)
		searches[`index, ${ef}`] = await open(byIndex, [
			"hnsw.iterative_scan=relaxed_order",
			`hnsw.ef_search=${ef}`,
		]);
	return {
		searches,
		close: async () => {
			for (const client of clients) await client.end();
		},
	};
}

/** pgvector's wire format: dimensions, a reserved word, big-endian floats. */
function binary(vector: Float32Array): Buffer {
	const buffer = Buffer.alloc(4 + 4 * vector.length);
	buffer.writeInt16BE(vector.length, 0);
	for (const [at, value] of vector.entries())
		buffer.writeFloatBE(value, 4 + 4 * at);
	return buffer;
}
