import { ident, literal, type Sql, sql, toText } from "../sql.ts";

/**
 * Whether kv_store is whole, as an expression for the very statement that reads
 * it: the marker is emptied together with the cache, and names its file.
 */
export function kvReady(schema: string): Sql {
	const kvStore = toText(ident(schema, "kv_store"));
	return sql`EXISTS (SELECT FROM ${ident(schema, "kv_state")}
    WHERE kind = 'ready' AND filenode = pg_relation_filenode(${literal(kvStore)}::regclass))`;
}
