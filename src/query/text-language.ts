import type { Handle } from "../db/database.ts";
import { sql } from "../sql.ts";
import { suggest } from "../util/suggest.ts";

/** Whether the database has a text search configuration of that name; if not, what is nearest to it. */
export async function findLanguage(
	db: Handle,
	language: string,
): Promise<{ readonly isKnown: boolean; readonly hint: string }> {
	const { rows } = await db.query<{ name: string }>(
		sql`
SELECT unnest(CASE WHEN pg_ts_config_is_visible(c.oid)
    THEN ARRAY[c.cfgname, n.nspname || '.' || c.cfgname]
    ELSE ARRAY[n.nspname || '.' || c.cfgname] END)::text AS name
FROM pg_ts_config AS c
JOIN pg_namespace AS n ON n.oid = c.cfgnamespace`,
		{ idempotent: true },
	);
	const names = rows.map(({ name }) => name);
	const plain = names.filter((name) => !name.startsWith("pg_catalog."));
	return {
		isKnown: names.includes(language),
		hint: suggest(language, plain) ?? "\\dF in psql lists them",
	};
}
