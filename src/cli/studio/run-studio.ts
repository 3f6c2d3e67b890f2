import { spawn } from "node:child_process";
import type { Server } from "node:http";
import { hostname, networkInterfaces } from "node:os";
import { listen, portOf } from "../../http/http-server.ts";
import { loadSqlGrammar } from "../../sql-grammar.ts";
import {
	nodeListener,
	type StudioHandler,
	studio,
} from "../../studio/index.ts";
import { type AnyService, migrateAloud } from "../open-service.ts";
import type { Invocation, ScopeOptions } from "../options.ts";
import type { Terminal } from "../output/terminal.ts";
import { warnOfOtherModels } from "../undescribed-tables.ts";

export interface StudioCommandOptions extends ScopeOptions {
	readonly port?: number;
	readonly write?: boolean;
	readonly open?: boolean;
	readonly host?: string;
}

interface StudioRun {
	readonly service: AnyService;
	readonly options: StudioCommandOptions;
	readonly terminal: Terminal;
	readonly invocation: Invocation;
}

/** Serves the page until a signal ends it. */
export async function runStudio(run: StudioRun): Promise<void> {
	const { options, terminal, invocation } = run;
	await setUp(run);
	// Loaded in the background, it would delay the first page.
	await loadSqlGrammar();
	const { host = "127.0.0.1" } = options;
	if (!isLoopback(host))
		terminal.warn(
			`the studio listens on ${host}: other machines reach it, over plain HTTP, and every client that has the token sees the memory`,
		);
	const server = await listen({
		port: options.port ?? 0,
		host,
		option: "--port",
	});
	try {
		const handler = openHandler(run, host);
		server.on("request", nodeListener(handler));
		const address = addressOf(server, host, handler);
		terminal.show({ url: address }, [address]);
		terminal.notice("open this address; Ctrl+C ends the studio");
		if (options.open !== false) openBrowser(address);
		await aborted(invocation.signal);
		handler.close();
	} finally {
		await close(server);
	}
}

/** A database without its tables shows nothing; the embedded one is set up where it may be written. */
async function setUp({ service, options, terminal }: StudioRun): Promise<void> {
	if (await warnOfOtherModels(terminal, service, options)) return;
	if (service.capabilities.kind !== "embedded") return;
	const files = await service.schema.status();
	if (files.every(({ state }) => state === "applied")) return;
	const { database } = service.core.settings;
	const isInMemory =
		database.kind === "embedded" && database.folder === undefined;
	if (options.write === true || isInMemory)
		await migrateAloud(terminal, service);
	else
		terminal.warn(
			"the database is not what the models ask for: run rem migrate, or add --write",
		);
}

function openHandler(
	{ service, options }: StudioRun,
	host: string,
): StudioHandler {
	const { tenant, user, write = false } = options;
	return studio(service, {
		writable: write,
		...(tenant === undefined ? {} : { tenantId: tenant }),
		...(user === undefined ? {} : { userId: user }),
		...(isLoopback(host) ? {} : { hosts: hostsOf(host) }),
	});
}

/** Names by which other machines call it: numbers only, which no answer of a DNS server can take the place of. */
function hostsOf(host: string): string[] {
	const own = ["127.0.0.1", "localhost", "[::1]"];
	if (!isAny(host)) return [...own, urlHost(host)];
	const addresses = Object.values(networkInterfaces())
		.flatMap((addresses) => addresses ?? [])
		.map(({ address }) => urlHost(address));
	return [...own, hostname(), ...addresses];
}

function isAny(host: string): boolean {
	return host === "0.0.0.0" || host === "::";
}

function isLoopback(host: string): boolean {
	return host === "localhost" || host === "::1" || /^127\./.test(host);
}

function urlHost(host: string): string {
	return host.includes(":") ? `[${host}]` : host;
}

function addressOf(
	server: Server,
	host: string,
	{ token = "" }: StudioHandler,
): string {
	const shown = isAny(host) ? "127.0.0.1" : urlHost(host);
	return `http://${shown}:${portOf(server)}/?token=${token}`;
}

/** Streams of pages have ended; a request under way gets a moment. */
async function close(server: Server): Promise<void> {
	const closed = new Promise((resolve) => server.close(resolve));
	server.closeIdleConnections();
	const timer = setTimeout(() => server.closeAllConnections(), graceMs);
	await closed;
	clearTimeout(timer);
}

const graceMs = 5000;

function aborted(signal: AbortSignal): Promise<void> {
	if (signal.aborted) return Promise.resolve();
	return new Promise((resolve) => {
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
}

/** Opens the user's browser, where a person is at the terminal; the address is printed anyway. */
function openBrowser(address: string): void {
	if (process.stdout.isTTY !== true) return;
	const [command, ...args] = commands[process.platform] ?? ["xdg-open"];
	const child = spawn(command ?? "xdg-open", [...args, address], {
		stdio: "ignore",
		detached: true,
	});
	child.on("error", () => {
		// There is none: the address can be opened by hand.
	});
	child.unref();
}

const commands: Partial<Record<NodeJS.Platform, readonly string[]>> = {
	darwin: ["open"],
	win32: ["explorer"],
};
