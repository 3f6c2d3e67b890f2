import {
	embeddableTexts,
	embeddingModelsRef,
	embeddingQueueRef,
	requeue,
	textHash,
} from "../db/embedding-queue.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { empty, type Sql, sql } from "../sql.ts";
import { type EntityField, textArrays } from "./texts.ts";

interface QueueOptions {
	readonly space: VectorSpace;
	/** Only if the space is one of the table's models in the database. */
	readonly onlyKnown: boolean;
}

/** Queues those of the texts that have no vector of their present content. */
export function queueTextsSql(
	table: EntityTable,
	texts: readonly EntityField[],
	{ space, onlyKnown }: QueueOptions,
): Sql {
	const known = sql`EXISTS (SELECT FROM ${embeddingModelsRef(table.schema)} AS m
    WHERE m.entity_type = ${table.entity.tableName} AND m.provider = s.provider AND m.model = s.model
      AND m.dimensions = s.dimensions AND m.state IN ('active', 'filling'))`;
	return sql`WITH queued AS MATERIALIZED (
  SELECT ${table.entity.tableName}::text, r.id, f.field_name, s.provider, s.model, s.dimensions
  FROM ${textRows(texts)}
  JOIN ${tableRef(table)} AS r ON r.id = i.entity_id
  CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
  CROSS JOIN ${spaceRow(space)}
  WHERE f.field_name = i.field_name AND NOT ${hasCurrentVector(table)}${onlyKnown ? sql` AND ${known}` : empty}
  ORDER BY r.id, f.field_name
)
INSERT INTO ${embeddingQueueRef(table.schema)} (entity_type, entity_id, field_name, provider, model, dimensions) SELECT * FROM queued
${requeue}`;
}

/** One row if any text of the table's rows waits. */
export function anyQueuedSql({ schema, entity }: EntityTable): Sql {
	return sql`SELECT FROM ${embeddingQueueRef(schema)} WHERE entity_type = ${entity.tableName} LIMIT 1`;
}

/**
 * Removes from the queue the texts that have the vector of their present
 * content, and those whose text is gone. The caller's transaction has locked the
 * rows of the table or of the queue. Without a space: in every space.
 */
export function settleTextsSql(
	table: EntityTable,
	texts: readonly EntityField[],
	space?: VectorSpace,
): Sql {
	const { schema, entity } = table;
	const ofSpace =
		space === undefined
			? empty
			: sql` AND s.provider = ${space.provider} AND s.model = ${space.model}
  AND s.dimensions = ${space.dimensions}::integer`;
	return sql`DELETE FROM ${embeddingQueueRef(schema)} AS s
USING ${textRows(texts)}
WHERE s.entity_type = ${entity.tableName} AND s.entity_id = i.entity_id AND s.field_name = i.field_name${ofSpace}
  AND NOT EXISTS (SELECT FROM ${tableRef(table)} AS r CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
    WHERE r.id = s.entity_id AND f.field_name = s.field_name AND NOT ${hasCurrentVector(table)})`;
}

/** Whether a text `f` of the row `r` has its vector in the space `s`. */
export function hasCurrentVector(table: EntityTable): Sql {
	return sql`EXISTS (SELECT FROM ${embeddingsRef(table)} AS e
    WHERE e.entity_id = r.id AND e.field_name = f.field_name AND e.provider = s.provider
      AND e.model = s.model AND e.dimensions = s.dimensions AND e.chunk = 0 AND e.content_hash = ${textHash})`;
}

/** A space as the only row of `s`. */
export function spaceRow({ provider, model, dimensions }: VectorSpace): Sql {
	return sql`(SELECT ${provider}::text AS provider, ${model}::text AS model, ${dimensions}::integer AS dimensions) AS s`;
}

function textRows(texts: readonly EntityField[]): Sql {
	const { ids, fields } = textArrays(texts);
	return sql`unnest(${ids}, ${fields}) AS i (entity_id, field_name)`;
}
