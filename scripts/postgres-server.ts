/**
 * A real PostgreSQL 18 on 127.0.0.1 for tests, benchmarks and crash tests.
 *
 *     npx jiti scripts/postgres-server.ts start [--port N] | url | stop | install
 */
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import {
	findPostgres,
	lastLines,
	type Missing,
	say,
} from "./postgres-server/installation.ts";
import type { Pooler } from "./postgres-server/pooler.ts";
import {
	createRecord,
	isServing,
	markProcess,
	readRecord,
	removeLeftovers,
	removeServer,
	type ServerRecord,
	writeRecord,
} from "./postgres-server/records.ts";
import {
	type CopySource,
	type Runner,
	runnerFor,
} from "./postgres-server/runners.ts";

export type { Pooler, Server };
export { findPostgres };

export interface ServerOptions {
	/** Lines of postgresql.conf, over the defaults of this file. */
	readonly settings?: Readonly<Record<string, string>>;
	/** On 127.0.0.1. @default a free one */
	readonly port?: number;
	/** Its files are in memory, where there is room for them. @default false */
	readonly isInMemory?: boolean;
}

export interface CopyOptions extends ServerOptions {
	/** Follows the server it was copied from, until `promote()`. @default false: as a restored backup */
	readonly asStandby?: boolean;
}

export interface TestServer {
	readonly url: string;
	stop(): Promise<void>;
}

/** As `pg_ctl stop --mode` has them. */
export type StopMode = keyof typeof STOP_SIGNALS;

/** Starts a server that goes when this process ends, or by `remove()`. */
export async function startServer(
	options: ServerOptions = {},
): Promise<Server> {
	return createAndStart(randomText(), options);
}

/** A server to test on: REM_TEST_DATABASE_URL if set, else one of our own. */
export async function acquireTestServer(): Promise<TestServer | Missing> {
	const url = process.env.REM_TEST_DATABASE_URL;
	if (url) return { url, stop: async () => {} };
	try {
		const server = await startServer({
			settings: TEST_SETTINGS,
			isInMemory: true,
		});
		return { url: server.url, stop: () => server.remove() };
	} catch (error) {
		return { reason: messageOf(error) };
	}
}

// Enough for the vector indexes of tests. All else, fsync too, is PostgreSQL's
// default, so that figures and crashes mean what they mean elsewhere.
const DEFAULT_SETTINGS = {
	shared_buffers: "512MB",
	maintenance_work_mem: "512MB",
	max_connections: "100",
};
const TEST_SETTINGS = {
	// For tests with a publication and a subscription.
	wal_level: "logical",
	// Nothing of it outlives a crash. To drop each of some hundred databases would
	// wait for the disk: 0.4 to 2.4 s on a busy machine, 0.02 s without.
	fsync: "off",
	full_page_writes: "off",
	// It may be in memory.
	max_wal_size: "256MB",
};
const STOP_SIGNALS = {
	smart: "SIGTERM",
	fast: "SIGINT",
	immediate: "SIGQUIT",
} as const;
const END_SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
const BACKGROUND = "background";

async function createAndStart(
	name: string,
	options: ServerOptions,
	copied?: { readonly source: CopySource; readonly password: string },
): Promise<Server> {
	removeLeftovers();
	const installation = await findPostgres();
	if ("reason" in installation) throw new Error(installation.reason);
	const port = options.port ?? (await freePort());
	// Trust would let every user of this machine run programs as this one; a
	// password costs 4 ms a connection.
	const password = copied?.password ?? randomText();
	const runner = runnerFor(installation, {
		port,
		password,
		copyOf: copied?.source,
		isInMemory: options.isInMemory ?? false,
		settings: { ...DEFAULT_SETTINGS, ...options.settings },
		endsWithParent: name !== BACKGROUND,
	});
	const server = new Server(name, runner, port, password);
	await server.create();
	return server;
}

