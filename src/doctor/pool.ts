import { sql } from "../sql.ts";
import { ok, type RunCheck, warning } from "./check.ts";

interface Limits {
	readonly connections: number;
	readonly role: number;
	readonly database: number;
	readonly used: number;
}

const nearlyAll = 0.8;

/** Whether the server has room for all that this process may open, beside what others have. */
export const checkPool: RunCheck = async ({ db, settings }) => {
	if (settings.database.kind === "embedded") return [];
	const { rows } = await db.query<Limits>(sql`
SELECT current_setting('max_connections')::integer
    - current_setting('superuser_reserved_connections')::integer
    - current_setting('reserved_connections')::integer AS connections,
  (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,
  (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database,
  (SELECT count(*)::integer FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS used`);
	const [limits] = rows;
	if (limits === undefined) return [];
	const { poolSize } = settings;
	// -1 is no limit.
	const max = Math.min(
		...[limits.connections, limits.role, limits.database].filter(
			(limit) => limit >= 0,
		),
	);
	const found = `up to ${poolSize} connections of ${max}, ${limits.used} of the server's are in use`;
	if (poolSize > max)
		return warning(
			found,
			`set POSTGRES__POOL_SIZE to ${max} at most, shared by all processes; or put a pooler in between`,
		);
	if (limits.used > nearlyAll * limits.connections)
		return warning(
			found,
			"lower POSTGRES__POOL_SIZE, raise max_connections, or put a pooler in between",
		);
	return ok(found);
};
