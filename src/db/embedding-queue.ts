import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { ident, type Sql, sql } from "../sql.ts";

/** The texts that wait for their vectors. */
export function embeddingQueueRef(schema: string): Sql {
	return ident(schema, "rem_embedding_queue");
}

/** Which models each table has vectors of. */
export function embeddingModelsRef(schema: string): Sql {
	return ident(schema, "rem_embedding_models");
}

/** The channel on which workers hear that something was queued. */
export function queueChannel(schema: string): string {
	return boundedName(`rem_embedding_queue_${schema}`);
}

/** The end of an INSERT: what waits already begins anew, in its old place, because the text is another now. */
export const requeue = sql`ON CONFLICT (entity_type, entity_id, field_name, provider, model, dimensions) DO UPDATE SET
    state = 'pending', attempts = 0, due_at = now(), lease_owner = NULL, reason = NULL`;

/**
 * The setting by which a writer says that it settles the texts of one table and
 * model itself: in the same transaction each gets its vector or its place in
 * the queue. Its value is {@link settledBy}.
 */
export const settlesSetting = "remdb.settles";

/** `public.films openai text-embedding-3-small 1536` */
export function settledBy(table: EntityTable, space: VectorSpace): string {
	const { provider, model, dimensions } = space;
	return `${settledTable(table)} ${provider} ${model} ${dimensions}`;
}

/** The part of it that names the table. */
export function settledTable({ schema, entity }: EntityTable): string {
	return `${schema}.${entity.tableName}`;
}
