import { encodeArray } from "../../db/encode.ts";
import { sharedTenant } from "../../models/limits.ts";
import { indexName } from "../../models/names.ts";
import type { Edge } from "../../models/types.ts";
import {
	empty,
	ident,
	join,
	literal,
	raw,
	type Sql,
	sql,
	toText,
} from "../../sql.ts";
import type { Entries, EntryRow } from "../cached-read.ts";
import { type ReadScope, tenantCondition, userCondition } from "../scope.ts";
import type { GraphNode } from "./traversal.ts";

/** Where names are looked up, and for whom. */
export interface NameContext {
	readonly schema: string;
	readonly scope: ReadScope;
}

/** What every step of a traversal goes by. */
export interface GraphContext extends NameContext {
	readonly edgeTypes: readonly string[] | undefined;
}

/** What a page of a step's edges goes by. */
export interface PageContext extends GraphContext {
	readonly limit: number;
	readonly offset: number;
}

/** A step of a traversal: an edge of a frontier's node, and where it leads. */
export interface StepRow extends Partial<EntryRow> {
	/** Place of the node in the frontier. */
	readonly rem_ord: number;
	readonly edge: Edge;
	/** How many entities the edge's target names; 0: it is dangling. */
	readonly matches: number;
}

const nodeColumns = raw(
	"n.entity_key, n.entity_type, n.entity_id, n.user_id, n.metadata, n.content_summary",
);

/** Rows with edges, and with row level security the function that finds them by their targets. */
export interface EdgeSource {
	readonly entityType: string;
	readonly view: Sql;
	readonly finder?: Sql | undefined;
}

/** The entity that a text names. */
export function startSql(
	entries: Entries,
	text: string,
	context: NameContext,
): Sql {
	const named = namedEntries(entries, context);
	return sql`WITH q AS MATERIALIZED (
  SELECT 1 AS no, t.dst, ${formsOf("t.dst", context)} FROM (SELECT ${text}::text AS dst) AS t
)${named.cte}
SELECT ${nodeColumns}, n.matches::integer AS matches
FROM (${matchesSql(named, context, raw("q.no"))}) AS n
WHERE n.place = 1 AND n.matches > 0`;
}

/** What is read of the entities that texts name. */
export interface NamedOptions {
	/** Of each text so many entities, in the order in which LOOKUP gives them. */
	readonly perText: number;
	/** A column that is read of each entry `k`. */
	readonly record: Sql;
}

/** The entities that texts name, by id, by key in any spelling or as `table/key`. */
export function namedSql(
	entries: Entries,
	texts: readonly string[],
	{ perText, record, ...context }: NameContext & NamedOptions,
): Sql {
	const named = namedEntries(entries, context);
	return sql`WITH q AS MATERIALIZED (
  SELECT t.no, t.dst, ${formsOf("t.dst", context)}
  FROM unnest(${encodeArray("text", texts)}::text[]) WITH ORDINALITY AS t (dst, no)
)${named.cte}
SELECT k.no::integer AS rem_ord, k.entity_key, k.entity_type, k.entity_id, k.user_id, k.metadata, k.content_summary, ${record} AS rem_record
FROM (${matchesSql(named, context, raw("q.no"))}) AS k
WHERE k.place <= ${raw(String(perText))} AND k.matches > 0
ORDER BY k.no, k.entity_type, k.entity_id`;
}

/**
 * Where the edges of the frontier lead: each target once, by its first edge, in
 * the order of the edges. What a target is compared with is computed once for each,
 * and the entities of all targets are put in order together: docs/decisions/0089.
 */
export function outSql(
	entries: Entries,
	frontier: readonly GraphNode[],
	context: PageContext,
): Sql {
	const named = namedEntries(entries, context);
	return sql`WITH q AS MATERIALIZED (
  SELECT p.*, ${formsOf("p.dst", context)} FROM (
    SELECT * FROM (
      SELECT DISTINCT ON ((e.edge ->> 'dst') COLLATE "C") f.rem_ord::bigint << 32 | e.place AS no, f.rem_ord, e.edge, e.edge ->> 'dst' AS dst
      FROM ${edgesOf(entries, frontier, context)}
      ORDER BY (e.edge ->> 'dst') COLLATE "C", no
    ) AS d
    ORDER BY d.no
    LIMIT ${context.limit} OFFSET ${context.offset}
  ) AS p
  ORDER BY p.no
)${named.cte}
SELECT n.rem_ord, n.edge, ${nodeColumns}, n.matches::integer AS matches
FROM (${matchesSql(named, context, raw("q.no, q.rem_ord, q.edge"))}) AS n
WHERE n.place = 1
ORDER BY n.no`;
}

