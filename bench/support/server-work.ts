import type { BenchDatabase } from "./bench-database.ts";
import { timed } from "./paired.ts";

/** What a piece of work cost, for the caller and for the server. */
export interface ServerWork {
	readonly wallMs: number;
	/** Planning and executing statements; `undefined` without pg_stat_statements. */
	readonly databaseMs: number | undefined;
	readonly walBytes: number;
}

/** Does the work and looks at the server's own counters before and after. */
export async function measureServerWork(
	database: BenchDatabase,
	countsTime: boolean,
	work: () => Promise<unknown>,
): Promise<ServerWork> {
	if (countsTime)
		await database.client.query("SELECT pg_stat_statements_reset()");
	const before = await walPosition(database);
	const wallMs = await timed(work);
	const walBytes = (await walPosition(database)) - before;
	const databaseMs = countsTime ? await databaseTime(database) : undefined;
	return { wallMs, databaseMs, walBytes };
}

async function walPosition({ client }: BenchDatabase): Promise<number> {
	const { rows } = await client.query<{ bytes: string }>(
		"SELECT pg_current_wal_insert_lsn() - '0/0' AS bytes",
	);
	return Number(rows[0]?.bytes);
}

async function databaseTime({ client }: BenchDatabase): Promise<number> {
	const { rows } = await client.query<{ ms: number }>(`
SELECT sum(total_plan_time + total_exec_time) AS ms
FROM pg_stat_statements
WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query !~ 'pg_stat_statements|pg_current_wal'`);
	return Number(rows[0]?.ms);
}
