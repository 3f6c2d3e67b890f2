import { sql } from "../sql.ts";
import { type Examined, type Finding, some, warning } from "./check.ts";

interface Lock {
	readonly table: string;
	/** `null`: a prepared transaction. */
	readonly pid: number | null;
	readonly granted: boolean;
	/** What the process does, as far as the role may know. */
	readonly state: string | null;
}

/** A check that a locked table, or a slow statement, delayed beyond its limit. */
export async function notInTime(
	{ db, settings }: Examined,
	message: string,
): Promise<Finding> {
	// A server that is too busy for this, too, is described by the message.
	const locks = await readLocks(db, settings.schema).catch(() => []);
	const [first] = locks;
	if (first === undefined)
		return warning(
			`not looked at: ${message}`,
			"rem doctor when the server is less busy, or raise queryTimeoutMs (POSTGRES__QUERY_TIMEOUT_MS)",
		);
	const { pid } = first;
	return warning(
		`not looked at: ${message}; ${some(locks.map(inWords))}`,
		pid === null
			? "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts names, then rem doctor again"
			: `wait for process ${pid}, or SELECT pg_terminate_backend(${pid}); then rem doctor again`,
	);
}

/** Reads wait for nothing but ACCESS EXCLUSIVE, be it granted or waited for. */
async function readLocks(
	db: Examined["db"],
	schema: string,
): Promise<readonly Lock[]> {
	const { rows } = await db.query<Lock>(sql`
SELECT c.relname::text AS "table", l.pid, l.granted, a.state
FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND c.relnamespace = to_regnamespace(quote_ident(${schema})) AND c.relkind IN ('r', 'p')
ORDER BY l.granted DESC, c.relname, l.pid`);
	return rows;
}

function inWords({ table, pid, granted, state }: Lock): string {
	const owner =
		pid === null
			? "a prepared transaction"
			: `process ${pid}${state === null ? "" : ` (${state})`}`;
	return granted
		? `${table} is locked by ${owner}`
		: `${owner} waits to lock ${table}, and others wait behind it`;
}
