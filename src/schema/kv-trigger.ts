import { createHash } from "node:crypto";
import { rowById, tableRef } from "../db/tables.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	empty,
	ident,
	join,
	literal,
	raw,
	type Sql,
	sql,
	toText,
} from "../sql.ts";
import {
	keyExpression,
	liveKeyed,
	summaryExpression,
	tenantExpression,
} from "./key.ts";
import { type EntityDdlOptions, ownershipMark } from "./ownership.ts";
import {
	createTriggers,
	functionSettings,
	replicaTrigger,
	statementTriggers,
	type TableTrigger,
} from "./statement-triggers.ts";

/**
 * The triggers that make kv_store equal to the entity's live rows: one per
 * event (transition tables allow no more), for whole statements (1.3 times an
 * insert without; row triggers 1.6).
 *
 * Ids come from the transition tables, values are read again from the table:
 * values taken from the transition tables went stale when another trigger
 * changed the same row. Under REPEATABLE READ and SERIALIZABLE a cache row that
 * the writer cannot see is a 40001, never a stale row.
 *
 * The apply worker of a subscription fires row triggers only: one more trigger
 * is there for it, and sleeps everywhere else.
 */
export function kvTriggerDdl(
	table: EntityTable,
	{ isNew = false }: EntityDdlOptions = {},
): Sql {
	const { entity, schema } = table;
	if (!entity.createKvTrigger) return empty;
	const fn = kvFunctionRef(table);
	const forget = isNew ? forgetDropped(table) : forgetStaleCache(table);
	return sql`${forget}${kvSourceDdl(table)}CREATE OR REPLACE FUNCTION ${fn}() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER
${functionSettings(schema)}AS $fn$
DECLARE
  rem_ids UUID[];
  rem_gone UUID[];
  rem_snapshot BOOLEAN := current_setting('transaction_isolation') <> 'read committed';
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    IF rem_snapshot THEN
      RAISE EXCEPTION 'TRUNCATE of % needs READ COMMITTED: its cache may hold rows this transaction cannot see', TG_TABLE_NAME
        USING ERRCODE = '0A000';
    END IF;
    DELETE FROM ${ident(schema, "kv_store")} WHERE entity_type = ${entityType(table)};
    RETURN NULL;
  ELSIF TG_LEVEL = 'ROW' THEN
    SELECT array_agg(DISTINCT id ORDER BY id) INTO rem_ids FROM unnest(ARRAY[OLD.id, NEW.id]) AS changed (id) WHERE id IS NOT NULL;
  ELSIF TG_OP = 'INSERT' THEN
    SELECT array_agg(id ORDER BY id) INTO rem_ids FROM new_rows WHERE ${liveKeyed(entity, "new_rows")};
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(id ORDER BY id) INTO rem_ids FROM old_rows WHERE ${liveKeyed(entity, "old_rows")};
  ELSE
    SELECT array_agg(DISTINCT id ORDER BY id) INTO rem_ids FROM (
      (${cachedRows(table, "new_rows")} EXCEPT ${cachedRows(table, "old_rows")})
      UNION ALL
      (${cachedRows(table, "old_rows")} EXCEPT ${cachedRows(table, "new_rows")})
    ) AS changed;
  END IF;
  IF rem_ids IS NULL THEN RETURN NULL; END IF;

  IF TG_OP <> 'INSERT' THEN
    SELECT array_agg(changed.id ORDER BY changed.id) INTO rem_gone FROM unnest(rem_ids) AS changed (id)
    WHERE NOT EXISTS (SELECT FROM ${rowById(table, "r", ident("changed", "id"))} WHERE ${liveKeyed(entity, "r")});
    IF rem_gone IS NOT NULL THEN
      IF rem_snapshot THEN
        WITH guard AS MATERIALIZED (SELECT '', ${entityType(table)}, gone.id, '', '' FROM unnest(rem_gone) AS gone (id))
        INSERT INTO ${ident(schema, "kv_store")} (entity_key, entity_type, entity_id, tenant_id, normalized_key) SELECT * FROM guard
        ON CONFLICT (entity_type, entity_id) DO NOTHING;
      END IF;
      DELETE FROM ${ident(schema, "kv_store")} WHERE entity_type = ${entityType(table)} AND entity_id = ANY (rem_gone);
    END IF;
  ELSIF rem_snapshot AND EXISTS (SELECT FROM ${tableRef(table)} WHERE id = ANY (rem_ids) GROUP BY id HAVING count(*) > 1) THEN
    RAISE EXCEPTION 'a row of % was inserted again concurrently', TG_TABLE_NAME USING ERRCODE = '40001';
  END IF;

  -- Reads go by it while there is no cache, and the next rebuild: without it nothing is written.
  PERFORM FROM ${kvSourceRef(table)} LIMIT 0;
  ${kvUpsert(table)};
  RETURN NULL;
END $fn$;
-- Else any role could attach it to a table of its own and change other rows by it.
REVOKE ALL ON FUNCTION ${fn}() FROM PUBLIC;
${createTriggers(table, kvTriggers(entity.tableName), fn)}`;
}

