import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { ident, type Sql, sql } from "../sql.ts";
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
    state = 'pending', attempts = 0, due_at = now(), lease_owner = NULL, reason = NULL`;

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
