import { literal, type Sql, sql } from "../sql.ts";

/** The mark by which a table is known to be ours, and not a namesake. */
export const ownershipMark = "remdb";

/** For which database the text of an entity is. */
export interface EntityDdlOptions {
	/** Nothing of the entity is there: what looks for objects of earlier releases is left out. @default false */
	readonly isNew?: boolean;
}

/** Marks one of our internal tables. */
export function ours(table: Sql): Sql {
	return sql`COMMENT ON TABLE ${table} IS ${literal(`${ownershipMark}: internal`)};`;
}
