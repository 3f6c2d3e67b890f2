import {
	blank,
	embeddingFieldsRef,
	embeddingModelsRef,
	embeddingQueueRef,
	queueChannel,
	requeue,
} from "../db/embedding-queue.ts";
import { embeddingsRef } from "../db/tables.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, literal, raw, type Sql, sql } from "../sql.ts";
import { notifyUnlessCitus } from "./citus.ts";
import {
	createTriggers,
	functionSettings,
	replicaTrigger,
} from "./statement-triggers.ts";

/**
 * Rows that a subscription applies fire no statement triggers, and no foreign
 * keys' cascades: this trigger removes vectors of texts that have changed and
 * queues the texts, one row at a time. Where the publisher sends the vectors
 * too, it does nothing: they arrive by themselves, and vectors made here would
 * conflict with them.
 */
export function embeddingReplicaTriggerDdl(table: EntityTable): Sql {
	const { entity, schema } = table;
	const { tableName } = entity;
	const fn = ident(schema, boundedName(`fn_${tableName}_embeddings_replica`));
	const embeddings = embeddingsRef(table);
	const queue = embeddingQueueRef(schema);
	const tenant = (row: string) =>
		entity.tenantScoped ? ident(row, "tenant_id") : raw("'*'");
	return sql`CREATE OR REPLACE FUNCTION ${fn}() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER
${functionSettings(schema)}AS $fn$
DECLARE
  rem_fields TEXT[];
BEGIN
  IF ${vectorsArrive(table)} THEN RETURN NULL; END IF;
  IF TG_OP = 'DELETE' THEN
    DELETE FROM ${embeddings} WHERE entity_id = OLD.id;
    DELETE FROM ${queue} WHERE entity_type = ${literal(tableName)} AND entity_id = OLD.id;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    UPDATE ${embeddings} AS e SET tenant_id = ${tenant("new")}, user_id = NEW.user_id
    WHERE e.entity_id = NEW.id AND (e.tenant_id, e.user_id) IS DISTINCT FROM (${tenant("new")}, NEW.user_id);
    IF NEW.deleted_at IS NOT NULL THEN DELETE FROM ${embeddings} WHERE entity_id = NEW.id; END IF;
${removeChanged(table)}  END IF;
${queueChanged(table)}  RETURN NULL;
END $fn$;
-- Else any role could attach it to a table of its own and change other rows by it.
REVOKE ALL ON FUNCTION ${fn}() FROM PUBLIC;
${createTriggers(table, [replicaTrigger(tableName, "embeddings")], fn)}`;
}

/** Whether a subscription of this database applies the vectors of the table. */
export function vectorsArrive({ entity }: EntityTable): Sql {
	return sql`EXISTS (SELECT FROM pg_subscription_rel
    WHERE srrelid = to_regclass(format('%I.%I', TG_TABLE_SCHEMA, ${literal(entity.embeddingsTableName)})))`;
}

function removeChanged(table: EntityTable): Sql {
	const { schema, entity } = table;
	const all = raw("true");
	return sql`    SELECT array_agg(gone.field_name) INTO rem_fields
    FROM (${texts(table, "old", all)} EXCEPT ${texts(table, "new", all)}) AS gone;
    DELETE FROM ${embeddingsRef(table)} WHERE entity_id = NEW.id AND field_name = ANY (rem_fields);
    DELETE FROM ${embeddingQueueRef(schema)} AS q WHERE q.entity_type = ${literal(entity.tableName)} AND q.entity_id = NEW.id
      AND q.field_name = ANY (rem_fields) AND q.field_name NOT IN (SELECT t.field_name FROM (${texts(table, "new", all)}) AS t);
`;
}

function queueChanged(table: EntityTable): Sql {
	const { schema, entity } = table;
	const current = raw("f.state <> 'removing'");
	return sql`  WITH queued AS MATERIALIZED (
    SELECT ${literal(entity.tableName)}, NEW.id, changed.field_name, m.provider, m.model, m.dimensions
    FROM (${texts(table, "new", current)} EXCEPT ${texts(table, "old", current)}) AS changed
    JOIN ${embeddingModelsRef(schema)} AS m ON m.entity_type = ${literal(entity.tableName)} AND m.state IN ('active', 'filling')
    ORDER BY changed.field_name
  )
  INSERT INTO ${embeddingQueueRef(schema)} AS q (entity_type, entity_id, field_name, provider, model, dimensions)
  SELECT * FROM queued
  ${requeue};
  ${notifyUnlessCitus(literal(queueChannel(schema)))}
`;
}

/**
 * The texts of one version of the row, of the fields that the database has on
 * record: the function is the same for every version of a model. Of a row that
 * does not exist, all columns are NULL.
 */
function texts(table: EntityTable, row: "old" | "new", fields: Sql): Sql {
	return sql`SELECT f.field_name, t.content FROM ${embeddingFieldsRef(table.schema)} AS f
      CROSS JOIN LATERAL (SELECT to_jsonb(${ident(row)}) ->> f.column_name AS content) AS t
      WHERE f.entity_type = ${literal(table.entity.tableName)} AND ${fields} AND ${ident(row)}.deleted_at IS NULL
        AND t.content ~ ${literal(`[^${blank}]`)}`;
}
