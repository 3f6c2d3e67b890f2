import { embeddingsRef, tableRef } from "../../src/db/tables.ts";
import type { Entity, PostgresService } from "../../src/index.ts";
import type { EntityTable } from "../../src/models/registry.ts";
import { ident, toText } from "../../src/sql.ts";

/** Everything that is stored of the models, as PostgreSQL writes it: rows, vectors bit by bit, entries of the cache. */
export async function storedRows(
	service: PostgresService<readonly Entity[]>,
): Promise<Readonly<Record<string, readonly string[]>>> {
	const read = async (text: string) =>
		(await service.execute<{ line: string }>(text)).rows.map(
			({ line }) => line,
		);
	const stored: Record<string, readonly string[]> = {};
	for (const table of service.registry.all()) {
		const { tableName, createEmbeddings } = table.entity;
		stored[tableName] = await read(
			`SELECT r::text AS line FROM ${toText(tableRef(table))} AS r ORDER BY id`,
		);
		if (createEmbeddings)
			stored[`vectors of ${tableName}`] = await read(vectorsText(table));
		stored[`cache of ${tableName}`] = await read(
			`SELECT (to_jsonb(k) - 'updated_at')::text AS line FROM ${toText(ident(table.schema, "kv_store"))} AS k WHERE entity_type = '${tableName}' ORDER BY entity_id`,
		);
	}
	return stored;
}

function vectorsText(table: EntityTable): string {
	return `SELECT concat_ws(' ', entity_id, tenant_id, user_id, field_name, provider, model, dimensions,
  encode(content_hash, 'hex'), chunk, chunk_start, chunk_end, encode(vector_send(embedding), 'hex')) AS line
FROM ${toText(embeddingsRef(table))} ORDER BY entity_id, field_name, provider, model, dimensions, chunk`;
}
