import { raw, type Sql, sql } from "../sql.ts";

/** A condition: the database is not part of a Citus cluster. Costs one lookup in the system catalogue. */
export const isPlain = raw("to_regclass('pg_catalog.pg_dist_node') IS NULL");

/** A statement that only reduces the work of PostgreSQL, and that Citus refuses: it is not run on Citus. */
export function unlessCitus(statement: Sql): Sql {
	return sql`DO $do$ BEGIN
  IF ${isPlain} THEN
    ${statement}
  END IF;
END $do$;
`;
}

/**
 * Notifies the workers. On a node of Citus transactions commit in two phases, which
 * PostgreSQL refuses after NOTIFY: there, workers poll.
 */
export function notifyUnlessCitus(channel: Sql): Sql {
	return sql`IF FOUND AND ${isPlain} THEN PERFORM pg_notify(${channel}, ''); END IF;`;
}
