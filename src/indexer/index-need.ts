import type { Handle } from "../db/database.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
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

/** A row for each entry of the index. */
function entriesOf(schema: string, index: DeclaredIndex): Sql {
	return (
		definitionOf(index).entries?.(schema, index) ??
		sql`FROM ${ident(schema, index.tableName)}`
	);
}
