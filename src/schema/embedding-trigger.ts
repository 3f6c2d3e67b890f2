import {
	blank,
	embeddingFieldsRef,
	embeddingModelsRef,
	embeddingQueueRef,
	queueChannel,
	requeue,
	settledFieldsSetting,
	settledTable,
	settlesSetting,
} from "../db/embedding-queue.ts";
import { embeddingsRef, rowById, tableRef } from "../db/tables.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { notifyUnlessCitus } from "./citus.ts";
import { vectorsArrive } from "./embedding-replica-trigger.ts";
import {
	createTriggers,
	functionSettings,
	statementTriggers,
} from "./statement-triggers.ts";

/**
 * The triggers by which every text that changes without its vector is queued in
 * the writer's transaction, whichever client writes it; vectors of texts that
 * are gone or changed are removed, and those that stay follow their row's tenant
 * and user. A writer may claim to settle a model's texts of some fields itself.
 *
 * Which fields have vectors is read from `rem_embedding_fields`: the text of the
 * function is the same for every version of a model, so that no version's
 * migration takes a field of another one out of it.
 */
export function embeddingTriggersDdl(table: EntityTable): Sql {
	const { entity, schema } = table;
	const fn = ident(schema, boundedName(`fn_${entity.tableName}_embeddings`));
	return sql`CREATE OR REPLACE FUNCTION ${fn}() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER
${functionSettings(schema)}AS $fn$
DECLARE
  rem_ids UUID[];
  rem_fields TEXT[];
  rem_present BOOLEAN[];
  rem_old UUID[];
  rem_columns TEXT[];
  rem_texts TEXT;
  rem_claim TEXT := current_setting(${literal(settlesSetting)}, true);
  rem_settled TEXT[] := '{}';
BEGIN
  -- The first copy of a subscription that brings the vectors as well.
  IF current_setting('session_replication_role') = 'replica' AND ${vectorsArrive(table)} THEN RETURN NULL; END IF;
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM ${embeddingQueueRef(schema)} WHERE entity_type = ${entityType(table)};
    RETURN NULL;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(id) INTO rem_old FROM old_rows;
    DELETE FROM ${embeddingQueueRef(schema)} WHERE entity_type = ${entityType(table)} AND entity_id = ANY (rem_old);
    RETURN NULL;
  END IF;
${readClaim(table)}  IF TG_OP = 'UPDATE' THEN
${refuseOldSnapshot(table)}${followScope(table)}  END IF;
${readChanges(table)}  IF rem_ids IS NULL THEN RETURN NULL; END IF;
  IF TG_OP = 'UPDATE' THEN
${removeStale(table)}  END IF;
${queueTexts(table)}  RETURN NULL;
END $fn$;
-- Else any role could attach it to a table of its own and change other rows by it.
REVOKE ALL ON FUNCTION ${fn}() FROM PUBLIC;
${createTriggers(
	table,
	statementTriggers(table.entity.tableName, "embeddings"),
	fn,
)}${registerFields(table)}`;
}

/** Those that another version of the model registered stay. */
function registerFields(table: EntityTable): Sql {
	const { embedFields } = table.entity;
	if (embedFields.length === 0) return empty;
	const rows = embedFields.map(
		({ name, column }) =>
			sql`(${entityType(table)}, ${literal(name)}, ${literal(column)})`,
	);
	return sql`INSERT INTO ${embeddingFieldsRef(table.schema)} (entity_type, field_name, column_name)
VALUES ${join(rows)} ON CONFLICT DO NOTHING;
`;
}

/**
 * The claim is valid for the claimant's own statements, not for those of triggers
 * that they set off; and not where a trigger may put another text in the place
 * of the one that was embedded. A claim without fields, of an earlier release,
 * settles none.
 */
function readClaim(table: EntityTable): Sql {
	return sql`  IF starts_with(rem_claim, ${literal(`${settledTable(table)} `)}) AND pg_trigger_depth() = 1 AND NOT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = TG_RELID AND tgtype & 3 = 3 AND tgenabled <> 'D' AND NOT tgisinternal) THEN
    rem_settled := coalesce(nullif(current_setting(${literal(settledFieldsSetting)}, true), ''), '{}')::TEXT[];
  END IF;
`;
}

/**
 * A transaction with one snapshot cannot see, and so not remove, a vector
 * that a worker stored since. But the worker took the text out of the queue: to
 * lock what the snapshot still shows there fails with 40001, and the writer
 * begins again.
 */
function refuseOldSnapshot(table: EntityTable): Sql {
	return sql`    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
      SELECT array_agg(id) INTO rem_old FROM old_rows;
      PERFORM FROM ${embeddingQueueRef(table.schema)} AS q
      WHERE q.entity_type = ${entityType(table)} AND q.entity_id = ANY (rem_old)
      FOR UPDATE;
    END IF;
`;
}

/** Soft delete removes the vectors in the same statement; a new owner owns them too. */
function followScope(table: EntityTable): Sql {
	const embeddings = embeddingsRef(table);
	const tenant = raw(table.entity.tenantScoped ? "tenant_id" : "'*'");
	const scope = sql`id, ${tenant} AS tenant_id, user_id, deleted_at IS NULL AS live`;
	return sql`    SELECT array_agg(id ORDER BY id) INTO rem_ids
    FROM (SELECT ${scope} FROM new_rows EXCEPT SELECT ${scope} FROM old_rows) AS changed;
    IF rem_ids IS NOT NULL THEN
      DELETE FROM ${embeddings} AS e
      WHERE e.entity_id = ANY (rem_ids)
        AND NOT EXISTS (SELECT FROM ${rowById(table, "r", ident("e", "entity_id"))} WHERE r.deleted_at IS NULL);
      UPDATE ${embeddings} AS e SET tenant_id = r.tenant_id, user_id = r.user_id
      FROM (SELECT ${scope} FROM ${tableRef(table)} WHERE id = ANY (rem_ids)) AS r
      WHERE e.entity_id = ANY (rem_ids) AND e.entity_id = r.id AND (e.tenant_id, e.user_id) IS DISTINCT FROM (r.tenant_id, r.user_id);
    END IF;
`;
}

