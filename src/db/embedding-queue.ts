import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { ident, join, literal, type Sql, sql } from "../sql.ts";
import { arrayLiteral } from "./encode.ts";

/** The texts that wait for their vectors. */
export function embeddingQueueRef(schema: string): Sql {
	return ident(schema, "rem_embedding_queue");
}

/** Which models each table has vectors of. */
export function embeddingModelsRef(schema: string): Sql {
	return ident(schema, "rem_embedding_models");
}

/** Which fields of each table have vectors, whatever the models of single processes define. */
export function embeddingFieldsRef(schema: string): Sql {
	return ident(schema, "rem_embedding_fields");
}

/** The versions of each model that were migrated to, in the order of their first migration. */
export function embeddingVersionsRef(schema: string): Sql {
	return ident(schema, "rem_embedding_versions");
}

/** The channel that notifies workers of new entries. */
export function queueChannel(schema: string): string {
	return boundedName(`rem_embedding_queue_${schema}`);
}

/** The end of an INSERT: an entry that waits already restarts in its old place, because its text has changed. */
export const requeue = sql`ON CONFLICT (entity_type, entity_id, field_name, provider, model, dimensions) DO UPDATE SET
    state = 'pending', attempts = 0, due_at = excluded.due_at, lease_owner = NULL, reason = NULL`;

/**
 * The settings by which a writer claims to settle the texts of one table, model
 * and some fields itself: in the same transaction each gets its vector or its
 * place in the queue. The fields are those that the writer knows: another
 * version of the model may have more of them.
 */
export function settles(
	table: EntityTable,
	space: VectorSpace,
): Record<string, string> {
	const fields = table.entity.embedFields.map(({ name }) => name);
	return {
		[settlesSetting]: settledBy(table, space),
		[settledFieldsSetting]: arrayLiteral(fields),
	};
}

export const settlesSetting = "remdb.settles";
export const settledFieldsSetting = "remdb.settles_fields";

/** `public.films openai text-embedding-3-small 1536` */
function settledBy(table: EntityTable, space: VectorSpace): string {
	const { provider, model, dimensions } = space;
	return `${settledTable(table)} ${provider} ${model} ${dimensions}`;
}

/** The part of it that names the table. */
export function settledTable({ schema, entity }: EntityTable): string {
	return `${schema}.${entity.tableName}`;
}

/**
 * The texts of a live row that get vectors, as rows of `f (field_name, content)`:
 * to be joined LATERAL to the row.
 */
export function embeddableTexts({ entity }: EntityTable, row: string): Sql {
	const fields = entity.embedFields.map(
		({ name, column }) => sql`(${literal(name)}, ${ident(row, column)})`,
	);
	return sql`(
    SELECT field_name, content FROM (VALUES ${join(fields)}) AS f (field_name, content)
    WHERE ${ident(row)}.deleted_at IS NULL AND content ~ ${literal(`[^${blank}]`)}
  ) AS f`;
}

/** What JavaScript's `trim` takes away, whatever the database's locale calls a space. */
export const blank =
	"\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff";

/** The hash of a text `f`, as it is stored with its vector. */
export const textHash = sql`sha256(convert_to(f.content, 'UTF8'))`;
