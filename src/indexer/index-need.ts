import type { Handle } from "../db/database.ts";
import type { DeclaredIndex } from "../schema/declared-index.ts";
import { hnswCondition } from "../schema/hnsw.ts";
import { ident, join, type Sql, sql } from "../sql.ts";

/** Those that would have at least so many rows; counting stops there. */
export async function indexesThatPay(
	db: Handle,
	schema: string,
	indexes: readonly DeclaredIndex[],
	minRows: number,
): Promise<DeclaredIndex[]> {
	if (indexes.length === 0) return [];
	const counts = indexes.map(
		(index) => sql`SELECT ${index.name}::text AS name
WHERE ${minRows} <= (SELECT count(*) FROM (SELECT ${entriesOf(schema, index)} LIMIT ${minRows}) AS r)`,
	);
	const { rows } = await db.query<{ name: string }>(
		join(counts, "\nUNION ALL\n"),
	);
	const names = new Set(rows.map(({ name }) => name));
	return indexes.filter(({ name }) => names.has(name));
}

/** A row for each entry of the index; of a JSON column's elements at least one for each row, so that counting ends soon. */
function entriesOf(
	schema: string,
	{ tableName, vectors, elementsOf }: DeclaredIndex,
): Sql {
	const table = ident(schema, tableName);
	if (vectors !== undefined)
		return sql`FROM ${table} WHERE ${hnswCondition(vectors.field, vectors.space)}`;
	if (elementsOf === undefined) return sql`FROM ${table}`;
	const column = ident("t", elementsOf);
	return sql`FROM ${table} AS t LEFT JOIN LATERAL jsonb_array_elements(
  CASE jsonb_typeof(${column}) WHEN 'array' THEN ${column} ELSE '[]' END) ON TRUE`;
}
