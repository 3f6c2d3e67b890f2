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

/** The rows of a table that fulfil a filter. */
export interface RowSet {
	readonly table: EntityTable;
	readonly filter: Filter;
}

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
	of: RowSet,
	options: FindOptions,
): Promise<Record_[]> {
	const { rows } = await db.query(findSql(of, options), { idempotent: true });
	return rows.map((record) => toRow(of.table.entity, record));
}

function findSql(
	of: RowSet,
	{ orderBy = "id", limit, offset, condition = empty }: FindOptions,
): Sql {
	checkCount("limit", limit);
	checkCount("offset", offset);
	const terms = orderTerms(of, orderBy);
	return sql`SELECT ${columnsSql(of)}
FROM ${tableRef(of.table)} AS r
WHERE ${orderedWhere(of, terms)}${condition}
ORDER BY ${tenantOrder(of, terms)}${orderBySql(terms, "r")}${limitSql(limit)}${
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
	of: RowSet,
	orderBy: OrderBy = "id",
): AsyncGenerator<Record_> {
	const terms = orderTerms(of, orderBy);
	let after: Position | undefined;
	for (;;) {
		const page = { terms, after, limit: pageSize };
		const { rows, last } = await readPage(db, of, page);
		yield* rows;
		if (last === undefined) return;
		after = last;
	}
}

/** The columns that rows are ordered by, of one of them, as PostgreSQL writes them. */
export type Position = readonly (string | null)[];

export interface Page {
	readonly terms: readonly OrderTerm[];
	/** The row that it begins behind. */
	readonly after?: Position | undefined;
	/** `undefined`: all of them, from the first. */
	readonly limit: number | undefined;
	/** A condition on the table `r` besides the filter, beginning with AND. */
	readonly condition?: Sql | undefined;
}

/** Rows of a page, and the place of its last one unless no more can follow. */
interface FoundPage {
	readonly rows: Record_[];
	readonly last: Position | undefined;
}

/** A page of rows in the order of the terms. */
export async function readPage(
	db: Handle,
	of: RowSet,
	page: Page & { readonly limit: number },
): Promise<FoundPage> {
	const placed = await readPlaced(db, of, page);
	return {
		rows: placed.map(({ row }) => row),
		last: placed.length < page.limit ? undefined : placed.at(-1)?.position,
	};
}

/** A row, and its place in an order. */
export interface PlacedRow {
	readonly row: Record_;
	readonly position: Position;
}

/** The rows of a page with their places. */
export async function readPlaced(
	db: Handle,
	of: RowSet,
	page: Page,
): Promise<PlacedRow[]> {
	const { rows } = await db.query<Record_>(pageSql(of, page), {
		idempotent: true,
	});
	return rows.map((record) => ({
		row: toRow(of.table.entity, record),
		position: page.terms.map(
			(_, index) => record[cursorColumn(index)] as string | null,
		),
	}));
}

/**
 * A page from the beginning, or behind a row. Behind one it is made of ranges,
 * each read only if those before it do not fill the page.
 */
function pageSql(
	of: RowSet,
	{ terms, after, limit, condition: also = empty }: Page,
): Sql {
	const order = orderBySql(terms, "r");
	const cursor = terms.map(
		({ field }, index) =>
			sql`${ident("r", field.column)}::text AS ${ident(cursorColumn(index))}`,
	);
	const part = (condition: Sql) => sql`SELECT ${columnsSql(of)}, ${join(cursor)}
FROM ${tableRef(of.table)} AS r
WHERE ${orderedWhere(of, terms)}${also}${condition}
ORDER BY ${tenantOrder(of, terms)}${order}${limitSql(limit)}`;
	if (after === undefined) return part(empty);
	const ranges = rangesAfter(terms, after, "r");
	const [only, ...more] = ranges;
	if (only !== undefined && more.length === 0) return part(sql` AND ${only}`);
	const name = (at: number) => raw(`rem_page_${at}`);
	const parts = ranges.map((range, at) => {
		const before = ranges
			.slice(0, at)
			.map((_, index) => sql`(SELECT count(*) FROM ${name(index)})`);
		const isOpen =
			at === 0 || limit === undefined
				? empty
				: sql` AND ${join(before, " + ")} < ${limit}`;
		return sql`${name(at)} AS MATERIALIZED (
${part(sql` AND ${range}${isOpen}`)}
)`;
	});
	const all = ranges.map((_, at) => sql`SELECT * FROM ${name(at)}`);
	return sql`WITH ${join(parts)}
SELECT * FROM (${join(all, " UNION ALL ")}) AS r
ORDER BY ${order}${limitSql(limit)}`;
}

function limitSql(limit: number | undefined): Sql {
	return limit === undefined
		? empty
		: sql`
LIMIT ${limit}`;
}

function cursorColumn(index: number): string {
	return `rem_cursor_${index}`;
}

export async function countRows(db: Handle, of: RowSet): Promise<number> {
	const { rows } = await db.query<{ count: number }>(
		sql`SELECT count(*) AS count FROM ${tableRef(of.table)} AS r WHERE ${liveWhere(of)}`,
		{ idempotent: true },
	);
	return rows[0]?.count ?? 0;
}

function columnsSql({ table }: RowSet): Sql {
	return join(
		[...table.entity.fieldsByName.values()].map(({ column }) =>
			ident("r", column),
		),
	);
}

/** Without what is the same for all rows: `deletedAt` of live ones, and the tenant of a tenant's. */
export function orderTerms(
	{ table, filter }: RowSet,
	orderBy: OrderBy,
): OrderTerm[] {
	const terms = parseOrderBy(table.entity, orderBy);
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
	{ table, filter: { tenantId } }: RowSet,
	[first]: readonly OrderTerm[],
): string | undefined {
	return table.entity.tenantScoped &&
		first?.field.name === "id" &&
		typeof tenantId === "string"
		? tenantId
		: undefined;
}

function orderedWhere(of: RowSet, terms: readonly OrderTerm[]): Sql {
	const { table, filter } = of;
	const tenant = byTenantAndId(of, terms);
	if (tenant === undefined) return liveWhere(of);
	return liveWhere({
		table,
		filter: { ...filter, tenantId: { in: [tenant] } },
	});
}

function tenantOrder(of: RowSet, terms: readonly OrderTerm[]): Sql {
	if (byTenantAndId(of, terms) === undefined) return empty;
	return raw(terms[0]?.descending ? "r.tenant_id DESC, " : "r.tenant_id, ");
}

function liveWhere({ table, filter }: RowSet): Sql {
	const where = whereSql(table, filter, "r");
	return Object.hasOwn(filter, "deletedAt")
		? where
		: sql`${where} AND r.deleted_at IS NULL`;
}

export function checkCount(name: string, value: number | undefined): void {
	if (value === undefined || (Number.isSafeInteger(value) && value >= 0))
		return;
	throw new RemError(
		"INPUT_LIMIT",
		`${name} is ${value}, expected a whole number from 0`,
	);
}
