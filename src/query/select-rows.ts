import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import type { SqlFilter } from "../filters/sql-text/sql-filter.ts";
import type { EntityTable } from "../models/registry.ts";
import { toRow } from "../models/rows.ts";
import { compile, empty, ident, join, raw, type Sql, sql } from "../sql.ts";
import { checkScope, type ReadScope, userCondition } from "./scope.ts";

export interface SelectRequest extends ReadScope {
	readonly where?: SqlFilter | undefined;
	/** On the table `r`, with `id` last. @default the order of creation */
	readonly orderBy?: Sql | undefined;
	readonly limit: number;
	readonly offset: number;
}

/** Live rows of the scope that fulfil a condition written as SQL. */
export async function selectRows(
	db: Handle,
	table: EntityTable,
	request: SelectRequest,
): Promise<Record<string, unknown>[]> {
	checkScope(request);
	const { rows } = await db.query(selectSql(table, request), {
		idempotent: true,
	});
	return rows.map((record) => toRow(table.entity, record));
}

function selectSql(
	table: EntityTable,
	{ where, orderBy, limit, offset, ...scope }: SelectRequest,
): Sql {
	const { entity } = table;
	const columns = [...entity.fieldsByName.values()].map(({ column }) =>
		ident("r", column),
	);
	const order = orderBy ?? raw('"r"."id"');
	const byId = entity.tenantScoped ? firstById.exec(compile(order).text) : null;
	const own =
		byId === null
			? sql`r.tenant_id = ${scope.tenantId} AND `
			: sql`r.tenant_id = ANY (${arrayLiteral([scope.tenantId])}::text[]) AND `;
	const isOwn = entity.tenantScoped ? own : empty;
	const tenantFirst =
		byId === null ? "" : `r.tenant_id${byId.groups?.descending ?? ""}, `;
	const fulfils = where === undefined ? raw("") : sql` AND ${where.toSql("r")}`;
	return sql`SELECT ${join(columns)}
FROM ${tableRef(table)} AS r
WHERE ${isOwn}r.deleted_at IS NULL${userCondition("r", scope)}${fulfils}
ORDER BY ${raw(tenantFirst)}${order}
LIMIT ${limit} OFFSET ${offset}`;
}

/**
 * An order by id of one tenant's rows, which `findRows` writes in the same way:
 * with `tenant_id = …` PostgreSQL may follow the primary key, through the rows of
 * all tenants.
 */
const firstById =
	/^(?:"r"\."tenant_id"(?: DESC)?, )*"r"\."id"(?<descending> DESC)?(?:,|$)/;
