import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { join, type Sql, sql } from "../sql.ts";

/** Tables, size and node of a schema, from the catalogue. */
export interface SchemaPlace {
	readonly schema: string;
	/** Which of the given tables exist in it. */
	readonly tables: readonly string[];
	readonly unlogged: readonly string[];
	readonly bytes: number;
	/** `null` on a server without Citus. */
	readonly node: string | null;
}

/** Tables, sizes and nodes of those schemas that exist, ordered by name. */
export async function readPlaces(
	db: Handle,
	schemas: readonly string[],
	tableNames: readonly string[],
): Promise<SchemaPlace[]> {
	const { rows } = await db.query<SchemaPlace>(
		placesSql(schemas, tableNames, await hasCitus(db)),
		{ idempotent: true },
	);
	return rows;
}

/** Whether Citus places the schemas of this database. */
export async function hasCitus(db: Handle): Promise<boolean> {
	const { rows } = await db.query<{ citus: boolean }>(
		sql`SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS citus`,
		{ idempotent: true },
	);
	return rows[0]?.citus === true;
}

/** With Citus, the tables on the coordinator are empty: sizes are those of the shards. */
function placesSql(
	schemas: readonly string[],
	tableNames: readonly string[],
	isCitus: boolean,
): Sql {
	const names = sql`${arrayLiteral(tableNames)}::text[]`;
	const list = (condition: Sql) =>
		sql`coalesce(jsonb_agg(c.relname ORDER BY c.relname) FILTER (WHERE ${condition}), '[]')`;
	const bytes = isCitus
		? sql`(SELECT sum(s.shard_size) FROM citus_shards s JOIN pg_class t ON t.oid = s.table_name::oid WHERE t.relnamespace = n.oid)`
		: sql`sum(pg_total_relation_size(c.oid))`;
	const node = isCitus
		? sql`(SELECT min(s.nodename || ':' || s.nodeport) FROM citus_shards s JOIN pg_class t ON t.oid = s.table_name::oid WHERE t.relnamespace = n.oid)`
		: sql`NULL::text`;
	return sql`SELECT n.nspname::text AS schema,
  ${list(sql`c.relname = ANY (${names})`)} AS tables,
  ${list(sql`c.relpersistence = 'u'`)} AS unlogged,
  coalesce(${bytes}, 0)::double precision AS bytes, ${node} AS node
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
WHERE n.nspname = ANY (${arrayLiteral(schemas)}::text[])
GROUP BY n.oid, n.nspname ORDER BY n.nspname`;
}

interface Contents {
	/** Includes soft-deleted rows. */
	readonly rows: number;
	readonly tenants: number;
}

/** Counts the rows of the tables, each read once by its index on tenants. */
export async function countContents(
	db: Handle,
	tables: readonly EntityTable[],
): Promise<Contents> {
	if (tables.length === 0) return { rows: 0, tenants: 0 };
	const counts = tables.map((table) =>
		table.entity.tenantScoped
			? sql`SELECT tenant_id AS tenant, count(*) AS n FROM ${tableRef(table)} GROUP BY tenant_id`
			: sql`SELECT NULL::text AS tenant, count(*) AS n FROM ${tableRef(table)}`,
	);
	const { rows } = await db.query<Contents>(
		sql`SELECT coalesce(sum(t.n), 0)::double precision AS rows, count(DISTINCT t.tenant)::integer AS tenants
FROM (${join(counts, "\n  UNION ALL ")}) AS t`,
		{ idempotent: true },
	);
	return rows[0] ?? { rows: 0, tenants: 0 };
}

/** The nodes that Citus may place buckets on, as `host:port`. */
export async function readNodes(db: Handle): Promise<string[]> {
	const { rows } = await db.query<{ node: string }>(
		sql`SELECT nodename || ':' || nodeport AS node FROM pg_dist_node
WHERE noderole = 'primary' AND isactive AND shouldhaveshards ORDER BY 1`,
		{ idempotent: true },
	);
	return rows.map(({ node }) => node);
}

/** Returns when the schema is on the node and removed from the other. */
export async function moveSchema(
	db: Handle,
	schema: string,
	{ node, mode }: { readonly node: string; readonly mode: MoveMode },
): Promise<void> {
	const { host, port } = splitNode(node);
	await db.query(
		sql`SELECT citus_schema_move(to_regnamespace(quote_ident(${schema}::text))::regnamespace, ${host}::text, ${port}::integer, ${mode}::text::citus.shard_transfer_mode)`,
	);
}

/** A `citus.shard_transfer_mode`: `auto` replicates during writes, `block_writes` makes writes wait. */
export type MoveMode = "auto" | "block_writes";

const defaultPort = 5432;

/** Splits at the last colon: the host of `[::1]:5432` contains colons. */
export function splitNode(node: string): {
	readonly host: string;
	readonly port: number;
} {
	const [, host = node, port] = /^(.+?)(?::(\d+))?$/.exec(node) ?? [];
	return { host, port: port === undefined ? defaultPort : Number(port) };
}
