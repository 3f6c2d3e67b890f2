import type { Handle } from "../db/database.ts";
import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import { writeJson } from "../models/json-text.ts";
import type { EntityTable } from "../models/registry.ts";
import type { Edge } from "../models/types.ts";
import { empty, ident, type Sql, sql } from "../sql.ts";
import { changeRetries } from "./change-rows.ts";

/** A live row of the tenant, by its id. */
export interface RowOfTenant {
	readonly table: EntityTable;
	readonly id: string;
	readonly tenantId: string;
}

/** Which edges to take away. */
export interface EdgeSelection {
	/** Compared as a normalised key. */
	readonly dst: string;
	/** @default every type */
	readonly relType?: string | undefined;
}

/**
 * Adds edges to a row's, or puts them in the place of those with the same `dst`
 * and `rel_type`, in one statement: two writers at once both get theirs.
 * Returns how many more there are.
 */
export async function linkEdges(
	db: Handle,
	row: RowOfTenant,
	edges: readonly Edge[],
): Promise<number> {
	const { rows } = await db.query<{ added: number }>(linkSql(row, edges), {
		isLimited: true,
		retries: changeRetries,
	});
	const [changed] = rows;
	if (changed !== undefined) return changed.added;
	throw new RemError(
		"VALIDATION",
		`the entity of "${row.table.entity.tableName}" was deleted while its edges were being written`,
		{
			hint: "nothing was written; write the entity again first, or restore it",
		},
	);
}

function linkSql(row: RowOfTenant, edges: readonly Edge[]): Sql {
	const merge = ident(row.table.schema, "rem_merge_edges");
	return sql`UPDATE ${tableRef(row.table)} AS t SET graph_edges = ${merge}(t.graph_edges, ${writeJson(edges)}::jsonb), updated_at = now()
WHERE ${isRow(row)}
RETURNING jsonb_array_length(new.graph_edges) - jsonb_array_length(old.graph_edges) AS added`;
}

/** Takes edges away, and returns how many. */
export async function unlinkEdges(
	db: Handle,
	row: RowOfTenant,
	selection: EdgeSelection,
): Promise<number> {
	const { rows } = await db.query<{ removed: number }>(
		unlinkSql(row, selection),
		{ retries: changeRetries },
	);
	return rows[0]?.removed ?? 0;
}

function unlinkSql(row: RowOfTenant, { dst, relType }: EdgeSelection): Sql {
	const norm = ident(row.table.schema, "rem_normalize_key");
	const ofType =
		relType === undefined
			? empty
			: sql` AND e.edge ->> 'rel_type' = ${relType}`;
	const isSelected = sql`coalesce(${norm}(e.edge ->> 'dst') = ${norm}(${dst})${ofType}, FALSE)`;
	return sql`UPDATE ${tableRef(row.table)} AS t SET graph_edges = (
  SELECT coalesce(jsonb_agg(e.edge ORDER BY e.place), '[]')
  FROM jsonb_array_elements(t.graph_edges) WITH ORDINALITY AS e (edge, place) WHERE NOT ${isSelected}
), updated_at = now()
WHERE ${isRow(row)}
  AND EXISTS (SELECT FROM jsonb_array_elements(t.graph_edges) AS e (edge) WHERE ${isSelected})
RETURNING jsonb_array_length(old.graph_edges) - jsonb_array_length(new.graph_edges) AS removed`;
}

function isRow({ table, id, tenantId }: RowOfTenant): Sql {
	const ofTenant = table.entity.tenantScoped
		? sql` AND t.tenant_id = ${tenantId}`
		: empty;
	return sql`t.id = ${id}::uuid${ofTenant} AND t.deleted_at IS NULL`;
}
