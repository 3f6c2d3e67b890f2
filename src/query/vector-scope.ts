import { arrayLiteral } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import { whereSql } from "../filters/where.ts";
import { sharedTenant } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { empty, raw, type Sql, sql } from "../sql.ts";
import { type ReadScope, userCondition } from "./scope.ts";

/** Vectors of some fields: those of a search, or the part of them that is a range of the scope's index. */
export interface VectorRange extends ReadScope {
	readonly table: EntityTable;
	readonly space: VectorSpace;
	readonly fields: readonly string[];
	/** Without shared rows. */
	readonly onlyUserId?: string;
}

/** Rows of a scope, and the filter that they fulfil. */
interface FilteredRows extends ReadScope {
	readonly table: EntityTable;
	readonly where: Readonly<Record<string, unknown>> | undefined;
}

/** The vectors `e` of the fields in the scope and space, as a range of the scope's index. */
export function vectorScope(range: VectorRange): Sql {
	const user =
		range.onlyUserId === undefined
			? userCondition("e", range)
			: sql` AND e.user_id = ${range.onlyUserId}`;
	return sql`e.tenant_id = ${tenantOf(range)} AND ${inSpace(range)}${user}`;
}

/**
 * The same vectors, for a look-up by their entities: not by the scope's index,
 * which PostgreSQL takes for short as long as its statistics do not know the tenant.
 */
export function vectorsByEntity(range: VectorRange): Sql {
	return sql`${tenantWithoutIndex(range)} AND ${inSpace(range)}${userCondition("e", range)}`;
}

function inSpace({ fields, space }: VectorRange): Sql {
	const { provider, model, dimensions } = space;
	return sql`${ofFields(fields)}
      AND e.provider = ${provider} AND e.model = ${model} AND e.dimensions = ${dimensions}`;
}

function ofFields(fields: readonly string[]): Sql {
	const [field, ...more] = fields;
	return field !== undefined && more.length === 0
		? sql`e.field_name = ${field}`
		: sql`e.field_name = ANY (${arrayLiteral(fields)}::text[])`;
}

interface TableScope extends ReadScope {
	readonly table: EntityTable;
}

/** The same tenant, written so that no index on it can be used: only the graph's order is left. */
export function tenantWithoutIndex(scope: TableScope): Sql {
	return sql`e.tenant_id IS NOT DISTINCT FROM ${tenantOf(scope)}`;
}

function tenantOf({ table, tenantId }: TableScope): string {
	return table.entity.tenantScoped ? tenantId : sharedTenant;
}

/** Live rows `r` of the scope that fulfil the filter. */
export function eligibleRows(rows: FilteredRows): Sql {
	const tenant = rows.table.entity.tenantScoped
		? sql`r.tenant_id = ${rows.tenantId} AND `
		: empty;
	return sql`${tenant}r.deleted_at IS NULL${userCondition("r", rows)}${andWhere(rows)}`;
}

/** Vectors `e` of rows that fulfil the filter, vector by vector: as a join, PostgreSQL might give up the graph's order for it. */
export function ofFilteredRowsInOrder({ table, where }: FilteredRows): Sql {
	if (where === undefined) return empty;
	return sql`
      AND (SELECT TRUE FROM ${tableRef(table)} AS r WHERE r.id = e.entity_id${andWhere({ table: { ...table, hasRowSecurity: false }, where })})`;
}

function andWhere({
	table,
	where,
}: Pick<FilteredRows, "table" | "where">): Sql {
	return where === undefined ? empty : sql` AND ${whereSql(table, where, "r")}`;
}

/**
 * The row `r` itself once more: vectors of deleted rows are gone with them, and
 * of other tenants' not read. Written so that no index on the tenant is used:
 * before the first ANALYZE it was, and read the whole tenant for every hit.
 */
export function isVisible(scope: TableScope): Sql {
	const isOwn = scope.table.entity.tenantScoped
		? sql`r.tenant_id IS NOT DISTINCT FROM ${scope.tenantId} AND `
		: raw("");
	return sql`${isOwn}r.deleted_at IS NULL`;
}
