import type { Handle } from "../db/database.ts";
import { ident, sql, toText } from "../sql.ts";

/** While others read and write; not inside a transaction. */
export async function dropIndex(
	session: Handle,
	schema: string,
	name: string,
): Promise<void> {
	await session.script(
		toText(sql`DROP INDEX CONCURRENTLY IF EXISTS ${ident(schema, name)}`),
	);
}
