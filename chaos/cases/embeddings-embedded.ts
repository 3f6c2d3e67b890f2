import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ChaosOptions, ChaosResult } from "../support/case.ts";
import {
	checkOutput,
	checkSecrets,
	checkSnapshot,
	checkWhole,
} from "../support/check-notes.ts";
import { Child } from "../support/child-process.ts";
import { connectNotes } from "../support/notes.ts";
import {
	beginFaults,
	endFaults,
	startProvider,
	untilAsked,
} from "../support/provider-faults.ts";
import { Tally } from "../support/tally.ts";

const notes = 300;

/** A process with the embedded database is killed while it writes and embeds; the next one goes on. */
export async function killEmbeddedWorkers({
	kills,
	say,
}: ChaosOptions): Promise<ChaosResult> {
	const tally = new Tally();
	if (kills === 0) return tally;
	const folder = mkdtempSync(join(tmpdir(), "rem-chaos-"));
	const provider = await startProvider();
	const open = () => connectNotes(`file:${folder}`, provider.openaiUrl);
	try {
		beginFaults(provider, randomInt(2 ** 31));
		for (let kill = 0; kill < kills; kill++) {
			const child = new Child("embedded-notes", [
				folder,
				provider.openaiUrl,
				String(notes),
			]);
			await child.begun();
			await untilAsked(provider, 5);
			await sleep(randomInt(1500));
			await child.kill();
			checkOutput(child.output, tally);
			tally.count("SIGKILLs");
			say(`embedded: kill ${kill + 1} of ${kills}`);
			const service = await open();
			await checkSnapshot(service, tally);
			await service.close();
		}
		endFaults(provider, tally);
		const service = await open();
		try {
			await service.embeddings.retry();
			await service.embeddings.sync();
			await checkWhole(service, tally);
			await checkSecrets(service, tally);
		} finally {
			await service.close();
		}
	} finally {
		await provider.close();
		rmSync(folder, { recursive: true, force: true });
	}
	const figures = Object.entries(tally.figures);
	return {
		figures: Object.fromEntries(
			figures.map(([what, figure]) => [`embedded: ${what}`, figure]),
		),
		violations: tally.violations.map((what) => `embedded: ${what}`),
	};
}
