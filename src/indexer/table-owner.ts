import type { Handle } from "../db/database.ts";
import { type Sql, sql } from "../sql.ts";

/** The owner of a table, where the connection's role may not act as it; only owners build and drop indexes. */
export async function readForeignOwner(
	db: Handle,
	schema: string,
	tableName: string,
): Promise<string | null> {
	const { rows } = await db.query<{ owner: string | null }>(
		sql`SELECT ${foreignOwner(schema, sql`${tableName}::text`)} AS owner`,
	);
	return rows[0]?.owner ?? null;
}

/** The same as an expression; NULL also where there is no such table. */
export function foreignOwner(schema: string, tableName: Sql): Sql {
	return sql`(SELECT pg_get_userbyid(c.relowner)::text FROM pg_class AS c
    WHERE c.oid = to_regclass(format('%I.%I', ${schema}::text, ${tableName}))
      AND NOT pg_has_role(c.relowner, 'USAGE'))`;
}