/** What the marker of a whole cache names: the file of kv_store, or an entry of it. */
export type KvMarker = "file" | "entry" | "either";

/**
 * Whether kv_store is whole, as an expression for the very statement that reads
 * it: the marker is emptied together with the cache, and names its file. On
 * Citus that file is on a node, and no statement can read its number: there the
 * marker names an entry of the cache, which is removed with all others. A check of
 * `either` takes 7 of the 30 microseconds that a LOOKUP takes the server.
 */
export function kvReady(schema: string, marker: KvMarker): Sql {
	const kvStore = toText(ident(schema, "kv_store"));
	const isFile = sql`m.filenode = pg_relation_filenode(${literal(kvStore)}::regclass)`;
	const isEntry = hasMarkEntry(schema, "m");
	const isWhole = {
		file: isFile,
		entry: isEntry,
		either: sql`(${isFile} OR ${isEntry})`,
	}[marker];
	return sql`EXISTS (SELECT FROM ${ident(schema, "kv_state")} AS m
    WHERE m.kind = 'ready' AND ${isWhole})`;
}

/** The type of the entries that represent the marker or a rebuild on Citus; they belong to no entity and no tenant. */
export const markType = "";

/** The key of a marker's entry once the cache is whole: then the entry alone proves it. */
export const readyKey = "ready";

/** Whether the cache has the entry of a marker, or of a rebuild, that names no file. */
export function hasMarkEntry(schema: string, alias: string): Sql {
	return sql`${ident(alias, "filenode")} = 0 AND EXISTS (SELECT FROM ${ident(schema, "kv_store")} AS e
      WHERE e.entity_type = ${literal(markType)} AND e.entity_id = ${ident(alias, "token")})`;
}

/** The triggers of a table, by the table's name, which is the entity type. */
export function kvTriggers(tableName: string): readonly TableTrigger[] {
	return [
		...statementTriggers(tableName, "kv_store"),
		replicaTrigger(tableName, "kv_store"),
	];
}

/**
 * A table that had rows before it had triggers is not in the cache, and one whose
 * source is another now is in it wrongly: the cache must be rebuilt. Writers
 * wait until the new triggers are there, rebuilds too: one that read the
 * old source has ended (the view's lock), and none marks the cache ready that
 * began before (the tokens are gone with the marker).
 */
function forgetStaleCache(table: EntityTable): Sql {
	const { entity, schema } = table;
	const tableText = literal(toText(tableRef(table)));
	const view = literal(toText(kvSourceRef(table)));
	const kvState = ident(schema, "kv_state");
	const [first] = kvTriggers(entity.tableName);
	return sql`DO $do$ BEGIN
  IF EXISTS (SELECT FROM pg_trigger WHERE tgname = ${literal(first?.name ?? "")} AND tgrelid = ${tableText}::regclass)
    AND obj_description(to_regclass(${view}), 'pg_class') = ${literal(kvSourceComment(table))} THEN
    RETURN;
  END IF;
  LOCK TABLE ${tableRef(table)} IN SHARE ROW EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM ${tableRef(table)}) THEN
    ${forgetDropped(table)}    RETURN;
  END IF;
  IF to_regclass(${view}) IS NOT NULL THEN
    ALTER VIEW ${kvSourceRef(table)} SET (security_invoker = true);
  END IF;
  LOCK TABLE ${kvState} IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM ${kvState};
  DELETE FROM ${ident(schema, "kv_store")} WHERE entity_type IN (${literal(markType)}, ${literal(entity.tableName)});
END $do$;
`;
}

/** DROP TABLE fires no trigger: the entries of a table that was dropped are there until it is made again. */
function forgetDropped({ entity, schema }: EntityTable): Sql {
	return sql`DELETE FROM ${ident(schema, "kv_store")} WHERE entity_type = ${literal(entity.tableName)};
`;
}

/** Takes away what {@link kvTriggerDdl} made, of a model that has no cache any more. */
export function dropKvTriggerDdl(table: EntityTable): Sql {
	const { entity } = table;
	const triggers = kvTriggers(entity.tableName).map(
		({ name }) =>
			sql`DROP TRIGGER IF EXISTS ${ident(name)} ON ${tableRef(table)};\n`,
	);
	return sql`${join(triggers, "")}DROP FUNCTION IF EXISTS ${kvFunctionRef(table)}();
DROP VIEW IF EXISTS ${kvSourceRef(table)};
${forgetDropped(table)}`;
}