/**
 * Whose edges lead to the frontier: each entity once for each type of edge. The
 * candidates come from the entities' own tables, which have an index for it; an
 * edge counts only if its text names the very node, and not a better match.
 *
 * Of a dense graph there are many more edges than names in them: names are
 * normalised and resolved once each, and what is sorted of an edge is a number.
 * With both for each edge, 75,000 edges took 5.8 seconds instead of 0.3. Which
 * names there are takes a pass over all edges (11 ms for 22,500); a few of them
 * are then found by a path, at a tenth of what it takes to look into each edge.
 */
export function inSql(
	entries: Entries & { readonly sources: readonly EdgeSource[] },
	frontier: readonly GraphNode[],
	context: PageContext,
): Sql {
	const named = namedEntries(entries, context);
	const norm = ident(context.schema, "rem_normalize_key");
	const candidates = entries.sources.flatMap((source) =>
		[sql`${context.scope.tenantId}`, literal(sharedTenant)].flatMap((tenant) =>
			candidatesSql(source, tenant, context),
		),
	);
	return sql`WITH frontier AS MATERIALIZED (SELECT f.* FROM ${frontierSql(frontier)}),
names AS MATERIALIZED (
  SELECT array_agg(v.name) AS names
  FROM frontier AS f,
  LATERAL (VALUES (${norm}(f.entity_key)), (${norm}(f.entity_type || '/' || f.entity_key)), (f.entity_id::text)) AS v (name)
),
pointing AS MATERIALIZED (
  SELECT row_number() OVER () AS no, k.* FROM (
    ${join(candidates, "\n    UNION ALL\n    ")}
  ) AS k
),
q AS MATERIALIZED (
  SELECT row_number() OVER () AS no, d.dst, ${formsOf("d.dst", context)} FROM (
    SELECT DISTINCT e.edge ->> 'dst' AS dst FROM (SELECT jsonb_array_elements(${edgesIn("k.graph_edges")}) AS edge FROM pointing AS k OFFSET 0) AS e OFFSET 0
  ) AS d
  WHERE ${norm}(d.dst) IN (SELECT unnest(n.names) FROM names AS n)
)${named.cte},
targets AS MATERIALIZED (
  SELECT t.dst, f.rem_ord, t.matches
  FROM (${matchesSql(named, context, raw("q.no, q.dst"))}) AS t, frontier AS f
  WHERE t.place = 1 AND f.entity_type = t.entity_type AND f.entity_id = t.entity_id
),
sought AS MATERIALIZED (
  SELECT count(*) <= ${raw(String(maxSought))} AND bool_and(NOT pg_input_is_valid(t.dst, 'jsonb')) AS are_few, jsonb_build_object('dst', jsonb_agg(t.dst)) AS targets FROM targets AS t
),
inbound AS MATERIALIZED (
  SELECT k.no, ${entityColumns("k")}, CASE WHEN s.are_few THEN jsonb_path_query_array(${edgesIn("k.graph_edges")}, ${literal(leadsToSought)}, s.targets)
    ELSE ${edgesIn("k.graph_edges")} END AS edges
  FROM pointing AS k, sought AS s
),
firsts AS (
  SELECT e.no, min(t.rem_ord::bigint << 32 | e.place) AS first
  FROM (
    SELECT k.no, jsonb_array_elements(k.edges) AS edge, generate_series(1, jsonb_array_length(k.edges)) AS place FROM inbound AS k OFFSET 0
  ) AS e JOIN targets AS t ON t.dst = e.edge ->> 'dst'
  WHERE ${isFollowed(context)}
  GROUP BY e.no, (e.edge ->> 'rel_type') COLLATE "C"
)
SELECT n.rem_ord, n.edge, ${nodeColumns}, t.matches::integer AS matches
FROM (
  SELECT k.*, (d.first >> 32)::integer AS rem_ord, k.edges -> ((d.first & 4294967295) - 1)::integer AS edge
  FROM firsts AS d JOIN inbound AS k ON k.no = d.no
  ORDER BY d.first >> 32, k.entity_type, k.entity_id, d.first
  LIMIT ${context.limit} OFFSET ${context.offset}
) AS n
JOIN targets AS t ON t.dst = n.edge ->> 'dst'
ORDER BY n.rem_ord, n.entity_type, n.entity_id, n.edge ->> 'rel_type'`;
}

/**
 * Rows of which an edge may lead to one of the names, by the index. While that
 * is not built, all rows with edges are candidates: to normalise the names in
 * each of them would cost more than the rest.
 */
