import type { Handle } from "../db/database.ts";
import { statementName } from "../db/named-query.ts";
import { embeddingsRef, wordsRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import { compile, join, literal, raw, type Sql, sql } from "../sql.ts";
import { type VectorRange, vectorScope } from "./vector-scope.ts";

/** What a table is searched by: its vectors and all else, or all else alone. */
export type SearchedBy = "vectors" | "texts";

interface SearchedRange extends VectorRange {
	/** What the search can find a row of the table by. */
	readonly by: readonly SearchedBy[];
}

/**
 * The first of what each table can be searched by that the scope has there: at
 * least one vector, or one row with words. `undefined`: it has neither. One
 * statement for all tables.
 */
export async function searchedTables(
	db: Handle,
	ranges: readonly SearchedRange[],
	{ named }: { readonly named: boolean },
): Promise<readonly (SearchedBy | undefined)[]> {
	const { text, values } = compile(searchedTablesSql(ranges));
	const { rows } = await db.query<{ place: number; by: SearchedBy | null }>(
		{ text, values },
		{
			idempotent: true,
			name: named ? statementName("tables", text) : undefined,
		},
	);
	const found = new Map(rows.map(({ place, by }) => [place, by ?? undefined]));
	return ranges.map((_, at) => found.get(at));
}

function searchedTablesSql(ranges: readonly SearchedRange[]): Sql {
	const parts = ranges.map((range, at) => {
		const cases = range.by.map(
			(by) =>
				sql`WHEN EXISTS (${by === "vectors" ? vectorsOf(range) : wordsOf(range)}) THEN ${literal(by)}`,
		);
		return sql`SELECT ${raw(String(at))} AS place, CASE ${join(cases, " ")} END AS by`;
	});
	return join(parts, "\nUNION ALL\n");
}

function vectorsOf(range: VectorRange): Sql {
	return sql`SELECT FROM ${embeddingsRef(range.table)} AS e WHERE ${vectorScope(range)}`;
}

/**
 * Every row has an entry there, also one without a word. Rows of all users
 * of the tenant count: the index does not have the user, and a search that finds
 * none of the user's costs less than to look for one here. The order lets the index answer.
 */
function wordsOf({ table, tenantId }: VectorRange): Sql {
	const tenant = table.entity.tenantScoped ? tenantId : sharedTenant;
	return sql`SELECT FROM ${wordsRef(table)} AS e WHERE e.tenant_id = ${tenant} ORDER BY e.entity_id LIMIT 1`;
}
