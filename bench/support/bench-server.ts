import pg from "pg";
import { startServer } from "../../scripts/postgres-server.ts";

/** The server of a run, and what of it a reader of the figures must know. */
export interface BenchServer {
	readonly url: string;
	/** `PostgreSQL 18.6, pgvector 0.8.7`. */
	readonly version: string;
	readonly settings: Readonly<Record<string, string>>;
	/** Whether the server can tell how long it worked (pg_stat_statements). */
	readonly countsTime: boolean;
	stop(): Promise<void>;
}

// What a server for this much data would have. Everything that makes a write
// durable (fsync, synchronous_commit, full_page_writes, checksums) is as
// PostgreSQL has it. Autovacuum would hit one variant of a pair and not the
// other: tables are truncated or vacuumed between the measurements instead.
const ownSettings = {
	shared_buffers: "1GB",
	max_wal_size: "4GB",
	checkpoint_timeout: "1h",
	autovacuum: "off",
	shared_preload_libraries: "pg_stat_statements",
	"pg_stat_statements.track_planning": "on",
};

const shownSettings = [
	"shared_buffers",
	"max_wal_size",
	"checkpoint_timeout",
	"autovacuum",
	"fsync",
	"synchronous_commit",
	"full_page_writes",
	"data_checksums",
	"wal_level",
	"wal_compression",
	"jit",
];

/** REM_TEST_DATABASE_URL, or a server of our own that goes with this process. */
export async function openBenchServer(): Promise<BenchServer> {
	const url = process.env.REM_TEST_DATABASE_URL;
	if (url) return describeServer(url, async () => {});
	const server = await startServer({ settings: ownSettings });
	return describeServer(server.url, () => server.remove());
}

async function describeServer(
	url: string,
	stop: () => Promise<void>,
): Promise<BenchServer> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		const { rows } = await client.query<{ name: string; setting: string }>(
			"SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name = ANY ($1) ORDER BY array_position($1, name)",
			[shownSettings],
		);
		return {
			url,
			version: await versionOf(client),
			settings: Object.fromEntries(
				rows.map(({ name, setting }) => [name, setting]),
			),
			countsTime: await hasStatementStatistics(client),
			stop,
		};
	} finally {
		await client.end();
	}
}

async function versionOf(client: pg.Client): Promise<string> {
	const { rows } = await client.query<{ server: string; vector: string }>(
		`SELECT current_setting('server_version') AS server,
			(SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector`,
	);
	const [version] = rows;
	return `PostgreSQL ${version?.server}, pgvector ${version?.vector}`;
}

async function hasStatementStatistics(client: pg.Client): Promise<boolean> {
	const { rows } = await client.query<{ loaded: boolean }>(
		"SELECT current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%' AS loaded",
	);
	return rows[0]?.loaded === true;
}