function candidatesSql(
	{ entityType, view, finder }: EdgeSource,
	tenant: Sql,
	{ schema, scope }: GraphContext,
): Sql[] {
	// Not all columns: the normalised key would be computed for each row, which took a third of the time.
	const select = sql`SELECT s.entity_key, s.entity_type, s.entity_id, s.user_id, s.metadata, s.content_summary, s.graph_edges
    FROM ${view} AS s WHERE s.tenant_id = ${tenant}${userCondition("s", scope)}`;
	const names = raw("(SELECT names FROM names)");
	const leads = sql` AND ${ident(schema, "rem_edge_keys")}(s.graph_edges) && ${names}`;
	if (finder !== undefined)
		return [sql`${select}${leads}${finderCondition(finder)}`];
	const index = indexName("gin", entityType, ["edge_keys"]);
	// Neither depends on a row: the branch that is not wanted is not begun.
	const isBuilt = sql`(SELECT ${ident(schema, "rem_is_usable")}(${toText(ident(schema, index))}))`;
	return [
		sql`${select} AND ${isBuilt}${leads}`,
		sql`${select} AND NOT ${isBuilt} AND s.graph_edges <> '[]'`,
	];
}

/** With row level security the index is reached through a function. */
function finderCondition(finder: Sql): Sql {
	return sql` AND s.entity_id IN (SELECT h.id FROM ${finder}('edge_keys', (SELECT to_jsonb(names) FROM names)) AS h (id))`;
}

/** How many edges the node has, by type. */
export function outCountSql(
	entries: Entries,
	node: GraphNode,
	context: GraphContext,
): Sql {
	return sql`SELECT e.edge ->> 'rel_type' AS rel_type, count(*)::integer AS count
FROM ${edgesOf(entries, [node], context)}
GROUP BY 1
ORDER BY 2 DESC, 1`;
}

/** The edges `e` of the frontier's nodes `f`, as a FROM with its WHERE. */
function edgesOf(
	{ from, isFallback }: Entries,
	frontier: readonly GraphNode[],
	context: GraphContext,
): Sql {
	const ids = frontier.map(({ entityId }) => entityId);
	// A join's condition reaches no index through the union of the tables.
	const byIndex = isFallback
		? sql` AND k.entity_id = ANY (${encodeArray("uuid", ids)}::uuid[])`
		: empty;
	return sql`${frontierSql(frontier)}
    JOIN ${from} AS k ON k.entity_type = f.entity_type AND k.entity_id = f.entity_id AND ${tenantCondition("k", context.scope)}${byIndex},
    ${edgesSql("k")}
    WHERE ${isFollowed(context)}`;
}

function frontierSql(frontier: readonly GraphNode[]): Sql {
	const ords = frontier.map((_, at) => at);
	const types = frontier.map(({ entityType }) => entityType);
	const ids = frontier.map(({ entityId }) => entityId);
	const keys = frontier.map(({ entityKey }) => entityKey);
	return sql`unnest(${encodeArray("integer", ords)}::integer[], ${encodeArray("text", types)}::text[],
      ${encodeArray("uuid", ids)}::uuid[], ${encodeArray("text", keys)}::text[]) AS f (rem_ord, entity_type, entity_id, entity_key)`;
}

/** The edges `e` of a row. */
function edgesSql(alias: string): Sql {
	return sql`jsonb_array_elements(${edgesIn(`${alias}.graph_edges`)}) WITH ORDINALITY AS e (edge, place)`;
}

/** The column's list, whatever another program may have stored in its place. */
function edgesIn(column: string): Sql {
	return raw(
		`CASE jsonb_typeof(${column}) WHEN 'array' THEN ${column} ELSE '[]' END`,
	);
}

/** More are compared with each edge by a join. */
const maxSought = 8;

/** Compares texts only: a target that is valid JSON may stand there as a number. */
const leadsToSought = "strict $[*] ? (@.dst == $dst[*])";

function isFollowed(context: GraphContext): Sql {
	const type = raw("e.edge ->> 'rel_type'");
	return sql`e.edge ->> 'dst' <> '' AND ${type} IS NOT NULL${ofTypes(type, context)}`;
}

function ofTypes(type: Sql, { edgeTypes }: GraphContext): Sql {
	return edgeTypes === undefined
		? empty
		: sql` AND ${type} = ANY (${encodeArray("text", edgeTypes)}::text[])`;
}

/** The entries that the texts of `q` can name. */
interface NamedEntries {
	/** What is read before `q` is compared with them. */
	readonly cte: Sql;
	readonly from: Sql;
	/** The condition on the tenant of an entry `k`. */
	readonly isVisible: Sql;
}

