import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Server, startServer } from "../../scripts/postgres-server.ts";
import { ask, until, untilReady } from "../support/ask.ts";
import type { ChaosOptions, ChaosResult } from "../support/case.ts";
import { prepare, startLoad, startReader } from "../support/load.ts";
import { openSwitchboard } from "../support/switchboard.ts";
import { Tally } from "../support/tally.ts";
import { within } from "../support/within.ts";

// A base backup and a promotion; on a loaded machine they take a while.
const longestFailoverMs = 300_000;

/** A synchronous standby takes over, after a crash of the primary and after a clean stop in turn. */
export async function failOverUnderLoad({
	failovers,
	say,
}: ChaosOptions): Promise<ChaosResult> {
	const tally = new Tally();
	if (failovers === 0) return tally;
	const settings = { shared_buffers: "64MB" };
	let primary = await startServer({ settings });
	const servers = new Set<Server>([primary]);
	const switchboard = await openSwitchboard(primary.url);
	try {
		await prepare(primary.url, 3000);
		const addStandby = async () => {
			const standby = await primary.copy({ asStandby: true });
			servers.add(standby);
			await until(
				primary.url,
				"SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming') AS done",
			);
			return standby;
		};
		// The copies have it too: a new primary acknowledges nothing before it has a standby.
		await ask(primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'");
		await ask(primary.url, "SELECT pg_reload_conf()");
		let standby = await addStandby();
		const failOver = async (isCrash: boolean) => {
			await until(
				primary.url,
				"SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync') AS done",
			);
			const reader = await startReader(standby.url, tally);
			await untilReady(primary.url);
			await sleep(500 + randomInt(1000));
			if (isCrash) primary.kill("SIGKILL");
			else await primary.stop("fast");
			await standby.promote();
			switchboard.switchTo(standby.url);
			servers.delete(primary);
			await primary.remove();
			primary = standby;
			standby = await addStandby();
			// Not before: the rebuild that it began commits when a standby has it.
			await reader.stop();
		};
		const load = await startLoad({ url: switchboard.url }, tally);
		try {
			for (let failover = 0; failover < failovers; failover++) {
				const isCrash = failover % 2 === 0;
				const title = `failover ${failover + 1} of ${failovers} (${isCrash ? "SIGKILL" : "clean stop"})`;
				await within(
					longestFailoverMs,
					() => `${title} does not end`,
					failOver(isCrash),
				);
				load.check();
				tally.count(isCrash ? "failovers: SIGKILL" : "failovers: clean stop");
				say(`${title}; ${tally.summary()}`);
			}
			await untilReady(primary.url);
			await sleep(500);
		} catch (error) {
			// What the end of the load finds may hide it.
			say(String(error));
			throw error;
		} finally {
			await load.finish();
		}
	} finally {
		await switchboard.close();
		for (const server of servers) await server.remove();
	}
	return tally;
}
