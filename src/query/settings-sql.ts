import { empty, ident, join, literal, type Sql, sql } from "../sql.ts";

/** The server's settings that a statement needs, by name. */
export type Settings = ReadonlyMap<string, string>;

/**
 * A CTE `settings` of one row that sets them for the statement: what depends on
 * them asks its `is_set` first. Set like this they cost no round trip.
 */
export function settingsCte(settings: Settings): Sql {
	if (settings.size === 0) return empty;
	const names = [...settings];
	const before = names.map(
		([name], at) =>
			sql`current_setting(${literal(name)}, TRUE) AS ${ident(`before${at}`)}`,
	);
	const set = names.map(
		([name, value]) => sql`set_config(${literal(name)}, ${value}, TRUE)`,
	);
	return sql`settings AS MATERIALIZED (
  SELECT b.*, concat(${join(set)}) IS NOT NULL AS is_set FROM (SELECT ${join(before)} OFFSET 0) AS b
), `;
}

/** One more column, which resets them once the CTE `after` has been read: a transaction may go on. */
export function resetSettings(settings: Settings, after: string): Sql {
	if (settings.size === 0) return empty;
	const back = [...settings.keys()].map(
		(name, at) =>
			sql`set_config(${literal(name)}, s.${ident(`before${at}`)}, TRUE)`,
	);
	return sql`,
  (SELECT concat(${join(back)}) FROM settings AS s WHERE (SELECT count(*) FROM ${ident(after)}) >= 0) AS rem_settings`;
}
