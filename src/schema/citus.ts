import { raw, type Sql, sql } from "../sql.ts";

/** Whether the database is spread over nodes by Citus, as a condition; one look into the system catalogue. */
export const isPlain = raw("to_regclass('pg_catalog.pg_dist_node') IS NULL");

/** A statement that Citus refuses, and that only spares PostgreSQL work: left out there. */
export function unlessCitus(statement: Sql): Sql {
	return sql`DO $do$ BEGIN
  IF ${isPlain} THEN
    ${statement}
  END IF;
END $do$;
`;
}

/**
 * Wakes who listens. On a node of Citus a transaction commits in two phases,
 * which one that notifies cannot: there, workers look by themselves.
 */
export function notifyUnlessCitus(channel: Sql): Sql {
	return sql`IF FOUND AND ${isPlain} THEN PERFORM pg_notify(${channel}, ''); END IF;`;
}
