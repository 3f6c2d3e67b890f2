import { setTimeout as sleep } from "node:timers/promises";
import {
	type EmbeddingServer,
	type Fault,
	faults,
	startEmbeddingServer,
} from "../../test/support/embedding-server.ts";
import { isImpossible, secrets } from "./notes.ts";
import type { Tally } from "./tally.ts";

/** They say that a text is refused, for good: a provider that says so of a good text is believed. */
const lies: readonly Fault[] = ["bad-request", "too-large"];

/** After these a worker rests for minutes, or as if the account were wrongly set up. */
const pauses: readonly Fault[] = [
	"rate-limited-long",
	"no-credit",
	"key-refused",
	"forbidden",
	"no-such-model",
	"redirect",
	"other-model",
];

/** How many of all requests meet one of the ways to misbehave. */
const rates = { pause: 0.002, other: 0.015 };

export async function startProvider(): Promise<EmbeddingServer> {
	const server = await startEmbeddingServer({
		apiKey: secrets.apiKey,
		delayMs: 5,
	});
	server.refuse(isImpossible);
	return server;
}

export function beginFaults(server: EmbeddingServer, seed: number): void {
	const names = Object.keys(faults) as Fault[];
	const chosen = names
		.filter((name) => !lies.includes(name))
		.map((name) => [name, pauses.includes(name) ? rates.pause : rates.other]);
	server.misbehaveAtRandom(Object.fromEntries(chosen), seed);
}

/** From now on it answers as it should, and refuses the impossible texts only. */
export function endFaults(server: EmbeddingServer, tally: Tally): void {
	const { requests, texts, faults: met } = server.stats;
	tally.count("requests to the provider", requests);
	tally.count("texts in them", texts);
	tally.count("kinds of faults met", Object.keys(met).length);
	tally.count(
		"faults met",
		Object.values(met).reduce((sum, count) => sum + count, 0),
	);
	server.reset();
	server.refuse(isImpossible);
}

const patienceMs = 60_000;

/** Until it was asked some times more: whoever asks is in the middle of its work. */
export async function untilAsked(
	{ stats }: EmbeddingServer,
	times: number,
): Promise<void> {
	const enough = stats.requests + times;
	const lastTry = Date.now() + patienceMs;
	while (stats.requests < enough) {
		if (Date.now() > lastTry) throw new Error("nobody asks the provider");
		await sleep(10);
	}
}
