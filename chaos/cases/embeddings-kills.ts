import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Server, startServer } from "../../scripts/postgres-server.ts";
import type { EmbeddingServer } from "../../test/support/embedding-server.ts";
import { until } from "../support/ask.ts";
import type { ChaosOptions, ChaosResult } from "../support/case.ts";
import {
	checkOutput,
	checkSecrets,
	checkSnapshot,
	checkWhole,
} from "../support/check-notes.ts";
import { Child } from "../support/child-process.ts";
import {
	changeNotes,
	copyIn,
	copyNotes,
	type NoteStep,
	orLost,
	upsertNotes,
} from "../support/note-writers.ts";
import {
	connectNotes,
	type NoteService,
	noteName,
	randomText,
} from "../support/notes.ts";
import {
	beginFaults,
	endFaults,
	startProvider,
	untilAsked,
} from "../support/provider-faults.ts";
import { Stage } from "../support/stage.ts";
import { Tally } from "../support/tally.ts";

/** Two worker processes embed what four writers write, and are killed; the provider misbehaves. */
export async function killWorkers(options: ChaosOptions): Promise<ChaosResult> {
	const tally = new Tally();
	if (options.workerKills === 0) return tally;
	const server = await startServer({ settings: { shared_buffers: "128MB" } });
	const provider = await startProvider();
	try {
		await runUnderLoad(server, provider, options, tally);
	} finally {
		await provider.close();
		await server.remove();
	}
	return tally;
}

async function runUnderLoad(
	server: Server,
	provider: EmbeddingServer,
	{ entities, workerKills, say }: ChaosOptions,
	tally: Tally,
): Promise<void> {
	const services: NoteService[] = [];
	const connect = async () => {
		const service = await connectNotes(server.url, provider.openaiUrl);
		services.push(service);
		return service;
	};
	const startWorker = () =>
		new Child("embedding-worker", [server.url, provider.openaiUrl]);
	const workers: Child[] = [];
	try {
		const service = await connect();
		await service.migrate();
		await copyIn(server.url, firstNotes(entities));
		beginFaults(provider, randomInt(2 ** 31));
		workers.push(startWorker(), startWorker());
		const steps: Readonly<Record<string, NoteStep>> = {
			upserts: upsertNotes(await connect(), tally),
			"read committed": changeNotes(await connect(), tally, "read committed"),
			"repeatable read": changeNotes(await connect(), tally, "repeatable read"),
			serializable: changeNotes(await connect(), tally, "serializable"),
			copies: orLost(copyNotes(server.url, tally)),
		};
		const stage = new Stage();
		for (const [name, step] of Object.entries(steps))
			stage.act(name, () => step(entities), 10);
		stage.act("checker", () => checkSnapshot(service, tally), 200);
		for (let kill = 0; kill < workerKills; kill++) {
			stage.check();
			const worker = workers.shift() as Child;
			await worker.begun();
			await untilAsked(provider, 20);
			await sleep(randomInt(1500));
			await worker.kill();
			checkOutput(worker.output, tally);
			tally.count("SIGKILLs of a worker");
			workers.push(startWorker());
			say(`kill ${kill + 1} of ${workerKills}`);
			if (kill % 4 === 1) await breakDown(provider, tally);
			if (kill % 4 === 3) await crash(server, tally);
		}
		await stage.finish();
		endFaults(provider, tally);
		say("waiting until nothing waits");
		await service.embeddings.retry();
		const { embedded } = await service.embeddings.sync();
		tally.count("texts left to the last sync", embedded);
		await checkWhole(service, tally);
		await checkSecrets(service, tally);
		for (const worker of workers) checkOutput(worker.output, tally);
	} finally {
		for (const worker of workers) await worker.kill();
		for (const service of services) await service.close();
	}
}

function firstNotes(entities: number): string {
	return Array.from({ length: entities }, (_, number) => {
		const text = randomText()?.trim() ?? "\\N";
		return `${number % 2 === 0 ? "north" : "south"}\t${noteName(number)}\t${text}\n`;
	}).join("");
}

async function breakDown(
	provider: EmbeddingServer,
	tally: Tally,
): Promise<void> {
	provider.outage(true);
	await sleep(2000);
	provider.outage(false);
	tally.count("outages of the provider");
}

async function crash(server: Server, tally: Tally): Promise<void> {
	server.kill("SIGKILL");
	await server.start();
	await until(server.url, "SELECT TRUE AS done");
	tally.count("SIGKILLs of the database server");
}
