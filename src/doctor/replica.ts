import { Replica } from "../db/replica.ts";
import { sql } from "../sql.ts";
import { failed, ok, type RunCheck, warning } from "./check.ts";

interface Replay {
	readonly standby: boolean;
	readonly behind: string | null;
}

/** Whether reads that allow a replica get to one. */
export const checkReplica: RunCheck = async ({ replica, settings }) => {
	const { database } = settings;
	if (database.kind === "embedded" || database.readAddress === undefined)
		return [];
	const { rows } = await replica.query<Replay>(sql`
SELECT pg_is_in_recovery() AS standby,
  pg_size_pretty(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())) AS behind`);
	if (replica instanceof Replica && replica.fork !== undefined)
		return failed(
			replica.fork,
			"let POSTGRES__READ_HOST lead to a standby of POSTGRES__HOST, or both to the server that was promoted; build the other one again from a base backup or with pg_rewind",
		);
	const [replay] = rows;
	if (replay?.standby !== true)
		return warning(
			"the primary answers in its place: it is unreachable, behind, or not a standby",
			"the log names the reason; let POSTGRES__READ_HOST lead to a standby that replays",
		);
	return ok(
		replay.behind === null
			? "a standby"
			: `a standby, ${replay.behind} of what it received is not replayed`,
	);
};
