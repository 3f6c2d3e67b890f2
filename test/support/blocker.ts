import pg from "pg";
import { onTestFinished } from "vitest";

/** A transaction that stays open until it is released or the test ends, and what a concurrent build waits for. */
export interface Blocker {
	readonly processId: number;
	release(): Promise<void>;
}

/** Has written to the table: a build waits for it before it starts. */
export function openWriter(url: string, tableName: string): Promise<Blocker> {
	return open(url, "BEGIN", `LOCK TABLE ${tableName} IN ROW EXCLUSIVE MODE`);
}

/** Still sees the database as it was: a build waits for it before its index is valid. */
export function openSnapshot(url: string): Promise<Blocker> {
	return open(
		url,
		"BEGIN ISOLATION LEVEL REPEATABLE READ",
		"SELECT count(*) FROM kv_state",
	);
}

async function open(url: string, ...statements: string[]): Promise<Blocker> {
	const client = new pg.Client({
		connectionString: url,
		application_name: "blocker",
	});
	client.on("error", () => {}); // A test may crash its server.
	await client.connect();
	for (const statement of statements) await client.query(statement);
	const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
	const release = () => client.end();
	onTestFinished(release);
	return { processId: rows[0].pid, release };
}
