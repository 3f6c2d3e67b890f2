import { RemError } from "../../errors.ts";
import { ident, join, literal, type Sql, sql, toText } from "../../sql.ts";
import type { Handle } from "../database.ts";
import { arrayLiteral } from "../encode.ts";
import { sendEach } from "../send-each.ts";

/** An index as the database has it. */
export interface StoredIndex {
	readonly name: string;
	readonly tableName: string;
	/** As in `pg_am.amname`: `btree`, `gin`, `hnsw` … */
	readonly accessMethod: string;
	/** Whether the planner uses it; false during its build, and after a build that failed. */
	readonly isValid: boolean;
	readonly isUnique: boolean;
	/** From `USING` on, as PostgreSQL writes it. */
	readonly definition: string;
	/** Which rows it contains, as PostgreSQL writes it; `null`: all of them. */
	readonly predicate: string | null;
	/** Whether it is on an expression, of which ANALYZE gathers statistics. */
	readonly hasExpressions: boolean;
	readonly sizeBytes: number;
	/** Whether this connection's role may drop it. */
	readonly isOwn: boolean;
}

/** Every index on the tables. Tables that do not exist have none. */
export async function readIndexes(
	db: Handle,
	schema: string,
	tableNames: readonly string[],
): Promise<StoredIndex[]> {
	const { rows } = await db.query<StoredIndex>(sql`
SELECT f."tableName", f.name, f."accessMethod", f."isValid", f."isUnique",
  ${behindName(sql`f.text`, sql`f.name`)} AS definition, f.predicate, f."hasExpressions", f."sizeBytes", f."isOwn"
FROM (
  SELECT t.relname AS "tableName", i.relname AS name, m.amname AS "accessMethod",
    ${isValid} AS "isValid", x.indisunique AS "isUnique", pg_get_indexdef(i.oid) AS text,
    pg_get_expr(x.indpred, x.indrelid) AS predicate, x.indexprs IS NOT NULL AS "hasExpressions",
    coalesce(pg_relation_size(i.oid), 0)::float8 AS "sizeBytes", pg_has_role(i.relowner, 'USAGE') AS "isOwn"
  FROM pg_index x
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_class t ON t.oid = x.indrelid
  JOIN pg_am m ON m.oid = i.relam
  WHERE t.relnamespace = to_regnamespace(${toText(ident(schema))})
    AND t.relname = ANY (${arrayLiteral([...new Set(tableNames)])}::text[])
  -- Each text is made once: it takes longer than all the rest.
  OFFSET 0
) AS f
-- An index that is dropped at the same time has no text.
WHERE f.text IS NOT NULL
ORDER BY f."tableName", f.name`);
	return rows.map((row) => ({ ...row, definition: fromUsing(row.definition) }));
}

const isValid = sql`(x.indisvalid AND x.indisready)`;

/** Whether queries can use the index of a name, which is a text. */
export function isUsableIndex(name: Sql): Sql {
	return sql`EXISTS (SELECT FROM pg_catalog.pg_index AS x WHERE x.indexrelid = to_regclass(${name}) AND ${isValid})`;
}

/** What follows `ON` in the text of an index: its name may contain any word. */
function behindName(text: Sql, name: Sql): Sql {
	return sql`substr(${text}, strpos(${text}, quote_ident(${name}) || ' ON ') + length(quote_ident(${name})) + 4)`;
}

function fromUsing(text: string): string {
	return text.slice(text.indexOf(" USING ") + 1);
}

/** Rows in each of the indexes that can be searched now, as PostgreSQL estimates them, by place in the list. */
export async function readIndexRows(
	db: Handle,
	schema: string,
	names: readonly string[],
): Promise<ReadonlyMap<number, number>> {
	const qualified = names.map((name) => toText(ident(schema, name)));
	const { rows } = await db.query<{ at: number; rows: number }>(
		sql`
SELECT n.at::integer - 1 AS at, greatest(i.reltuples, 0)::double precision AS rows
FROM unnest(${arrayLiteral(qualified)}::text[]) WITH ORDINALITY AS n (name, at)
JOIN pg_index AS x ON x.indexrelid = to_regclass(n.name) AND ${isValid}
JOIN pg_class AS i ON i.oid = x.indexrelid`,
		{ idempotent: true },
	);
	return new Map(rows.map(({ at, rows }) => [at, rows]));
}

/** Whether the index can be searched, as a condition; false during its build, and after a build that failed. */
export function isUsable(
	schema: string,
	{ name }: { readonly name: string },
): Sql {
	return sql`EXISTS (SELECT 1 FROM pg_index AS x WHERE x.indexrelid = to_regclass(${toText(ident(schema, name))}) AND ${isValid})`;
}

