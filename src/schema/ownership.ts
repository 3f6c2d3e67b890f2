import { literal, type Sql, sql } from "../sql.ts";

/** The mark by which a table is known to be ours, and not a namesake. */
export const ownershipMark = "remdb";

/** Marks one of our internal tables. */
export function ours(table: Sql): Sql {
	return sql`COMMENT ON TABLE ${table} IS ${literal(`${ownershipMark}: internal`)};`;
}
