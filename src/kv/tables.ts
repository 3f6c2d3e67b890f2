import { ident, literal, type Sql, sql, toText } from "../sql.ts";

export function kvStore(schema: string): Sql {
	return ident(schema, "kv_store");
}

/** Where the marker and the rebuilders' tokens stand. */
export function kvState(schema: string): Sql {
	return ident(schema, "kv_state");
}

/** The file that the cache is in: another one after everything that replaces its rows. */
export function kvFilenode(schema: string): Sql {
	return sql`pg_relation_filenode(${literal(toText(kvStore(schema)))}::regclass)`;
}