/**
 * From the cache each text is looked up by the index, twice where there are
 * entries that every tenant sees: whether there are any is asked once. In place of
 * the cache the entries are gathered first: one by one, each would be a scan of all
 * tables (500 ms).
 */
function namedEntries(
	{ from, isFallback }: Entries,
	{ scope }: NameContext,
): NamedEntries {
	const own = tenantCondition("k", scope);
	const users = userCondition("k", scope);
	if (!isFallback)
		return {
			cte: sql`,
tenants AS MATERIALIZED (
  SELECT CASE WHEN (SELECT k.tenant_id FROM ${from} AS k WHERE k.tenant_id = ${literal(sharedTenant)}
    ORDER BY k.normalized_key LIMIT 1) IS NOT NULL THEN ARRAY[${scope.tenantId}, ${literal(sharedTenant)}]
    ELSE ARRAY[${scope.tenantId}] END AS ids
)`,
			from,
			isVisible: sql`k.tenant_id = ANY ((SELECT t.ids FROM tenants AS t)::text[])${users}`,
		};
	const entries = (condition: Sql) =>
		sql`SELECT k.* FROM ${from} AS k WHERE ${own} AND ${condition}`;
	return {
		cte: sql`,
named AS MATERIALIZED (
  ${entries(sql`k.normalized_key = ANY (ARRAY(SELECT q.name FROM q UNION SELECT q.table_key FROM q))`)}
  UNION
  ${entries(sql`k.entity_id = ANY (ARRAY(SELECT q.id FROM q))`)}
)`,
		from: raw("named"),
		isVisible: sql`${own}${users}`,
	};
}

/**
 * Each text of `q` with the entities that it names, by id, by key in any spelling
 * or as `table/key`: the place of each in the order in which LOOKUP would give
 * them, and how many there are. A text that names none comes once, with 0 matches.
 *
 * The subquery reads the index for each text, however many rows the planner takes
 * the tenant to have: a join may read all of them. The texts are in the order of
 * `no`, so that the few entities of each are sorted as they come.
 */
function matchesSql(
	{ from, isVisible }: NamedEntries,
	{ scope }: NameContext,
	columns: Sql,
): Sql {
	const match = (rank: number, condition: Sql) =>
		sql`SELECT ${raw(String(rank))} AS rank, ${entityColumns("k")}, k.tenant_id, k.created_at FROM ${from} AS k WHERE ${isVisible} AND ${condition}`;
	const own =
		typeof scope.userId === "string"
			? sql`m.user_id IS NOT DISTINCT FROM ${scope.userId} DESC, `
			: empty;
	return sql`
  SELECT ${columns}, ${entityColumns("m")}, m.tenant_id, row_number() OVER named AS place, count(m.entity_id) OVER named AS matches
  FROM q
  LEFT JOIN LATERAL (
    ${match(0, sql`q.id IS NOT NULL AND k.entity_id = q.id`)}
    UNION ALL
    ${match(1, sql`k.normalized_key = q.name AND k.entity_id IS DISTINCT FROM q.id`)}
    UNION ALL
    ${match(2, sql`q.table_name IS NOT NULL AND k.entity_type = q.table_name AND k.normalized_key = q.table_key`)}
  ) AS m ON TRUE
  WINDOW named AS (
    PARTITION BY q.no
    ORDER BY m.rank, m.entity_key = q.dst DESC, ${own}m.user_id IS NULL DESC, m.created_at DESC, m.entity_type, m.entity_id
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
  )`;
}

/** What a text is compared with: as an id, as a key, and as `table/key`. */
function formsOf(column: string, { schema }: NameContext): Sql {
	const text = raw(column);
	// Another program may have written keys and edges of dashes alone: the empty form names nothing.
	const normalized = (key: Sql) =>
		sql`nullif(${ident(schema, "rem_normalize_key")}(${key}), '')`;
	return sql`CASE WHEN ${isUuid(text)} THEN ${text}::uuid END AS id, ${normalized(text)} AS name,
    CASE WHEN ${text} LIKE '%/%' THEN split_part(${text}, '/', 1) END AS table_name, CASE WHEN ${text} LIKE '%/%' THEN ${normalized(afterSlash(text))} END AS table_key`;
}

function entityColumns(alias: string): Sql {
	return join(
		[
			"entity_key",
			"entity_type",
			"entity_id",
			"user_id",
			"metadata",
			"content_summary",
		].map((column) => ident(alias, column)),
	);
}

function afterSlash(text: Sql): Sql {
	return sql`substr(${text}, strpos(${text}, '/') + 1)`;
}

function isUuid(text: Sql): Sql {
	return sql`length(${text}) = 36 AND ${text} ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'`;
}
