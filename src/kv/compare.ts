import type { Handle } from "../db/database.ts";
import { markType } from "../schema/kv-trigger.ts";
import { ident, join, literal, raw, type Sql, sql, toText } from "../sql.ts";
import type { KvSteps } from "./progress.ts";
import { type CachedType, type KvSource, kvStore } from "./tables.ts";

/** An entry of the cache that differs from its entity. */
export interface KvDifference {
	/** `missing`: a live entity has no entry; `extra`: no live entity has it; `stale`: its values differ. */
	readonly kind: "missing" | "extra" | "stale";
	readonly tenantId: string;
	readonly entityType: string;
	readonly entityId: string;
	readonly entityKey: string;
	/** What is stale, by the names of kv_store's columns; else none. */
	readonly columns: readonly string[];
}

interface DifferenceRow {
	readonly kind: KvDifference["kind"];
	readonly tenant_id: string;
	readonly entity_id: string;
	readonly entity_key: string;
	readonly columns: string[];
}

/** A range without differences gives one row, of nothing but the count. */
type ComparedRow = { readonly found: number } & (
	| DifferenceRow
	| { readonly kind: null }
);

const rangeSize = 5000;

/** Compares a type's entries with its entities, both ways, range by range of ids; the snapshot of the handle makes it consistent. */
export async function compareType(
	tx: Handle,
	type: CachedType,
	steps: KvSteps,
): Promise<KvDifference[]> {
	const { source } = type;
	const differences: KvDifference[] = [];
	let after = "00000000-0000-0000-0000-000000000000";
	for (;;) {
		const bound = await tx.query<{ id: string }>(sql`
SELECT entity_id AS id FROM ${source.view} WHERE entity_id > ${after}::uuid
ORDER BY entity_id OFFSET ${rangeSize - 1} LIMIT 1`);
		const last = bound.rows[0]?.id;
		const range =
			last === undefined
				? sql`entity_id > ${after}::uuid`
				: sql`entity_id > ${after}::uuid AND entity_id <= ${last}::uuid`;
		const compared = await compareRange(tx, type, range);
		differences.push(...compared.differences);
		steps.add(source.entityType, compared.found);
		if (last === undefined) return differences;
		after = last;
	}
}

/** Compares the entries and entities that a condition on `entity_id` names; `found` are the entities. */
async function compareRange(
	tx: Handle,
	{ schema, source }: CachedType,
	range: Sql,
): Promise<{ found: number; differences: KvDifference[] }> {
	const { rows } = await tx.query<ComparedRow>(
		compareSql(schema, source, range),
	);
	return {
		found: rows[0]?.found ?? 0,
		differences: rows.flatMap((row) =>
			row.kind === null ? [] : toDifference(source, row),
		),
	};
}

/** Compares at most so many entities and so many entries of a type, picked at random, from whole pages of the tables. */
export async function compareSample(
	tx: Handle,
	type: CachedType,
	size: number,
): Promise<{ found: number; differences: KvDifference[] }> {
	const { schema, source } = type;
	const store = kvStore(schema);
	const table = ident(schema, source.entityType);
	const entities = sql`SELECT id FROM ${table} ${await pagesOf(tx, table, size)} ORDER BY random() LIMIT ${size}`;
	const entries = sql`SELECT entity_id FROM ${store} ${await pagesOf(tx, store, size)}
WHERE entity_type = ${source.entityType} ORDER BY random() LIMIT ${size}`;
	const { rows } = await tx.query<{ ids: string[] }>(
		sql`SELECT coalesce(array_agg(id::text), '{}') AS ids FROM ((${entities}) UNION (${entries})) AS picked`,
	);
	const ids = `{${rows[0]?.ids.join(",") ?? ""}}`;
	return compareRange(tx, type, sql`entity_id = ANY (${ids}::uuid[])`);
}

// Pages contain deleted rows, too, and kv_store rows of other types.
const spare = 20;

/** All of a small table, some pages of a large one. */
async function pagesOf(tx: Handle, table: Sql, size: number): Promise<Sql> {
	const { rows } = await tx.query<{ rows: number }>(
		sql`SELECT reltuples::float8 AS rows FROM pg_class WHERE oid = ${toText(table)}::regclass`,
	);
	const share = (spare * size) / Math.max(1, rows[0]?.rows ?? 1);
	return sql`TABLESAMPLE SYSTEM (${raw(String(Math.min(100, 100 * share)))})`;
}

const columns = [
	"tenant_id",
	"entity_key",
	"normalized_key",
	"user_id",
	"content_summary",
	"metadata",
	"graph_edges",
	"created_at",
] as const;

/** The differing rows, and in every row how many entities there are in the range. */
function compareSql(
	schema: string,
	{ view, entityType }: KvSource,
	range: Sql,
): Sql {
	const differs = columns.map(
		(name) =>
			sql`CASE WHEN ${ident("s", name)} IS DISTINCT FROM ${ident("k", name)} THEN ${literal(name)} END`,
	);
	const all = (alias: string) =>
		join(columns.map((name) => ident(alias, name)));
	return sql`WITH s AS MATERIALIZED (SELECT * FROM ${view} WHERE ${range}),
k AS MATERIALIZED (SELECT * FROM ${kvStore(schema)} WHERE entity_type = ${entityType} AND ${range}),
d AS (
  SELECT CASE WHEN k.entity_id IS NULL THEN 'missing' WHEN s.entity_id IS NULL THEN 'extra' ELSE 'stale' END AS kind,
    coalesce(s.tenant_id, k.tenant_id) AS tenant_id, coalesce(s.entity_id, k.entity_id) AS entity_id,
    coalesce(s.entity_key, k.entity_key) AS entity_key,
    CASE WHEN k.entity_id IS NULL OR s.entity_id IS NULL THEN '{}'::text[]
      ELSE array_remove(ARRAY[${join(differs)}], NULL) END AS columns
  FROM s FULL JOIN k ON k.entity_id = s.entity_id
  WHERE s.entity_id IS NULL OR k.entity_id IS NULL
    OR (${all("s")}) IS DISTINCT FROM (${all("k")})
)
SELECT n.found, d.* FROM (SELECT count(*)::integer AS found FROM s) AS n LEFT JOIN d ON TRUE
ORDER BY d.entity_id`;
}

/** Entries of types that have no source: of models that were dropped. */
export async function findUnregistered(
	tx: Handle,
	schema: string,
	sources: readonly KvSource[],
): Promise<KvDifference[]> {
	const { rows } = await tx.query<DifferenceRow & { entity_type: string }>(sql`
SELECT 'extra' AS kind, tenant_id, entity_type, entity_id, entity_key, '{}'::text[] AS columns
FROM ${kvStore(schema)} WHERE ${isUnregistered(sources)} ORDER BY entity_type, entity_id`);
	return rows.map((row) => toDifference({ entityType: row.entity_type }, row));
}

/** Whether an entry's type is none of the sources'. */
export function isUnregistered(sources: readonly KvSource[]): Sql {
	const isEntry = sql`entity_type <> ${literal(markType)}`;
	if (sources.length === 0) return isEntry;
	const types = sources.map(({ entityType }) => sql`${entityType}`);
	return sql`${isEntry} AND entity_type NOT IN (${join(types)})`;
}

function toDifference(
	{ entityType }: { entityType: string },
	row: DifferenceRow,
): KvDifference {
	return {
		kind: row.kind,
		tenantId: row.tenant_id,
		entityType,
		entityId: row.entity_id,
		entityKey: row.entity_key,
		columns: row.columns,
	};
}
