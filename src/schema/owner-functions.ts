import {
	firstStatisticsRef,
	holdingRef,
	similarEntriesRef,
	tableRef,
} from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { ownershipMark } from "./ownership.ts";
import { hasPairs, pairsOfName } from "./word-function.ts";

/** What a name, or a summary, is like: a name, a word of one, either, a word of the summary; or whose pairs of letters it has. */
export type SimilarBy =
	| "key"
	| "word"
	| "either"
	| "content"
	| "key_pairs"
	| "content_pairs";

/**
 * Under row level security PostgreSQL uses an index only for operators that it
 * knows to reveal nothing of a row (LEAKPROOF): `=` is one, `%` and `@>` are not,
 * and only a superuser can call them so. These functions run as the owner, whom
 * no policy hides anything from, and so use the indexes. The tenant is theirs to
 * ask for, not the caller's choice: it is that of the transaction.
 */
export function similarEntriesDdl(
	schema: string,
	{ owner, readers, tenant }: Protection,
): Sql {
	const fn = similarEntriesRef(schema);
	const pairs = (text: Sql) =>
		sql`${hasPairs(text)} AND ${pairsOfName(schema, text)} @@ rem_query::tsquery`;
	const conditions: Readonly<Record<SimilarBy, Sql>> = {
		key: raw("k.entity_key % rem_query"),
		word: raw("k.entity_key %> rem_query"),
		either: raw("(k.entity_key % rem_query OR k.entity_key %> rem_query)"),
		content: raw("k.content_summary %> rem_query"),
		key_pairs: pairs(raw("k.entity_key")),
		content_pairs: pairs(raw("k.content_summary")),
	};
	// The tenant's and the common entries one by one: with IN, the index is read without the tenant.
	const branches = Object.entries(conditions).map(
		([kind, condition]) => sql`  IF rem_kind = ${literal(kind)} THEN
    RETURN QUERY SELECT k.* FROM ${ident(schema, "kv_store")} AS k WHERE k.tenant_id = rem_tenant AND ${condition} LIMIT rem_limit;
    RETURN QUERY SELECT k.* FROM ${ident(schema, "kv_store")} AS k WHERE k.tenant_id = ${literal(sharedTenant)} AND ${condition} LIMIT rem_limit;
  END IF;
`,
	);
	return sql`DROP FUNCTION IF EXISTS ${fn}(TEXT, TEXT);
CREATE OR REPLACE FUNCTION ${fn}(rem_kind TEXT, rem_query TEXT, rem_limit INTEGER DEFAULT 2147483647) RETURNS SETOF ${ident(schema, "kv_store")}
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER ROWS 100
SET plan_cache_mode = force_custom_plan
AS $fn$
DECLARE
  rem_tenant TEXT := ${tenant};
BEGIN
${join(branches, "")}END $fn$;
-- The operators are where the extension is.
DO $do$
BEGIN
  EXECUTE format('ALTER FUNCTION %s(TEXT, TEXT, INTEGER) SET search_path = pg_catalog, %I, %I, pg_temp', ${literal(quotedName(schema, "rem_similar_entries"))}, ${literal(schema)},
    (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'));
END $do$;
${hand(sql`${fn}(TEXT, TEXT, INTEGER)`, owner, readers)}`;
}

/** Ids of the tenant's rows whose `metadata` or `graph_edges` contain something, or whose edges lead to one of several names. */
export function holdingDdl(
	table: EntityTable,
	{ owner, readers, tenant }: Protection,
): Sql {
	const { schema, entity } = table;
	const fn = holdingRef(schema, entity.tableName);
	const find = (kind: string, condition: Sql) =>
		sql`  IF rem_kind = ${literal(kind)} THEN
    RETURN QUERY SELECT r.id FROM ${tableRef(table)} AS r WHERE r.tenant_id = rem_tenant AND ${condition};
  END IF;
`;
	return sql`CREATE OR REPLACE FUNCTION ${fn}(rem_kind TEXT, rem_value JSONB) RETURNS SETOF UUID
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER ROWS 100
SET plan_cache_mode = force_custom_plan
SET search_path = pg_catalog, ${ident(schema)}, pg_temp
AS $fn$
DECLARE
  rem_tenant TEXT := ${tenant};
  rem_names TEXT[];
BEGIN
${find("metadata", sql`r.metadata @> rem_value`)}${find("graph_edges", sql`r.graph_edges @> rem_value`)}  IF rem_kind = 'edge_keys' THEN
    rem_names := ARRAY(SELECT jsonb_array_elements_text(rem_value));
    RETURN QUERY SELECT r.id FROM ${tableRef(table)} AS r WHERE r.tenant_id = rem_tenant AND ${ident(schema, "rem_edge_keys")}(r.graph_edges) && rem_names;
  END IF;
END $fn$;
${hand(sql`${fn}(TEXT, JSONB)`, owner, readers)}`;
}

/**
 * The first statistics of tables that are being loaded. MAINTAIN would allow a
 * tenant more than ANALYZE: VACUUM FULL of kv_store empties the cache for all.
 */
export function firstStatisticsDdl(
	schema: string,
	owner: string,
	writer: string,
): Sql {
	const fn = firstStatisticsRef(schema);
	return sql`CREATE OR REPLACE FUNCTION ${fn}(rem_tables TEXT[]) RETURNS VOID
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, ${ident(schema)}, pg_temp
AS $fn$
DECLARE
  rem_table REGCLASS;
BEGIN
  FOR rem_table IN
    SELECT c.oid::regclass FROM pg_class AS c
    WHERE c.relnamespace = ${literal(schema)}::regnamespace AND c.relname = ANY (rem_tables) AND c.relkind = 'r'
      AND (c.reltuples < 0 OR greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid), '-infinity')
        < clock_timestamp() - interval '1 minute')
      AND starts_with(obj_description(c.oid, 'pg_class'), ${literal(`${ownershipMark}: `)})
  LOOP
    EXECUTE format('ANALYZE (SKIP_LOCKED) %s', rem_table);
  END LOOP;
END $fn$;
${hand(sql`${fn}(TEXT[])`, owner, [writer])}`;
}

/** Whose the functions are, who may call them, and the transaction's tenant. */
interface Protection {
	readonly owner: string;
	readonly readers: readonly string[];
	readonly tenant: Sql;
}

function hand(fn: Sql, owner: string, readers: readonly string[]): Sql {
	return sql`ALTER FUNCTION ${fn} OWNER TO ${ident(owner)};
REVOKE ALL ON FUNCTION ${fn} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ${fn} TO ${join(readers.map((name) => ident(name)))};
`;
}

function quotedName(schema: string, name: string): string {
	const quote = (part: string) => `"${part.replaceAll('"', '""')}"`;
	return `${quote(schema)}.${quote(name)}`;
}
