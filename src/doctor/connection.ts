import type { Database } from "../db/database.ts";
import { sql } from "../sql.ts";
import { ok, type RunCheck, warning } from "./check.ts";

/** Where it is, and as whom. */
export const checkConnection: RunCheck = async ({ db, settings }) => {
	const { database } = settings;
	if (database.kind === "embedded")
		return ok(
			database.folder === undefined
				? "embedded database, in memory"
				: `embedded database in ${database.folder}`,
		);
	const started = performance.now();
	const { rows } = await db.query<{ database: string; role: string }>(
		sql`SELECT current_database()::text AS database, current_user::text AS role`,
	);
	const ms = (performance.now() - started).toFixed(1);
	return ok(
		`database "${rows[0]?.database}" as role "${rows[0]?.role}", ${ms} ms there and back`,
	);
};

/** What migrations, index builds and LISTEN need a session for, a pooler in transaction mode takes away. */
export const checkPooler: RunCheck = async ({ db, settings }) => {
	const { database } = settings;
	if (database.kind === "embedded") return [];
	const isBehind = await isBehindPooler(db);
	if (database.directAddress !== undefined)
		return isBehind
			? warning(
					"POSTGRES__DIRECT_HOST leads to a pooler, too",
					"set it to the server itself: migrations and index builds need a session of their own",
				)
			: ok("sessions go past it, by POSTGRES__DIRECT_HOST");
	return isBehind
		? warning(
				"there is one between this process and the server",
				"set POSTGRES__DIRECT_HOST to the server itself: index builds and LISTEN need a session of their own",
			)
		: ok("none");
};

/** A pooler gives its clients a process id of its own making. */
async function isBehindPooler(db: Database): Promise<boolean> {
	const session = await db.openSession();
	try {
		const { rows } = await session.query<{ pid: number }>(
			sql`SELECT pg_backend_pid() AS pid`,
		);
		return rows[0]?.pid !== session.processId;
	} finally {
		await session.close();
	}
}

/** A standby is for reading. */
export const checkStandby: RunCheck = async ({ db, settings }) => {
	if (settings.database.kind === "embedded") return [];
	const { rows } = await db.query<{ standby: boolean }>(
		sql`SELECT pg_is_in_recovery() AS standby`,
	);
	if (rows[0]?.standby !== true) return ok("no: this is the primary");
	return warning(
		"this is one: writes fail, and an unlogged cache cannot be read",
		"connect to the primary to write; KV_STORE__PERSISTENCE=logged lets standbys read the cache",
	);
};

const toleratedSkewMs = 2000;

/** Leases, ages and retries compare times of this machine and of the server. */
export const checkClock: RunCheck = async ({ db }) => {
	const before = Date.now();
	const { rows } = await db.query<{ at: Date }>(
		sql`SELECT clock_timestamp() AS at`,
	);
	const after = Date.now();
	const at = rows[0]?.at.getTime() ?? before;
	// Somewhere between asking and hearing it was so late.
	const skewMs = at < before ? at - before : Math.max(0, at - after);
	if (Math.abs(skewMs) <= toleratedSkewMs)
		return ok("this machine and the server agree");
	const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
	return warning(
		`the server is ${seconds} s ${skewMs < 0 ? "behind" : "ahead of"} this machine`,
		"synchronise both by NTP",
	);
};
