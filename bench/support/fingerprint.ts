import type { Entity } from "remdb";
import type { BenchDatabase } from "./bench-database.ts";

/** What the tables hold, whatever the order and apart from ids and times: equal where the work was the same. */
export async function fingerprint(
	{ client }: BenchDatabase,
	entity: Entity,
): Promise<string> {
	const parts = [
		sumOf(
			entity.tableName,
			"tenant_id, user_id, name, description, content, graph_edges, metadata, tags, deleted_at",
		),
		sumOf(
			"kv_store",
			"tenant_id, user_id, entity_key, normalized_key, entity_type, content_summary, metadata, graph_edges",
		),
		...(entity.createEmbeddings
			? [
					sumOf(
						entity.embeddingsTableName,
						"tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, md5(vector_send(embedding))",
					),
				]
			: []),
	];
	// Sorted: a parallel plan returns the tables in any order.
	const { rows } = await client.query<{ sum: string }>(
		`${parts.join(" UNION ALL ")} ORDER BY sum`,
	);
	return rows.map(({ sum }) => sum).join(" ");
}

function sumOf(table: string, columns: string): string {
	return `SELECT count(*) || ':' || coalesce(sum(hashtextextended(ROW(${columns})::text, 0)), 0) AS sum FROM ${table}`;
}
