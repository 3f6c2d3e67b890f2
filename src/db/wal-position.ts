import { RemError } from "../errors.ts";
import { sql } from "../sql.ts";
import type { Handle } from "./database.ts";

/**
 * Where the server's log stands, so that it holds every commit that returned.
 * What is flushed is enough, and all that a standby is sent: where the end of
 * the log is inserted, others may be at work. With asynchronous commits
 * nothing need be flushed. `undefined` on a standby: it writes none.
 */
export async function readWritten(db: Handle): Promise<bigint | undefined> {
	const { rows } = await db.query<{ at: string | null }>(
		sql`SELECT CASE
  WHEN pg_is_in_recovery() THEN NULL
  WHEN current_setting('synchronous_commit') = 'off' THEN pg_current_wal_insert_lsn()
  ELSE pg_current_wal_flush_lsn()
END::text AS at`,
		{ idempotent: true },
	);
	return toPosition(rows[0]?.at);
}

/** How far the server is, and which of its processes said so. */
export async function readReplayed(
	db: Handle,
): Promise<{ replayed: bigint; processId: number }> {
	const { rows } = await db.query<{ at: string; processId: number }>(
		// One that was promoted replays no more, it writes.
		sql`SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text AS at,
  pg_backend_pid() AS "processId"`,
		{ idempotent: true },
	);
	return {
		replayed: toPosition(rows[0]?.at) ?? 0n,
		processId: rows[0]?.processId ?? 0,
	};
}

export async function hasReplayed(
	db: Handle,
	position: bigint,
): Promise<boolean> {
	return (await readReplayed(db)).replayed >= position;
}

/** What a cluster and its physical copies have in common; `undefined` where the role may not ask. */
export async function readCluster(db: Handle): Promise<string | undefined> {
	try {
		const { rows } = await db.query<{ id: string }>(
			sql`SELECT system_identifier || ' ' || current_database() AS id FROM pg_control_system()`,
			{ idempotent: true },
		);
		return rows[0]?.id;
	} catch (error) {
		if (error instanceof RemError && error.sqlState === "42501")
			return undefined;
		throw error;
	}
}

/** `16/B374D848`: two halves of a number, in hexadecimal. */
function toPosition(lsn: string | null | undefined): bigint | undefined {
	if (lsn === null || lsn === undefined) return undefined;
	const [high = "0", low = "0"] = lsn.split("/");
	return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}
