import { embeddableTexts, textHash } from "../db/embeddable-texts.ts";
import {
	embeddingModelsRef,
	embeddingQueueRef,
	queueChannel,
	requeue,
	settledTable,
	settlesSetting,
} from "../db/embedding-queue.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { vectorsArrive } from "./embedding-replica-trigger.ts";
import {
	createTrigger,
	functionSettings,
	statementTriggers,
} from "./statement-triggers.ts";

/**
 * The triggers by which every text that changes without its vector is queued in
 * the writer's transaction, whoever writes it; vectors of texts that are gone
 * or another now are removed, and those that stay keep their row's tenant and
 * user.
 * A writer may claim to settle a model's texts itself.
 */
export function embeddingTriggersDdl(table: EntityTable): Sql {
	const { entity, schema } = table;
	const fn = ident(schema, boundedName(`fn_${entity.tableName}_embeddings`));
	const queues = entity.embedFields.length > 0;
	return sql`CREATE OR REPLACE FUNCTION ${fn}() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER
${functionSettings(schema)}AS $fn$
DECLARE
  rem_ids UUID[];
  rem_fields TEXT[];
  rem_claim TEXT := current_setting(${literal(settlesSetting)}, true);
BEGIN
  -- The first copy of a subscription that brings the vectors as well.
  IF current_setting('session_replication_role') = 'replica' AND ${vectorsArrive(table)} THEN RETURN NULL; END IF;
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM ${embeddingQueueRef(schema)} WHERE entity_type = ${entityType(table)};
    RETURN NULL;
  ELSIF TG_OP = 'DELETE' THEN
    DELETE FROM ${embeddingQueueRef(schema)} WHERE entity_type = ${entityType(table)} AND entity_id IN (SELECT id FROM old_rows);
    RETURN NULL;
  END IF;
${queues ? checkClaim : empty}  IF TG_OP = 'UPDATE' THEN
${queues ? refuseOldSnapshot(table) : empty}${keepScope(table)}${queues ? removeStale(table) : empty}  END IF;
${queues ? queueTexts(table) : empty}  RETURN NULL;
END $fn$;
-- Else any role could attach it to a table of its own and change other rows by it.
REVOKE ALL ON FUNCTION ${fn}() FROM PUBLIC;
${join(
	statementTriggers(table.entity.tableName, "embeddings").map((trigger) =>
		createTrigger(table, trigger, fn),
	),
	"",
)}`;
}

/**
 * The claim holds for the claimant's own statements, not for those of triggers
 * that they set off; and not where a trigger may put another text in the place
 * of the one that was embedded.
 */
const checkClaim = sql`  IF rem_claim <> '' AND (pg_trigger_depth() > 1 OR EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = TG_RELID AND tgtype & 3 = 3 AND tgenabled <> 'D' AND NOT tgisinternal)) THEN
    rem_claim := NULL;
  END IF;
`;

/**
 * A transaction that keeps its snapshot cannot see, and so not remove, a vector
 * that a worker stored since. But the worker took the text out of the queue: to
 * lock what the snapshot still shows there fails with 40001, and the writer
 * begins anew.
 */
function refuseOldSnapshot(table: EntityTable): Sql {
	return sql`    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
      PERFORM FROM ${embeddingQueueRef(table.schema)} AS q
      WHERE q.entity_type = ${entityType(table)} AND q.entity_id IN (SELECT id FROM old_rows)
      FOR UPDATE;
    END IF;
`;
}