class Server {
	/** Of superuser and database `postgres`. */
	readonly url: string;
	readonly port: number;
	/** A path of this machine, or of the container where docker runs the server. */
	readonly dataFolder: string;
	readonly #name: string;
	readonly #runner: Runner;

	constructor(name: string, runner: Runner, port: number, password: string) {
		this.#name = name;
		this.#runner = runner;
		this.port = port;
		this.url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
		this.dataFolder = runner.dataFolder;
	}

	async create(): Promise<void> {
		if (!createRecord(this.#record())) {
			throw new Error(`another process is starting server "${this.#name}"`);
		}
		removeAtExit(this);
		try {
			await this.#runner.create();
			await this.start();
		} catch (error) {
			await this.remove();
			throw error;
		}
	}

	/** The postmaster's; undefined while the server is down. */
	pid(): number | undefined {
		return this.#runner.pid();
	}

	/** Signals the postmaster and does not wait: SIGKILL makes a crash. */
	kill(signal: NodeJS.Signals): void {
		this.#runner.signal(signal);
	}

	/** Returns when the server is down. */
	async stop(mode: StopMode = "fast"): Promise<void> {
		this.kill(STOP_SIGNALS[mode]);
		await this.#down();
	}

	/** Signals one of its processes, by the pid that PostgreSQL shows. */
	killBackend(pid: number, signal: NodeJS.Signals): void {
		this.#runner.signalBackend(pid, signal);
	}

	/** Starts a server with a base backup of this one's data, on a port of its own. */
	copy({ asStandby = false, ...options }: CopyOptions = {}): Promise<Server> {
		return createAndStart(randomText(), options, {
			source: { port: this.port, asStandby },
			password: new URL(this.url).password,
		});
	}

	/** Makes a standby a primary; returns when it takes writes. */
	async promote(): Promise<void> {
		const client = new pg.Client({ connectionString: this.url });
		await client.connect();
		try {
			await client.query("SELECT pg_promote()");
		} finally {
			await client.end();
		}
	}

	/**
	 * Starts a PgBouncer in front of it, or of what listens at another port, in
	 * transaction mode; it goes with the server.
	 */
	async startPooler(
		settings: Readonly<Record<string, string>> = {},
		leadsTo?: number,
	): Promise<Pooler> {
		const port = await freePort();
		return this.#runner.startPooler({ port, settings, leadsTo });
	}

	/** Starts a stopped or killed server on its port; returns when it answers. */
	async start(): Promise<void> {
		await this.#down();
		// Backends outlive a killed postmaster by a moment, in which PostgreSQL
		// refuses to start.
		const lastTry = Date.now() + 10_000;
		while (!(await this.#launch())) {
			const log = this.#runner.log();
			const isTooEarly = log.includes("pre-existing shared memory block");
			if (!isTooEarly || Date.now() > lastTry) {
				throw new Error(`the server did not start:\n${lastLines(log)}`);
			}
			await sleep(100);
		}
	}

	/** Ends the server at once and deletes all it has. */
	async remove(): Promise<void> {
		this.removeNow();
		await this.#down();
	}

	/** What an exiting process can still do. */
	removeNow(): void {
		removeServer(this.#record());
		keepAtExit(this);
	}

	/** Lets the server outlive this process. */
	release(): void {
		const { owner: _, ...record } = this.#record();
		writeRecord(record);
		keepAtExit(this);
	}

	async #launch(): Promise<boolean> {
		await this.#runner.launch();
		writeRecord(this.#record());
		const lastTry = Date.now() + START_TIMEOUT_MS;
		while (this.pid() && Date.now() < lastTry) {
			if (await answers(this.url)) return true;
			await sleep(20);
		}
		return false;
	}

	async #down(): Promise<void> {
		const lastTry = Date.now() + STOP_TIMEOUT_MS;
		while (this.pid()) {
			if (Date.now() > lastTry) {
				throw new Error(
					`the server is still up:\n${lastLines(this.#runner.log())}`,
				);
			}
			await sleep(20);
		}
	}

	#record(): ServerRecord {
		return {
			name: this.#name,
			url: this.url,
			owner: markProcess(process.pid),
			place: this.#runner.place(),
		};
	}
}

/** One set for the process, because a process has one exit. */
const owned = new Set<Server>();

function removeAtExit(server: Server): void {
	if (owned.size === 0) {
		process.once("exit", removeOwned);
		for (const signal of END_SIGNALS) process.once(signal, exitOnSignal);
	}
	owned.add(server);
}

function keepAtExit(server: Server): void {
	owned.delete(server);
	if (owned.size > 0) return;
	process.off("exit", removeOwned);
	for (const signal of END_SIGNALS) process.off(signal, exitOnSignal);
}

function removeOwned(): void {
	for (const server of owned) server.removeNow();
}

/** A signal ends a process without "exit"; who else listens decides to exit. */
function exitOnSignal(signal: NodeJS.Signals, number: number): void {
	if (process.listenerCount(signal) === 0) process.exit(128 + number);
}

async function answers(url: string): Promise<boolean> {
	const client = new pg.Client({
		connectionString: url,
		connectionTimeoutMillis: 5_000,
	});
	client.on("error", () => {}); // it will be seen by the next try
	try {
		await client.connect();
	} catch {
		return false; // not yet, or the caller sees that the process has ended
	}
	await client.end();
	return true;
}

/**
 * Below the ports that systems hand to outgoing connections: while the server is
 * down, a client that reconnects to such a port may connect to itself.
 */
async function freePort(): Promise<number> {
	for (;;) {
		const port = randomInt(20_000, 30_000);
		if (await isFree(port)) return port;
	}
}

function isFree(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = createServer();
		probe.once("error", () => resolve(false));
		probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
	});
}

