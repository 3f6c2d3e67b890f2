import { hash } from "node:crypto";
import type pg from "pg";
import type { NewRow } from "remdb";
import { encodeArray, encodeVectorArray } from "../../src/db/encode.ts";
import type { Note } from "./models.ts";

const rowsPerStatement = 500;

/** Rows and their vectors as a program writes them that knows no library: binary arrays, the driver, one transaction. */
export interface BinaryRows {
	readonly rows: readonly NewRow<typeof Note>[];
	readonly vectors: readonly Float32Array[];
	readonly tenantId: string;
}

/** Upserts entities and vectors; the triggers write the cache. */
export async function upsertBinary(
	client: pg.Client,
	{ rows, vectors, tenantId }: BinaryRows,
): Promise<void> {
	const { rows: types } = await client.query<{ oid: number }>(
		"SELECT 'vector'::regtype::oid::integer AS oid",
	);
	const vectorOid = types[0]?.oid ?? 0;
	await client.query("BEGIN");
	for (let at = 0; at < rows.length; at += rowsPerStatement) {
		const slice = rows.slice(at, at + rowsPerStatement);
		const texts = (of: (row: NewRow<typeof Note>) => string) =>
			encodeArray("text", slice.map(of));
		const written = await client.query<{ id: string }>(upsertEntities, [
			tenantId,
			texts(({ name }) => name),
			texts(({ description }) => description),
			texts(({ content }) => content),
			encodeArray(
				"jsonb",
				slice.map(({ graphEdges }) => graphEdges ?? []),
			),
			encodeArray(
				"jsonb",
				slice.map(({ metadata }) => metadata ?? {}),
			),
		]);
		await client.query(upsertVectors, [
			tenantId,
			encodeArray(
				"uuid",
				written.rows.map(({ id }) => id),
			),
			encodeArray(
				"bytea",
				slice.map(({ content }) => hash("sha256", content, "buffer")),
			),
			encodeVectorArray(vectorOid, vectors.slice(at, at + rowsPerStatement)),
		]);
	}
	await client.query("COMMIT");
}

const upsertEntities = `
INSERT INTO notes (tenant_id, name, description, content, graph_edges, metadata)
SELECT $1, i.name, i.description, i.content, i.graph_edges, i.metadata
FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[]) AS i (name, description, content, graph_edges, metadata)
ON CONFLICT (tenant_id, user_id, name) WHERE deleted_at IS NULL DO UPDATE SET
  description = excluded.description, content = excluded.content,
  graph_edges = excluded.graph_edges, metadata = excluded.metadata, updated_at = now()
RETURNING id`;

const upsertVectors = `
INSERT INTO embeddings_notes (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, embedding)
SELECT i.entity_id, $1, 'content', 'bench', 'precomputed', 1536, i.content_hash, i.embedding
FROM (SELECT unnest($2::uuid[]) AS entity_id, unnest($3::bytea[]) AS content_hash, unnest($4::vector[]) AS embedding) AS i
ON CONFLICT (entity_id, field_name, provider, model, dimensions, chunk) DO UPDATE SET
  embedding = excluded.embedding, content_hash = excluded.content_hash, updated_at = now()`;