/**
 * Which texts came, changed or went, and whether there is one now. The fields'
 * columns are in a table, so the statement is made here; where the claim covers
 * all of them, as in a batch upsert, there is nothing to make. Texts are
 * compared by their bytes, whatever the column's collation calls equal.
 */
function readChanges(table: EntityTable): Sql {
	const fields = embeddingFieldsRef(table.schema);
	const text = (row: string) =>
		`CASE WHEN ${row}.deleted_at IS NULL AND ${row}.%2$I ~ $1 THEN ${row}.%2$I::text COLLATE "C" END`;
	const changed =
		"SELECT array_agg(c.id), array_agg(c.field_name), array_agg(c.is_present) FROM (SELECT ";
	const rows = (id: string, from: string) =>
		`${changed}${id} AS id, f.field_name, f.after IS NOT NULL AS is_present FROM ${from} CROSS JOIN LATERAL (VALUES `;
	const end =
		") AS f (field_name, before, after) WHERE f.before IS DISTINCT FROM f.after) AS c";
	return sql`  rem_columns := ARRAY(SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped);
  SELECT string_agg(format(
      CASE TG_OP WHEN 'INSERT' THEN ${literal(`(%1$L, NULL::text, ${text("n")})`)} ELSE ${literal(`(%1$L, ${text("o")}, ${text("n")})`)} END,
      f.field_name, f.column_name), ', ') INTO rem_texts
  FROM ${fields} AS f
  WHERE f.entity_type = ${entityType(table)} AND (f.field_name <> ALL (rem_settled) OR EXISTS (${others(table)}))
    AND (f.state <> 'removing' OR TG_OP = 'UPDATE')
    AND f.column_name = ANY (rem_columns);
  IF rem_texts IS NULL THEN RETURN NULL; END IF;
  EXECUTE CASE TG_OP WHEN 'INSERT' THEN ${literal(rows("n.id", "new_rows AS n"))}
    ELSE ${literal(rows("coalesce(n.id, o.id)", "old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id"))} END
    || rem_texts || ${literal(end)}
    INTO rem_ids, rem_fields, rem_present USING ${literal(`[^${blank}]`)}::TEXT;
`;
}

/**
 * Texts that were there and are not any more: their vectors go, and what waits for
 * none. The ids are compared twice: as an array they are found by the index, where
 * a join may read all of a table.
 */
function removeStale(table: EntityTable): Sql {
	return sql`    DELETE FROM ${embeddingsRef(table)} AS e
    USING unnest(rem_ids, rem_fields) AS gone (id, field_name)
    WHERE e.entity_id = ANY (rem_ids) AND e.entity_id = gone.id AND e.field_name = gone.field_name AND gone.field_name <> ALL (rem_settled);
    DELETE FROM ${embeddingQueueRef(table.schema)} AS q
    USING unnest(rem_ids, rem_fields, rem_present) AS gone (id, field_name, is_present)
    WHERE q.entity_type = ${entityType(table)} AND q.entity_id = ANY (rem_ids) AND q.entity_id = gone.id AND q.field_name = gone.field_name
      AND NOT gone.is_present AND gone.field_name <> ALL (rem_settled);
`;
}

/** For every model, but those that the writer settles. */
function queueTexts(table: EntityTable): Sql {
	const { schema } = table;
	return sql`  WITH queued AS MATERIALIZED (
    SELECT ${entityType(table)}, changed.id, changed.field_name, m.provider, m.model, m.dimensions
    FROM unnest(rem_ids, rem_fields, rem_present) AS changed (id, field_name, is_present)
    JOIN ${embeddingFieldsRef(schema)} AS f
      ON f.entity_type = ${entityType(table)} AND f.field_name = changed.field_name AND f.state <> 'removing'
    JOIN ${embeddingModelsRef(schema)} AS m
      ON m.entity_type = f.entity_type AND m.state IN ('active', 'filling')
        AND (changed.field_name <> ALL (rem_settled) OR ${claimed(table)} IS DISTINCT FROM rem_claim)
    WHERE changed.is_present
    ORDER BY changed.id, changed.field_name
  )
  INSERT INTO ${embeddingQueueRef(schema)} AS q (entity_type, entity_id, field_name, provider, model, dimensions)
  SELECT * FROM queued
  ${requeue};
  ${notifyUnlessCitus(literal(queueChannel(schema)))}
`;
}

/** `public.films openai text-embedding-3-small 1536`, as the claim of the table has it. */
function claimed(table: EntityTable): Sql {
	return sql`concat_ws(' ', ${literal(settledTable(table))}, m.provider, m.model, m.dimensions)`;
}

/** Models of the table that the writer does not settle. */
function others(table: EntityTable): Sql {
	return sql`SELECT FROM ${embeddingModelsRef(table.schema)} AS m
      WHERE m.entity_type = ${entityType(table)} AND m.state IN ('active', 'filling')
        AND ${claimed(table)} IS DISTINCT FROM rem_claim`;
}

function entityType({ entity }: EntityTable): Sql {
	return literal(entity.tableName);
}
