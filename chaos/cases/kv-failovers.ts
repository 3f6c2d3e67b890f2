import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { untilReady } from "../support/ask.ts";
import type { ChaosOptions, ChaosResult } from "../support/case.ts";
import { Cluster } from "../support/cluster.ts";
import { prepare, startLoad, startReader } from "../support/load.ts";
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
	const cluster = await Cluster.start((url) => prepare(url, 3000));
	try {
		const failOver = async (isCrash: boolean) => {
			await cluster.synchronous();
			const reader = await startReader(cluster.standbyUrl, tally);
			await untilReady(cluster.primaryUrl);
			await sleep(500 + randomInt(1000));
			await cluster.failOver(isCrash);
			// Not before: the rebuild that it began commits when a standby has it.
			await reader.stop();
		};
		const load = await startLoad({ url: cluster.url }, tally);
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
			await untilReady(cluster.primaryUrl);
			await sleep(500);
		} catch (error) {
			// What the end of the load finds may hide it.
			say(String(error));
			throw error;
		} finally {
			await load.finish();
		}
	} finally {
		await cluster.close();
	}
	return tally;
}