function randomText(): string {
	return randomBytes(9).toString("hex");
}

function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

const COMMANDS: Record<string, (port?: number) => Promise<void>> = {
	start: startInBackground,
	url: printUrl,
	stop: stopBackground,
	install,
};

async function main(): Promise<void> {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: { port: { type: "string" } },
	});
	const command = COMMANDS[positionals.join(" ")];
	if (!command) {
		throw new Error(`expected one of ${Object.keys(COMMANDS).join(", ")}`);
	}
	await command(values.port === undefined ? undefined : portOf(values.port));
}

function portOf(text: string): number {
	const port = Number(text);
	if (port > 0 && port < 65_536 && Number.isInteger(port)) return port;
	throw new Error(`expected --port to be 1 to 65535, found "${text}"`);
}

async function startInBackground(port?: number): Promise<void> {
	console.log(backgroundUrl() ?? (await newBackground(port)));
}

async function printUrl(): Promise<void> {
	const url = backgroundUrl();
	if (!url) throw new Error("no server runs in the background");
	console.log(url);
}

async function stopBackground(): Promise<void> {
	const record = readRecord(BACKGROUND);
	if (record) removeServer(record);
	say(record ? "stopped" : "no server runs in the background");
}

async function install(): Promise<void> {
	const found = await findPostgres();
	if ("reason" in found) throw new Error(found.reason);
	say(found.kind === "docker" ? found.image : join(found.root, found.bin));
}

function backgroundUrl(): string | undefined {
	const record = readRecord(BACKGROUND);
	const isUp = record && !record.owner && isServing(record);
	return isUp ? record.url : undefined;
}

async function newBackground(port: number | undefined): Promise<string> {
	removeLeftovers();
	const record = readRecord(BACKGROUND);
	if (record && !record.owner) removeServer(record);
	const server = await createAndStart(BACKGROUND, port ? { port } : {});
	server.release();
	return server.url;
}

function isProgram(): boolean {
	const program = process.argv[1];
	const file = fileURLToPath(import.meta.url);
	return (
		program !== undefined &&
		existsSync(program) &&
		realpathSync(program) === realpathSync(file)
	);
}

if (isProgram()) {
	await main().catch((error: unknown) => {
		say(messageOf(error));
		process.exitCode = 1;
	});
}
