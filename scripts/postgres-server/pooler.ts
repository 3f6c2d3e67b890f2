import { spawn } from "node:child_process";
import {
	chmodSync,
	closeSync,
	existsSync,
	openSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

/** A PgBouncer in front of a server, in transaction mode. */
export interface Pooler {
	/** As the server's, with the pooler's port. */
	readonly url: string;
	stop(): Promise<void>;
}

export interface PoolerOptions {
	readonly port: number;
	/** Lines of pgbouncer.ini, over the defaults of this file. */
	readonly settings?: Readonly<Record<string, string>>;
	/** A port of 127.0.0.1 to connect to instead of the server's. */
	readonly leadsTo?: number | undefined;
}

export interface PoolerPlace {
	/** The folder that the program sees as `/`, and the command that enters it. */
	readonly root: string;
	readonly prefix: readonly string[];
	/** The server's folder, seen from inside and from outside: the pooler's files go with it. */
	readonly folder: string;
	readonly outside: string;
	readonly serverPort: number;
	readonly password: string;
}

const PROGRAM = "/usr/sbin/pgbouncer";

// After a server's crash PgBouncer tries it again every 15 s: all clients hang so long.
const DEFAULT_SETTINGS = {
	pool_mode: "transaction",
	max_prepared_statements: "200",
	server_login_retry: "0.2",
	max_client_conn: "500",
	default_pool_size: "20",
};

const START_TIMEOUT_MS = 10_000;

export async function startPooler(
	place: PoolerPlace,
	{ port, settings = {}, leadsTo = place.serverPort }: PoolerOptions,
): Promise<Pooler> {
	if (!existsSync(join(place.root, PROGRAM)))
		throw new Error(`there is no ${PROGRAM}: install pgbouncer`);
	const folder = join(place.folder, "socket");
	const file = (name: string) => join(place.outside, "socket", name);
	writeFor(file("users.txt"), `"postgres" "${place.password}"\n`);
	writeFor(
		file("pgbouncer.ini"),
		`[databases]
* = host=127.0.0.1 port=${leadsTo}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(folder, "users.txt")}
admin_users = postgres
${Object.entries({ ...DEFAULT_SETTINGS, ...settings })
	.map(([name, value]) => `${name} = ${value}\n`)
	.join("")}`,
	);
	const [command = PROGRAM, ...args] = [
		...place.prefix,
		PROGRAM,
		"--quiet",
		join(folder, "pgbouncer.ini"),
	];
	const log = openSync(file("pgbouncer.log"), "a", 0o600);
	const child = spawn(command, args, {
		cwd: "/",
		detached: true,
		stdio: ["ignore", log, log],
	});
	closeSync(log);
	child.once("error", () => {}); // its exit code says so
	child.unref();
	const url = `postgres://postgres:${place.password}@127.0.0.1:${port}/postgres`;
	const lastTry = Date.now() + START_TIMEOUT_MS;
	while (!(await answers(url))) {
		if (child.exitCode !== null || Date.now() > lastTry)
			throw new Error(
				`PgBouncer did not start:\n${readFileSync(file("pgbouncer.log"), "utf8")}`,
			);
		await sleep(20);
	}
	return {
		url,
		stop: async () => {
			child.kill("SIGTERM");
			while (child.exitCode === null && child.signalCode === null)
				await sleep(20);
		},
	};
}

/** Readable for the user postgres inside, who owns the folder; the folder is closed to others. */
function writeFor(path: string, text: string): void {
	writeFileSync(path, text);
	chmodSync(path, 0o644);
}

async function answers(url: string): Promise<boolean> {
	const client = new pg.Client({ connectionString: url });
	client.on("error", () => {}); // the next try sees it
	try {
		await client.connect();
	} catch {
		return false;
	}
	await client.end();
	return true;
}
