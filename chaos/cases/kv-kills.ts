import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ChaosOptions, ChaosResult } from "../support/case.ts";
import { connect } from "../support/load.ts";
import { compareWhole } from "../support/reader.ts";
import { Tally } from "../support/tally.ts";
import { within } from "../support/within.ts";

// The first start of the embedded database takes seconds, its checks too.
const longestStepMs = 180_000;

/** A process with the embedded database is killed while it writes; the next one opens the folder. */
export async function killEmbedded({
	kills,
	say,
}: ChaosOptions): Promise<ChaosResult> {
	const tally = new Tally();
	const folder = mkdtempSync(join(tmpdir(), "rem-chaos-"));
	const acknowledged: string[] = [];
	try {
		for (let kill = 0; kill < kills; kill++) {
			const title = `kill ${kill + 1} of ${kills}`;
			const names = await writeUntilKilled(folder, acknowledged.length);
			acknowledged.push(...names);
			tally.count("embedded: SIGKILLs");
			tally.count("embedded: acknowledged entities", names.length);
			await within(
				longestStepMs,
				() => `${title}: the folder cannot be checked`,
				expectAll(folder, acknowledged, tally),
			);
			say(`${title}; ${acknowledged.length} entities acknowledged`);
		}
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
	return tally;
}

/** The names of the entities that were acknowledged before the kill. */
async function writeUntilKilled(
	folder: string,
	from: number,
): Promise<string[]> {
	const child = startWriter(folder, from);
	const names: string[] = [];
	const lines = createInterface({
		input: child.stdout as NodeJS.ReadableStream,
	});
	// Not before it is reaped: till then its lock counts as a living process's.
	const ended = new Promise((resolve) => child.once("close", resolve));
	const begun = new Promise((resolve) => lines.once("line", resolve));
	lines.on("line", (line) => names.push(...(JSON.parse(line) as string[])));
	try {
		await within(
			longestStepMs,
			() => "the writer writes nothing",
			Promise.race([begun, ended]),
		);
		await sleep(randomInt(400));
	} finally {
		child.kill("SIGKILL");
	}
	await within(longestStepMs, () => "the killed writer does not end", ended);
	if (names.length === 0) throw new Error("the writer wrote nothing");
	return names;
}

function startWriter(folder: string, from: number): ChildProcess {
	const jiti = join(
		dirname(createRequire(import.meta.url).resolve("jiti/package.json")),
		"lib/jiti-cli.mjs",
	);
	const writer = fileURLToPath(
		new URL("../children/embedded-writer.ts", import.meta.url),
	);
	return spawn(process.execPath, [jiti, writer, folder, String(from * 2)], {
		stdio: ["ignore", "pipe", "inherit"],
	});
}

/** From the first request on, before any rebuild, and again behind it. */
async function expectAll(
	folder: string,
	names: readonly string[],
	tally: Tally,
): Promise<void> {
	const service = await connect(`file:${folder}`);
	try {
		for (const isRebuilt of [false, true]) {
			if (isRebuilt) await service.kv.ensureReady();
			const hits = await service.lookupEntities({
				entityKeys: names,
				tenantId: "north",
			});
			const found = new Set(hits.map(({ entityKey }) => entityKey));
			for (const name of names)
				if (!found.has(name))
					tally.violate(`embedded: an acknowledged entity is not found`);
			tally.count("embedded: names looked up", names.length);
		}
		if (!(await compareWhole(service, tally)))
			tally.violate("embedded: the cache is not ready after its rebuild");
	} finally {
		await service.close();
	}
}
