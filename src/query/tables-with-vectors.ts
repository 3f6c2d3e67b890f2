import type { Handle } from "../db/database.ts";
import { statementName } from "../db/named-query.ts";
import { embeddingsRef } from "../db/tables.ts";
import { compile, join, raw, type Sql, sql } from "../sql.ts";
import { type VectorRange, vectorScope } from "./vector-scope.ts";

/** The searches whose tables have at least one vector of the scope: one statement for all of them. */
export async function tablesWithVectors<Search extends VectorRange>(
	db: Handle,
	searches: readonly Search[],
	{ named }: { readonly named: boolean },
): Promise<Search[]> {
	if (searches.length === 0) return [];
	const { text, values } = compile(tablesWithVectorsSql(searches));
	const { rows } = await db.query<{ place: number }>(
		{ text, values },
		{
			idempotent: true,
			name: named ? statementName("tables", text) : undefined,
		},
	);
	const places = new Set(rows.map(({ place }) => place));
	return searches.filter((_, at) => places.has(at));
}

/** In the order of the scope's index: otherwise PostgreSQL may look for the first vector in the whole table. */
function tablesWithVectorsSql(searches: readonly VectorRange[]): Sql {
	const parts = searches.map(
		(range, at) =>
			sql`SELECT ${raw(String(at))} AS place WHERE EXISTS (SELECT FROM ${embeddingsRef(range.table)} AS e WHERE ${vectorScope(range)})`,
	);
	return join(parts, "\nUNION ALL\n");
}
