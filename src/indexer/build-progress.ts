import type { Handle } from "../db/database.ts";
import { ident, sql, toText } from "../sql.ts";

/** A CREATE INDEX that runs now, of any client. */
export interface RunningBuild {
	readonly tableName: string;
	/** `null` before there is one. */
	readonly indexName: string | null;
	/** The server's process. */
	readonly processId: number;
	/** `null` to those who may not see another role's. */
	readonly phase: string | null;
	/** 0 to 100. */
	readonly percent: number;
	readonly elapsedMs: number;
	/** Estimated time left, from the pace so far. */
	readonly etaMs: number | null;
	/** Whose transaction it waits for. */
	readonly waitsFor: BlockingTransaction | null;
}

export interface BlockingTransaction {
	readonly processId: number;
	readonly application: string | null;
	/** `idle in transaction` needs attention. */
	readonly state: string | null;
	readonly ageMs: number | null;
}

interface ProgressRow {
	table_name: string;
	index_name: string | null;
	pid: number;
	phase: string | null;
	done: number;
	total: number;
	elapsed_ms: number | null;
	locker_pid: number | null;
	locker_application: string | null;
	locker_state: string | null;
	locker_age_ms: number | null;
}

/** Builds on the schema's tables. They are known by their lock, which every role may see. */
export async function readRunningBuilds(
	db: Handle,
	schema: string,
): Promise<RunningBuild[]> {
	const { rows } = await db.query<ProgressRow>(sql`
SELECT t.relname AS table_name, i.relname AS index_name, p.pid, p.phase,
  coalesce(CASE WHEN p.blocks_total > 0 THEN p.blocks_done ELSE p.tuples_done END, 0)::float8 AS done,
  coalesce(CASE WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.tuples_total END, 0)::float8 AS total,
  extract(epoch FROM clock_timestamp() - a.query_start)::float8 * 1000 AS elapsed_ms,
  w.pid AS locker_pid, w.application_name AS locker_application, w.state AS locker_state,
  extract(epoch FROM clock_timestamp() - w.xact_start)::float8 * 1000 AS locker_age_ms
FROM pg_stat_progress_create_index p
JOIN pg_locks l ON l.pid = p.pid AND l.locktype = 'relation' AND l.granted
  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock')
JOIN pg_class t ON t.oid = l.relation AND t.relkind = 'r'
LEFT JOIN pg_class i ON i.oid = p.index_relid
LEFT JOIN pg_stat_activity a ON a.pid = p.pid
LEFT JOIN pg_stat_activity w ON w.pid = p.current_locker_pid
WHERE p.datname = current_database() AND t.relnamespace = to_regnamespace(${toText(ident(schema))})`);
	return rows.map(toBuild);
}

function toBuild(row: ProgressRow): RunningBuild {
	const percent = percentOf(row);
	const elapsedMs = row.elapsed_ms ?? 0;
	return {
		tableName: row.table_name,
		indexName: row.index_name,
		processId: row.pid,
		phase: row.phase,
		percent,
		elapsedMs,
		etaMs: percent < 1 ? null : (elapsedMs * (100 - percent)) / percent,
		waitsFor:
			row.locker_pid === null
				? null
				: {
						processId: row.locker_pid,
						application: row.locker_application,
						state: row.locker_state,
						ageMs: row.locker_age_ms,
					},
	};
}

// Shares of a build that its phases take, as measured on HNSW: the first scan
// with its graph is nearly all of it.
const phases: readonly (readonly [string, number, number])[] = [
	["initializing", 0, 0],
	["waiting for writers before build", 0, 0],
	["building index", 0, 90],
	["waiting for writers before validation", 90, 90],
	["index validation: scanning index", 90, 94],
	["index validation: sorting tuples", 94, 95],
	["index validation: scanning table", 95, 99],
	["waiting for old snapshots", 99, 99],
];

/** Percent of the whole build. */
export function percentOf({
	phase,
	done,
	total,
}: Pick<ProgressRow, "phase" | "done" | "total">): number {
	const [, from, to] = phases.find(([name]) => phase?.startsWith(name)) ?? [
		"",
		0,
		0,
	];
	const share = total > 0 ? Math.min(1, done / total) : 0;
	return from + (to - from) * share;
}

/** `process 4711 (psql), idle in transaction for 312 s` */
export function describeBlocker(blocker: BlockingTransaction): string {
	const { processId, application, state, ageMs } = blocker;
	const who = `process ${processId}${application ? ` (${application})` : ""}`;
	const how = state === null ? "" : `, ${state}`;
	const long = ageMs === null ? "" : ` for ${Math.round(ageMs / 1000)} s`;
	return who + how + long;
}
