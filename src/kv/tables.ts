import type { Handle } from "../db/database.ts";
import { kvSourceMark } from "../schema/kv-trigger.ts";
import { ident, literal, type Sql, sql, toText } from "../sql.ts";
import { elementAt } from "../util/present.ts";

export function kvStore(schema: string): Sql {
	return ident(schema, "kv_store");
}

/** The table of the marker and of the tokens of rebuilds. */
export function kvState(schema: string): Sql {
	return ident(schema, "kv_state");
}

/** The file that the cache is in: another one after everything that replaces its rows. */
export function kvFilenode(schema: string): Sql {
	return sql`pg_relation_filenode(${literal(toText(kvStore(schema)))}::regclass)`;
}

/** The cache of one entity type, and the schema that it is in. */
export interface CachedType {
	readonly schema: string;
	readonly source: KvSource;
}

/** Where the cache of an entity type comes from. */
export interface KvSource {
	readonly entityType: string;
	/** The view of the rows as the cache stores them. */
	readonly view: Sql;
}

/** Every source in the database, also of types that this service has no model for. */
export async function readKvSources(
	db: Handle,
	schema: string,
): Promise<KvSource[]> {
	const { rows } = await db.query<{ view: string; comment: string }>(
		sql`
SELECT c.relname AS view, d.description AS comment
FROM pg_class c
JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
WHERE c.relnamespace = ${schema}::regnamespace AND c.relkind = 'v'
  AND starts_with(d.description, ${kvSourceMark})
ORDER BY c.relname`,
		{ idempotent: true },
	);
	return rows.map(({ view, comment }) => ({
		entityType: elementAt(comment.slice(kvSourceMark.length).split(" "), 0),
		view: ident(schema, view),
	}));
}
