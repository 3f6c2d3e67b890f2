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