function kvFunctionRef({ entity, schema }: EntityTable): Sql {
	return ident(schema, boundedName(`fn_${entity.tableName}_kv_store_upsert`));
}

/** The part of a row that the cache stores, from a transition table. */
function cachedRows(table: EntityTable, rows: string): Sql {
	const { entity } = table;
	return sql`SELECT id, ${tenantExpression(entity, rows)}, user_id, ${keyExpression(entity, rows)},
        ${summaryExpression(entity, rows)}, metadata, graph_edges, created_at
      FROM ${raw(rows)} WHERE ${liveKeyed(entity, rows)}`;
}

/** Copies the live rows with the ids into the cache. */
function kvUpsert(table: EntityTable): Sql {
	const rows = sql`unnest(rem_ids) AS changed (id) CROSS JOIN LATERAL ${rowById(table, "r", ident("changed", "id"))}`;
	return writeEntries(
		table.schema,
		sql`(${kvSourceSelect(table, rows)}) AS source`,
	);
}

/** Brings the cache to the source's rows, whatever it stores of them: `rows` follows FROM. */
export function writeEntries(schema: string, rows: Sql): Sql {
	return sql`WITH entries AS MATERIALIZED (SELECT ${kvColumns} FROM ${rows} ORDER BY entity_id)
  INSERT INTO ${ident(schema, "kv_store")} AS k (${kvColumns}) SELECT * FROM entries
  ON CONFLICT (entity_type, entity_id) DO UPDATE SET
    entity_key = excluded.entity_key, tenant_id = excluded.tenant_id, user_id = excluded.user_id,
    normalized_key = excluded.normalized_key, content_summary = excluded.content_summary,
    metadata = excluded.metadata, graph_edges = excluded.graph_edges,
    created_at = excluded.created_at, updated_at = excluded.updated_at
  WHERE (k.entity_key, k.tenant_id, k.user_id, k.normalized_key, k.content_summary, k.metadata, k.graph_edges, k.created_at)
    IS DISTINCT FROM (excluded.entity_key, excluded.tenant_id, excluded.user_id, excluded.normalized_key,
      excluded.content_summary, excluded.metadata, excluded.graph_edges, excluded.created_at)`;
}

/** The columns of a source and of the cache; `updated_at` is the cache's own. */
export const kvColumns = raw(
	"tenant_id, entity_key, normalized_key, entity_type, entity_id, user_id, content_summary, metadata, graph_edges, created_at",
);

/** By its comment a source is found, also by a service that does not know the model. */
export const kvSourceMark = `${ownershipMark}: cache source of `;

/** The comment also distinguishes one definition of the source from another, whatever the schema. */
function kvSourceComment(table: EntityTable): string {
	const select = kvSourceSelect({ ...table, schema: "public" });
	const hash = createHash("sha256").update(toText(select));
	return `${kvSourceMark}${table.entity.tableName} (${hash.digest("hex").slice(0, 16)})`;
}

/** The view of what the cache stores of the entity: what rebuild and fallback read. */
export function kvSourceRef(table: EntityTable): Sql {
	return ident(table.schema, kvSourceName(table));
}

export function kvSourceName({ entity }: EntityTable): string {
	return boundedName(`kv_source_${entity.tableName}`);
}

function kvSourceDdl(table: EntityTable): Sql {
	return sql`CREATE OR REPLACE VIEW ${kvSourceRef(table)} WITH (security_invoker = true) AS
${kvSourceSelect(table)};
COMMENT ON VIEW ${kvSourceRef(table)} IS ${literal(kvSourceComment(table))};
`;
}

function kvSourceSelect(
	table: EntityTable,
	rows = sql`${tableRef(table)} AS r`,
): Sql {
	const { entity, schema } = table;
	const key = keyExpression(entity, "r");
	return sql`SELECT ${tenantExpression(entity, "r")} AS tenant_id, (${key})::varchar(255) AS entity_key,
  ${ident(schema, "rem_normalize_key")}(${key}) AS normalized_key,
  ${entityType(table)}::varchar(100) AS entity_type, r.id AS entity_id, r.user_id,
  ${summaryExpression(entity, "r")} AS content_summary, r.metadata, r.graph_edges, r.created_at
FROM ${rows}
WHERE r.deleted_at IS NULL AND ${key} IS NOT NULL`;
}

function entityType({ entity }: EntityTable): Sql {
	return literal(entity.tableName);
}
