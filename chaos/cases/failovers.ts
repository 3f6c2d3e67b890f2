import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresService } from "../../src/index.ts";
import type { ChaosCase, ChaosOptions, ChaosResult } from "../support/case.ts";
import { Cluster } from "../support/cluster.ts";
import type { models } from "../support/items.ts";
import { connect, prepare } from "../support/load.ts";
import { Registers } from "../support/registers.ts";
import { Stage } from "../support/stage.ts";
import { Tally } from "../support/tally.ts";
import { within } from "../support/within.ts";

type Service = PostgresService<typeof models>;

/** Calls through the client, half of them by PgBouncer, while primaries die and standbys take over. */
export const failovers: ChaosCase = {
	name: "failovers",
	run: failOverUnderCalls,
};

const longestFailoverMs = 300_000;
const longestEndMs = 120_000;
const writers = ["ann", "ben", "cid", "dot"];
const readers = 4;
const registersEach = 50;

export async function failOverUnderCalls({
	failovers: times,
	say,
}: ChaosOptions): Promise<ChaosResult> {
	const tally = new Tally();
	if (times === 0) return tally;
	const cluster = await Cluster.start((url) => prepare(url, 3000));
	const services: Service[] = [];
	try {
		const pooler = await cluster.startPooler();
		const urls = [cluster.url, pooler.url];
		const open = async (at: number) => {
			const service = await connect(urls[at % 2] as string);
			services.push(service);
			return service;
		};
		const registers = new Registers(writers, registersEach, tally);
		const stage = new Stage();
		for (const [at, owner] of writers.entries()) {
			const service = await open(at);
			stage.act(`writer ${owner}`, () => registers.write(service, owner));
		}
		for (let at = 0; at < readers; at++) {
			const service = await open(at);
			stage.act(`reader ${at + 1}`, () => registers.read(service), 1);
		}
		const waits: Waits[] = [];
		for (let failover = 1; failover <= times; failover++) {
			const title = `failover ${failover} of ${times}`;
			await cluster.synchronous();
			await sleep(1000 + randomInt(2000));
			waits.push(
				await within(
					longestFailoverMs,
					() => `${title} does not end`,
					failOver(cluster, registers),
				),
			);
			stage.check();
			tally.count("failovers: SIGKILL");
			say(`${title}; ${tally.summary()}`);
		}
		await cluster.synchronous();
		await sleep(500);
		await stage.finish();
		await registers.expectAll(services[0] as Service);
		noteWaits(tally, waits);
	} finally {
		await within(
			longestEndMs,
			() => "the connections do not close",
			Promise.allSettled(services.map((service) => service.close())),
		);
		await cluster.close();
	}
	return tally;
}

/** Milliseconds from the kill. */
interface Waits {
	/** Until the standby took writes, which is this test's doing. */
	readonly promotion: number;
	readonly read: number;
	/** Its commit waits for the new standby, so for a base backup too. */
	readonly write: number;
}

async function failOver(
	cluster: Cluster,
	registers: Registers,
): Promise<Waits> {
	const killed = performance.now();
	let promoted = Number.POSITIVE_INFINITY;
	const first = (what: "read" | "write") => async () => {
		// What was under way at the kill may still be answered.
		while (registers.last[what] < promoted) await sleep(5);
		return registers.last[what] - killed;
	};
	const done = cluster.failOver(true, () => {
		promoted = performance.now();
	});
	const [read, write] = await Promise.all([
		first("read")(),
		first("write")(),
		done,
	]);
	return { promotion: promoted - killed, read, write };
}

function noteWaits(tally: Tally, waits: readonly Waits[]): void {
	for (const what of ["promotion", "read", "write"] as const) {
		const sorted = waits.map((wait) => wait[what]).sort((a, b) => a - b);
		const at = (share: number) =>
			Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
		tally.figures[`ms from the kill to the first ${what}: median`] = at(0.5);
		tally.figures[`ms from the kill to the first ${what}: longest`] = at(1);
	}
}
