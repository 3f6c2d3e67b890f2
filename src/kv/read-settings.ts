import type { Handle, TransactionOptions } from "../db/database.ts";
import { roles } from "../schema/row-security.ts";
import { sql } from "../sql.ts";

/**
 * Settings of a transaction that must see all tenants' rows. Row security would
 * silently leave out what the role may not see: off, it is an error. Its owner
 * is shown everything, by a policy, which is no error.
 */
export async function seeingAll(
	db: Handle,
): Promise<NonNullable<TransactionOptions["settings"]>> {
	const { rows } = await db.query<{ owns: boolean | null }>(
		sql`SELECT pg_has_role(to_regrole(${roles.owner})::oid, 'USAGE') AS owns`,
		{ idempotent: true },
	);
	return { row_security: rows[0]?.owns === true ? "on" : "off" };
}

/**
 * Settings of a transaction whose statements walk a table and the cache side by
 * side, in order of id. Each of them is a walk along an index and a look into
 * another one; these settings leave the planner no other plan. By its statistics
 * it would choose: they do not know a type that has just been filled, renamed or
 * given a cache, and one nested loop over 20,000 rows then took 74 s.
 */
export const orderedWalk = {
	enable_seqscan: "off",
	enable_bitmapscan: "off",
	enable_sort: "off",
	enable_incremental_sort: "off",
	enable_material: "off",
} as const;
