import { RemError } from "../errors.ts";
import { sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import type { Handle } from "./database.ts";

/**
 * The end of the server's log that includes every commit that returned.
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

/** What a server reports of itself and of its log. */
export interface ServerState {
	/** Up to where its rows are. */
	readonly replayed: bigint;
	/** Of the connection that reported it. */
	readonly processId: number;
	/** Whether it follows another server; a standby that was promoted does not. */
	readonly isStandby: boolean;
	/** When it was started: equal for two connections only where both lead to one server. */
	readonly started: string;
	/** Of its log; a promotion begins another one. `null` where the role may not ask. */
	readonly timeline: number | null;
}

export async function readServerState(db: Handle): Promise<ServerState> {
	const { rows } = await db.query<
		Omit<ServerState, "replayed"> & { readonly at: string }
	>(
		// One that was promoted replays no more, it writes.
		sql`SELECT (CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text AS at,
  pg_backend_pid() AS "processId", standby AS "isStandby",
  extract(epoch FROM pg_postmaster_start_time())::text AS started,
  CASE WHEN standby THEN (SELECT received_tli FROM pg_stat_wal_receiver)
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer END AS timeline
FROM (SELECT pg_is_in_recovery() AS standby) AS s`,
		{ idempotent: true },
	);
	const { at, ...state } = elementAt(rows, 0);
	return { ...state, replayed: toPosition(at) ?? 0n };
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
