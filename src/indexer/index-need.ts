import type { Handle } from "../db/database.ts";
import type { DeclaredIndex } from "../schema/declared-index.ts";
import { hnswCondition } from "../schema/hnsw.ts";
import { empty, ident, join, sql } from "../sql.ts";

/** Those that would have at least so many rows; counting stops there. */
export async function indexesThatPay(
	db: Handle,
	schema: string,
	indexes: readonly DeclaredIndex[],
	minRows: number,
): Promise<DeclaredIndex[]> {
	if (indexes.length === 0) return [];
	const counts = indexes.map(({ name, tableName, vectors }) => {
		const where =
			vectors === undefined
				? empty
				: sql` WHERE ${hnswCondition(vectors.field, vectors.space)}`;
		return sql`SELECT ${name}::text AS name
WHERE ${minRows} <= (SELECT count(*) FROM (SELECT FROM ${ident(schema, tableName)}${where} LIMIT ${minRows}) AS r)`;
	});
	const { rows } = await db.query<{ name: string }>(
		join(counts, "\nUNION ALL\n"),
	);
	const names = new Set(rows.map(({ name }) => name));
	return indexes.filter(({ name }) => names.has(name));
}
