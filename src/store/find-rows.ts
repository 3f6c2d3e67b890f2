import type { Handle } from "../db/database.ts";
import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import {
	type OrderBy,
	type OrderTerm,
	orderBySql,
	parseOrderBy,
	rangesAfter,
} from "../filters/order-by.ts";
import { whereSql } from "../filters/where.ts";
import type { EntityTable } from "../models/registry.ts";
import { toRow } from "../models/rows.ts";
import { empty, ident, join, raw, type Sql, sql } from "../sql.ts";

type Filter = Readonly<Record<string, unknown>>;
type Record_ = Record<string, unknown>;

export interface FindOptions {
	/** @default "id": the order of creation */
	readonly orderBy?: OrderBy | undefined;
	/** @default all */
	readonly limit?: number | undefined;
	/** @default 0 */
	readonly offset?: number | undefined;
	/** A condition on the table `r` besides the filter, beginning with AND. */
	readonly condition?: Sql | undefined;
}

/** Live rows that fulfil the filter; one that names `deletedAt` decides itself. */
export async function findRows(
	db: Handle,
	table: EntityTable,
	filter: Filter,
	options: FindOptions,
): Promise<Record_[]> {
	const { rows } = await db.query(findSql(table, filter, options), {
		idempotent: true,
	});
	return rows.map((record) => toRow(table.entity, record));
}

function findSql(
	table: EntityTable,
	filter: Filter,
	{ orderBy = "id", limit, offset, condition = empty }: FindOptions,
): Sql {
	checkCount("limit", limit);
	checkCount("offset", offset);
	const terms = orderTerms(table, filter, orderBy);
	return sql`SELECT ${columnsSql(table)}
FROM ${tableRef(table)} AS r
WHERE ${orderedWhere(table, filter, terms)}${condition}
ORDER BY ${tenantOrder(table, filter, terms)}${orderBySql(terms, "r")}${
		limit === undefined
			? empty
			: sql`
LIMIT ${limit}`
	}${
		offset === undefined
			? empty
			: sql`
OFFSET ${offset}`
	}`;
}

const pageSize = 500;

/**
 * The same rows one by one, whatever their number: pages of 500, each beginning
 * behind the last row of the one before. No transaction is open in between, so
 * rows that change in between are read as they are when their page is.
 */
export async function* iterateRows(
	db: Handle,
	table: EntityTable,
	filter: Filter,
	orderBy: OrderBy = "id",
): AsyncGenerator<Record_> {
	let after: RowPosition | undefined;
	do {
		const page = await findPage(db, table, filter, {
			orderBy,
			after,
			limit: pageSize,
		});
		yield* page.rows;
		after = page.last;
	} while (after !== undefined);
}

/** A row's place in an order: its values of the order's terms, as PostgreSQL writes them. */
export type RowPosition = readonly (string | null)[];

export interface PageOptions {
	/** @default "id": the order of creation */
	readonly orderBy?: OrderBy | undefined;
	readonly limit: number;
	/** Only rows behind this place. */
	readonly after?: RowPosition | undefined;
	/** A condition on the table `r` besides the filter, beginning with AND. */
	readonly condition?: Sql | undefined;
}

export interface PageOfRows {
	readonly rows: Record_[];
	/** The place of the last row; `undefined`: there are no rows behind it. */
	readonly last: RowPosition | undefined;
}

/** A page of rows: from the beginning, or behind a row. */
export async function findPage(
	db: Handle,
	table: EntityTable,
	filter: Filter,
	{ orderBy = "id", limit, after, condition = empty }: PageOptions,
): Promise<PageOfRows> {
	const terms = orderTerms(table, filter, orderBy);
	const { rows } = await db.query<Record_>(
		pageSql(table, filter, terms, { after, limit, condition }),
		{ idempotent: true },
	);
	const last = rows.length < limit ? undefined : rows.at(-1);
	return {
		rows: rows.map((record) => toRow(table.entity, record)),
		last:
			last &&
			terms.map((_, index) => last[cursorColumn(index)] as string | null),
	};
}

/** How many values a place in the order has. */
export function positionLength(
	table: EntityTable,
	filter: Filter,
	orderBy: OrderBy = "id",
): number {
	return orderTerms(table, filter, orderBy).length;
}

/**
 * A page from the beginning, or behind a row. Behind one it is made of ranges,
 * each read only if those before it do not fill the page.
 */
