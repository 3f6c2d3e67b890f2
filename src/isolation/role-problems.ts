import type { Database, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { roles } from "../schema/row-security.ts";
import { sql } from "../sql.ts";

/** Why row level security does not apply to the role of this connection; none: it does. */
export async function roleProblems(db: Handle): Promise<readonly string[]> {
	const { rows } = await db.query<{
		name: string;
		superuser: boolean;
		bypass: boolean;
		owner: boolean;
	}>(sql`
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypass,
  coalesce(pg_has_role(to_regrole(${roles.owner})::oid, 'MEMBER'), FALSE) AS owner
FROM pg_roles r WHERE r.rolname = current_user`);
	const [role] = rows;
	if (role === undefined) return ["the role of the connection is unknown"];
	return [
		...(role.superuser ? [`role "${role.name}" is a superuser`] : []),
		...(role.bypass ? [`role "${role.name}" has BYPASSRLS`] : []),
		...(role.owner && !role.superuser
			? [`role "${role.name}" is a member of ${roles.owner}`]
			: []),
	];
}

/**
 * Whether row level security applies to the connection, which then sets the
 * tenant of each call. `CONFIG_INVALID` where it was asked for and does not.
 */
export async function isUnderRowSecurity(
	db: Database,
	settings: { readonly rowLevelSecurity: boolean; readonly schema: string },
): Promise<boolean> {
	if (settings.rowLevelSecurity) {
		await requireRestrictedRole(db);
		return true;
	}
	if (db.capabilities.kind === "embedded") return false;
	const { rows } = await db.query<{ applies: boolean | null }>(
		sql`
SELECT row_security_active(c.oid) AND NOT coalesce(pg_has_role(to_regrole(${roles.owner})::oid, 'MEMBER'), FALSE) AS applies
FROM pg_class AS c
WHERE c.relname = 'kv_store' AND c.relnamespace = to_regnamespace(quote_ident(${settings.schema}))`,
		{ idempotent: true },
	);
	return rows[0]?.applies === true;
}

/** Throws `CONFIG_INVALID`: a wall that everyone walks through is worse than none. */
async function requireRestrictedRole(db: Handle): Promise<void> {
	const [problem] = await roleProblems(db);
	if (problem === undefined) return;
	throw new RemError(
		"CONFIG_INVALID",
		`row level security would hide nothing: ${problem}`,
		{
			hint: `connect as a member of ${roles.app}; owners migrate without rowLevelSecurity`,
		},
	);
}
