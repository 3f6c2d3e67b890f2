import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Server, startServer } from "../../scripts/postgres-server.ts";
import { ask, until, untilReady } from "../support/ask.ts";
import type { ChaosOptions, ChaosResult } from "../support/case.ts";
import { prepare, startLoad } from "../support/load.ts";
import { Tally } from "../support/tally.ts";
import { within } from "../support/within.ts";

// Recovery takes a second; the library's own retries under it some more.
const longestCycleMs = 240_000;

/** Crashes of four kinds in turn, some of them into a rebuild. */
export async function crashUnderLoad({
	cycles,
	say,
}: ChaosOptions): Promise<ChaosResult> {
	const tally = new Tally();
	if (cycles === 0) return tally;
	const server = await startServer({ settings: { shared_buffers: "128MB" } });
	try {
		await prepare(server.url, 5_000);
		const pooler = await server.startPooler().catch((error: Error) => {
			say(`without a pooler: ${error.message}`);
			return undefined;
		});
		const load = await startLoad(
			{ url: server.url, poolerUrl: pooler?.url },
			tally,
		);
		try {
			for (let cycle = 0; cycle < cycles; cycle++) {
				const { name, crash } = crashes[cycle % crashes.length] as Crash;
				const title = `crash ${cycle + 1} of ${cycles} (${name})`;
				await within(
					longestCycleMs,
					() => `${title} does not end`,
					crashOnce(server, crash, cycle),
				);
				load.check();
				tally.count(name);
				say(`${title}; ${tally.summary()}`);
			}
			await sleep(500);
		} catch (error) {
			// What the end of the load finds may hide it.
			say(String(error));
			throw error;
		} finally {
			await load.finish();
			await pooler?.stop();
		}
	} finally {
		await server.remove();
	}
	return tally;
}

async function crashOnce(
	server: Server,
	crash: Crash["crash"],
	cycle: number,
): Promise<void> {
	await sleep(200 + randomInt(600));
	// Every other cycle the cache is emptied without a crash as well.
	if (cycle % 2 === 1) await truncateCache(server.url);
	await sleep(randomInt(300));
	await crash(server);
	await until(server.url, "SELECT TRUE AS done");
	if (cycle % 3 !== 0) await untilReady(server.url);
}

interface Crash {
	readonly name: string;
	readonly crash: (server: Server) => Promise<void>;
}

const crashes: readonly Crash[] = [
	{
		name: "crashes: SIGKILL of the postmaster",
		crash: async (server) => {
			server.kill("SIGKILL");
			await server.start();
		},
	},
	{
		name: "crashes: SIGKILL of one backend",
		crash: async (server) => {
			await killSomeBackend(server);
			// The others notice in a moment.
			await sleep(50);
		},
	},
	{
		name: "crashes: immediate stop",
		crash: async (server) => {
			await server.stop("immediate");
			await server.start();
		},
	},
	{
		name: "restarts",
		crash: async (server) => {
			await server.stop("fast");
			await server.start();
		},
	},
];

async function killSomeBackend(server: Server): Promise<void> {
	for (let attempt = 1; ; attempt++) {
		const [row] = await ask<{ pid: number }>(
			server.url,
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1",
		);
		try {
			if (row !== undefined) return server.killBackend(row.pid, "SIGKILL");
		} catch (error) {
			// It has disconnected in the meantime: then another one.
			if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
		}
		if (attempt === 20) throw new Error("nobody stays connected");
		await sleep(100);
	}
}

async function truncateCache(url: string): Promise<void> {
	await ask(url, "TRUNCATE kv_store");
}