function pageSql(
	table: EntityTable,
	filter: Filter,
	terms: readonly OrderTerm[],
	{
		after,
		limit,
		condition: also,
	}: {
		readonly after: RowPosition | undefined;
		readonly limit: number;
		readonly condition: Sql;
	},
): Sql {
	const order = orderBySql(terms, "r");
	const cursor = terms.map(
		({ field }, index) =>
			sql`${ident("r", field.column)}::text AS ${ident(cursorColumn(index))}`,
	);
	const part = (
		condition: Sql,
	) => sql`SELECT ${columnsSql(table)}, ${join(cursor)}
FROM ${tableRef(table)} AS r
WHERE ${orderedWhere(table, filter, terms)}${also}${condition}
ORDER BY ${tenantOrder(table, filter, terms)}${order}
LIMIT ${limit}`;
	if (after === undefined) return part(empty);
	const ranges = rangesAfter(terms, after, "r");
	const [only] = ranges;
	if (ranges.length === 1) return part(sql` AND ${only as Sql}`);
	const name = (at: number) => raw(`rem_page_${at}`);
	const parts = ranges.map((range, at) => {
		const before = ranges
			.slice(0, at)
			.map((_, index) => sql`(SELECT count(*) FROM ${name(index)})`);
		const isOpen =
			at === 0 ? empty : sql` AND ${join(before, " + ")} < ${limit}`;
		return sql`${name(at)} AS MATERIALIZED (
${part(sql` AND ${range}${isOpen}`)}
)`;
	});
	const all = ranges.map((_, at) => sql`SELECT * FROM ${name(at)}`);
	return sql`WITH ${join(parts)}
SELECT * FROM (${join(all, " UNION ALL ")}) AS r
ORDER BY ${order}
LIMIT ${limit}`;
}

function cursorColumn(index: number): string {
	return `rem_cursor_${index}`;
}

export async function countRows(
	db: Handle,
	table: EntityTable,
	filter: Filter,
): Promise<number> {
	const { rows } = await db.query<{ count: number }>(
		sql`SELECT count(*) AS count FROM ${tableRef(table)} AS r WHERE ${liveWhere(table, filter)}`,
		{ idempotent: true },
	);
	return rows[0]?.count ?? 0;
}

function columnsSql({ entity }: EntityTable): Sql {
	return join(
		[...entity.fieldsByName.values()].map(({ column }) => ident("r", column)),
	);
}

/** Without what is the same for all rows: `deletedAt` of live ones, and the tenant of a tenant's. */
function orderTerms(
	{ entity }: EntityTable,
	filter: Filter,
	orderBy: OrderBy,
): OrderTerm[] {
	const terms = parseOrderBy(entity, orderBy);
	const isConstant = ({ field: { name } }: OrderTerm) =>
		(name === "deletedAt" && !Object.hasOwn(filter, "deletedAt")) ||
		(name === "tenantId" && typeof filter.tenantId === "string");
	return terms.filter((term) => !isConstant(term));
}

/**
 * A tenant's rows by id are the beginning, or the end, of an index on both. With
 * `tenant_id = …` PostgreSQL may follow the primary key instead, through the rows
 * of the tenants that wrote before or after: 724 pages for ten rows. As a list of
 * one, and an order that begins with the tenant, only that index has the order.
 */
function byTenantAndId(
	{ entity }: EntityTable,
	filter: Filter,
	[first]: readonly OrderTerm[],
): string | undefined {
	const { tenantId } = filter;
	return entity.tenantScoped &&
		first?.field.name === "id" &&
		typeof tenantId === "string"
		? tenantId
		: undefined;
}

function orderedWhere(
	table: EntityTable,
	filter: Filter,
	terms: readonly OrderTerm[],
): Sql {
	const tenant = byTenantAndId(table, filter, terms);
	return liveWhere(
		table,
		tenant === undefined ? filter : { ...filter, tenantId: { in: [tenant] } },
	);
}

function tenantOrder(
	table: EntityTable,
	filter: Filter,
	terms: readonly OrderTerm[],
): Sql {
	if (byTenantAndId(table, filter, terms) === undefined) return empty;
	return raw(terms[0]?.descending ? "r.tenant_id DESC, " : "r.tenant_id, ");
}

function liveWhere(table: EntityTable, filter: Filter): Sql {
	const where = whereSql(table, filter, "r");
	return Object.hasOwn(filter, "deletedAt")
		? where
		: sql`${where} AND r.deleted_at IS NULL`;
}

function checkCount(name: string, value: number | undefined): void {
	if (value === undefined || (Number.isSafeInteger(value) && value >= 0))
		return;
	throw new RemError(
		"INPUT_LIMIT",
		`${name} is ${value}, expected a whole number from 0`,
	);
}
