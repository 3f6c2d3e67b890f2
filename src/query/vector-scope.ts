import { arrayLiteral } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import { whereSql } from "../filters/where.ts";
import { sharedTenant } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { empty, raw, type Sql, sql } from "../sql.ts";
import { type ReadScope, userCondition } from "./scope.ts";

type Where = Readonly<Record<string, unknown>> | undefined;

/** A scope, or the part of one that is a range of the scope's index. */
export interface UserRange extends ReadScope {
	/** Without shared rows. */
	readonly onlyUserId?: string;
}

/** The vectors `e` of the fields in the scope and space, as a range of the scope's index. */
export function vectorScope(
	table: EntityTable,
	{ provider, model, dimensions }: VectorSpace,
	scope: UserRange,
	fields: readonly string[],
): Sql {
	const user =
		scope.onlyUserId === undefined
			? userCondition("e", scope)
			: sql` AND e.user_id = ${scope.onlyUserId}`;
	return sql`e.tenant_id = ${tenantOf(table, scope)} AND ${ofFields(fields)}
      AND e.provider = ${provider} AND e.model = ${model} AND e.dimensions = ${dimensions}${user}`;
}

/**
 * The same vectors, for a look-up by their entities: not by the scope's index,
 * which PostgreSQL takes for short as long as its statistics do not know the tenant.
 */
export function vectorsByEntity(
	table: EntityTable,
	{ provider, model, dimensions }: VectorSpace,
	scope: ReadScope,
	fields: readonly string[],
): Sql {
	return sql`${tenantWithoutIndex(table, scope)} AND ${ofFields(fields)}
      AND e.provider = ${provider} AND e.model = ${model} AND e.dimensions = ${dimensions}${userCondition("e", scope)}`;
}

function ofFields(fields: readonly string[]): Sql {
	const [field, ...more] = fields;
	return field !== undefined && more.length === 0
		? sql`e.field_name = ${field}`
		: sql`e.field_name = ANY (${arrayLiteral(fields)}::text[])`;
}

/** The same tenant, said so that no index on it can be used: only the graph's order is left. */
export function tenantWithoutIndex(table: EntityTable, scope: ReadScope): Sql {
	return sql`e.tenant_id IS NOT DISTINCT FROM ${tenantOf(table, scope)}`;
}

function tenantOf({ entity }: EntityTable, { tenantId }: ReadScope): string {
	return entity.tenantScoped ? tenantId : sharedTenant;
}

/** Live rows `r` of the scope that fulfil the filter. */
export function eligibleRows(
	table: EntityTable,
	scope: ReadScope & { readonly where?: Where },
): Sql {
	const tenant = table.entity.tenantScoped
		? sql`r.tenant_id = ${scope.tenantId} AND `
		: empty;
	return sql`${tenant}r.deleted_at IS NULL${userCondition("r", scope)}${andWhere(table, scope.where)}`;
}

/** Vectors `e` of rows that fulfil the filter, vector by vector: as a join, PostgreSQL might give up the graph's order for it. */
export function ofFilteredRowsInOrder(table: EntityTable, where: Where): Sql {
	if (where === undefined) return empty;
	return sql`
      AND (SELECT TRUE FROM ${tableRef(table)} AS r WHERE r.id = e.entity_id${andWhere({ ...table, hasRowSecurity: false }, where)})`;
}

function andWhere(table: EntityTable, where: Where): Sql {
	return where === undefined ? empty : sql` AND ${whereSql(table, where, "r")}`;
}

/**
 * The row `r` itself once more: vectors of deleted rows are gone with them, and
 * of other tenants' not read. Written so that no index on the tenant is used:
 * before the first ANALYZE it was, and read the whole tenant for every hit.
 */
export function isVisible(table: EntityTable, scope: ReadScope): Sql {
	const isOwn = table.entity.tenantScoped
		? sql`r.tenant_id IS NOT DISTINCT FROM ${scope.tenantId} AND `
		: raw("");
	return sql`${isOwn}r.deleted_at IS NULL`;
}