/** Soft delete removes the vectors in the same statement; a new owner owns them too. */
function keepScope(table: EntityTable): Sql {
	const embeddings = embeddingsRef(table);
	const tenant = raw(table.entity.tenantScoped ? "tenant_id" : "'*'");
	const scope = sql`id, ${tenant} AS tenant_id, user_id, deleted_at IS NULL AS live`;
	return sql`    SELECT array_agg(id ORDER BY id) INTO rem_ids
    FROM (SELECT ${scope} FROM new_rows EXCEPT SELECT ${scope} FROM old_rows) AS changed;
    IF rem_ids IS NOT NULL THEN
      DELETE FROM ${embeddings} AS e
      WHERE e.entity_id = ANY (rem_ids)
        AND NOT EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = e.entity_id AND r.deleted_at IS NULL);
      UPDATE ${embeddings} AS e SET tenant_id = r.tenant_id, user_id = r.user_id
      FROM (SELECT ${scope} FROM ${tableRef(table)} WHERE id = ANY (rem_ids)) AS r
      WHERE e.entity_id = r.id AND (e.tenant_id, e.user_id) IS DISTINCT FROM (r.tenant_id, r.user_id);
    END IF;
`;
}

/** Texts that were there and are not any more: their vectors go, and what waits for none. */
function removeStale(table: EntityTable): Sql {
	return sql`    IF NOT coalesce(starts_with(rem_claim, ${literal(`${settledTable(table)} `)}), false) THEN
      SELECT array_agg(id), array_agg(field_name) INTO rem_ids, rem_fields
      FROM (${texts(table, "old_rows")} EXCEPT ${texts(table, "new_rows")}) AS gone;
      IF rem_ids IS NOT NULL THEN
        DELETE FROM ${embeddingsRef(table)} AS e
        USING unnest(rem_ids, rem_fields) AS gone (id, field_name)
        WHERE e.entity_id = gone.id AND e.field_name = gone.field_name;
        DELETE FROM ${embeddingQueueRef(table.schema)} AS q
        USING unnest(rem_ids, rem_fields) AS gone (id, field_name)
        WHERE q.entity_type = ${entityType(table)} AND q.entity_id = gone.id AND q.field_name = gone.field_name
          AND NOT EXISTS (SELECT FROM ${tableRef(table)} AS r CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
            WHERE r.id = gone.id AND f.field_name = gone.field_name);
      END IF;
    END IF;
`;
}

function queueTexts(table: EntityTable): Sql {
	const { schema } = table;
	const models = sql`${embeddingModelsRef(schema)} AS m
    WHERE m.entity_type = ${entityType(table)} AND m.state IN ('active', 'filling')
      AND concat_ws(' ', ${literal(settledTable(table))}, m.provider, m.model, m.dimensions) IS DISTINCT FROM rem_claim`;
	const queue = (
		changed: Sql,
	) => sql`INSERT INTO ${embeddingQueueRef(schema)} AS q
      (entity_type, entity_id, field_name, provider, model, dimensions)
    SELECT ${entityType(table)}, changed.id, changed.field_name, m.provider, m.model, m.dimensions
    FROM (${changed}) AS changed
    CROSS JOIN (SELECT m.provider, m.model, m.dimensions FROM ${models}) AS m
    ORDER BY changed.id, changed.field_name
    ${requeue}`;
	return sql`  IF NOT EXISTS (SELECT FROM ${models}) THEN RETURN NULL; END IF;
  IF TG_OP = 'INSERT' THEN
    ${queue(sql`SELECT n.id, f.field_name FROM new_rows AS n CROSS JOIN LATERAL ${embeddableTexts(table, "n")}`)};
  ELSE
    ${queue(sql`${texts(table, "new_rows")} EXCEPT ${texts(table, "old_rows")}`)};
  END IF;
  IF FOUND THEN PERFORM pg_notify(${literal(queueChannel(schema))}, ''); END IF;
`;
}

/** Every text of the live rows, by its hash. */
function texts(table: EntityTable, rows: string): Sql {
	return sql`SELECT t.id, f.field_name, ${textHash} AS content_hash
        FROM ${raw(rows)} AS t CROSS JOIN LATERAL ${embeddableTexts(table, "t")}`;
}

function entityType({ entity }: EntityTable): Sql {
	return literal(entity.tableName);
}