type IndexPresence = "missing" | "invalid" | "valid";

/** Whether an index of the name, with or without a schema, exists and can be used. */
export async function readIndexPresence(
	db: Handle,
	name: readonly string[],
): Promise<IndexPresence> {
	const { rows } = await db.query<{ valid: boolean }>(sql`
SELECT ${isValid} AS valid FROM pg_index AS x
WHERE x.indexrelid = to_regclass(${toText(ident(...name))})`);
	const [index] = rows;
	if (index === undefined) return "missing";
	return index.valid ? "valid" : "invalid";
}

/** Drops the index while others read and write; not inside a transaction. */
export async function dropIndex(
	session: Handle,
	...name: readonly string[]
): Promise<void> {
	await session.script(dropIndexText(toText(ident(...name))));
}

/** The same as text; the name is quoted already. */
export function dropIndexText(quotedName: string): string {
	return `DROP INDEX CONCURRENTLY IF EXISTS ${quotedName};`;
}

/** Drops what a failed build left: IF NOT EXISTS would take it for the index. */
export async function dropInvalidIndex(
	db: Handle,
	name: readonly string[],
): Promise<void> {
	if ((await readIndexPresence(db, name)) === "invalid")
		await dropIndex(db, ...name);
}

/**
 * The definitions in PostgreSQL's canonical form, in their order. Each is created
 * on an empty temporary copy of the table, because only PostgreSQL knows how it
 * writes an expression.
 */
export async function canonicalDefinitions(
	db: Handle,
	{
		schema,
		tableName,
	}: { readonly schema: string; readonly tableName: string },
	definitions: readonly string[],
): Promise<string[]> {
	return db.transaction(async (tx) => {
		const indexes = definitions
			.map(
				(text, at) =>
					`CREATE INDEX rem_canonical_${at} ON rem_canonical ${text};`,
			)
			.join("\n");
		await sendEach(
			tx,
			`CREATE TEMPORARY TABLE rem_canonical (LIKE ${toText(ident(schema, tableName))}) ON COMMIT DROP;\n${indexes}`,
		);
		const { rows } = await tx.query<{ name: string; definition: string }>(sql`
SELECT i.relname AS name, ${behindName(sql`pg_get_indexdef(i.oid)`, sql`i.relname`)} AS definition
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indrelid = 'pg_temp.rem_canonical'::regclass`);
		return definitions.map((_, at) => {
			const row = rows.find(({ name }) => name === `rem_canonical_${at}`);
			return fromUsing(row?.definition ?? "");
		});
	});
}

/** Drops the table's indexes whose names begin so, as DDL. */
export function dropIndexesNamed(
	schema: string,
	tableName: string,
	prefix: string,
): Sql {
	return sql`DO $do$
DECLARE
  rem_index REGCLASS;
BEGIN
  FOR rem_index IN
    SELECT x.indexrelid::regclass FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(${literal(toText(ident(schema, tableName)))}) AND starts_with(i.relname, ${literal(prefix)})
  LOOP
    EXECUTE format('DROP INDEX %s', rem_index);
  END LOOP;
END $do$;
`;
}

/** The columns of a table's index, in its order; none: there is no such index, or it is invalid. */
export async function readIndexColumns(
	db: Handle,
	table: string,
	index: string,
): Promise<string[]> {
	const { rows } = await db.query<{ columns: string[] }>(sql`
SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place) AS columns
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(${table}) AND c.relname = ${index} AND i.indisvalid`);
	return rows[0]?.columns ?? [];
}

/**
 * Sorts new entries of the tables' GIN indexes in, as VACUUM does. Until then they wait
 * in a list of up to 256 kB (4 MB of an index without `shortPendingList`) that each
 * search reads as a whole: among 1,400 names 1.2 ms of a hybrid search instead of 0.4.
 * Only an index's owner may do it; for others autovacuum does, and for indexes that
 * another session has locked.
 */
export async function emptyPendingLists(
	db: Handle,
	tables: readonly Sql[],
): Promise<void> {
	const oids = tables.map(
		(table) => sql`to_regclass(${literal(toText(table))})`,
	);
	try {
		await db.transaction(
			(tx) =>
				tx.query(sql`SELECT gin_clean_pending_list(c.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam
WHERE i.indrelid IN (${join(oids)}) AND a.amname = 'gin' AND c.relkind = 'i'
  AND i.indisvalid AND pg_has_role(c.relowner, 'USAGE')`),
			{ isLimited: true, settings: { lock_timeout: lockTimeout } },
		);
	} catch (error) {
		if (!(error instanceof RemError && error.sqlState === lockNotAvailable))
			throw error;
	}
}

/** The write whose entries they are waits for it. */
const lockTimeout = "100ms";
const lockNotAvailable = "55P03";
