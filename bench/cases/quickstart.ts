import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
	type BenchCase,
	below,
	type Context,
	type Figure,
} from "../support/case.ts";
import { type ChildRun, childPath, runChild } from "../support/child.ts";
import { settle } from "../support/paired.ts";

/** What a newcomer waits for: the quickstart, and opening the embedded database. */
export const quickstart: BenchCase = { name: "quickstart", run };

const root = fileURLToPath(new URL("../..", import.meta.url));
const command = join(root, "dist/cli/main.js");

async function run({ quick, rounds }: Context): Promise<Figure[]> {
	const wall: number[] = [];
	const peak: number[] = [];
	const readme: number[] = [];
	const readmePeak: number[] = [];
	const first: number[] = [];
	const again: number[] = [];
	const lookup: number[] = [];
	const lookupPeak: number[] = [];
	const version: number[] = [];
	for (let round = 0; round < (quick ? 3 : rounds); round++) {
		const folder = mkdtempSync(join(tmpdir(), "rem-bench-"));
		try {
			await settle();
			const run = await runChild(command, ["quickstart"], folder);
			wall.push(run.wallMs);
			peak.push(run.peakMB);
			await settle();
			const program = await runReadmeProgram();
			readme.push(program.wallMs);
			readmePeak.push(program.peakMB);
			first.push(await openEmbedded(join(folder, "database")));
			again.push(await openEmbedded(join(folder, "database")));
			const ask = [
				"lookup",
				"x",
				"--tenant",
				"t",
				"--url",
				`file:${join(folder, "database")}`,
			];
			// The first makes the tables.
			await runChild(command, ask);
			await settle();
			const found = await runChild(command, ask);
			lookup.push(found.wallMs);
			lookupPeak.push(found.peakMB);
			const bare = await runChild(childPath("nothing.mjs"));
			version.push(
				(await runChild(command, ["--version"])).wallMs / bare.wallMs,
			);
		} finally {
			rmSync(folder, { recursive: true });
		}
	}
	return [
		{
			name: "rem quickstart: whole process",
			values: wall,
			unit: "ms",
		},
		{
			name: "rem quickstart: peak memory",
			values: peak,
			unit: "MB",
			target: below(400),
		},
		{
			name: "the README's first program: whole process",
			values: readme,
			unit: "ms",
			target: below(1_500),
		},
		{
			name: "the README's first program: peak memory",
			values: readmePeak,
			unit: "MB",
			target: below(400),
		},
		{
			name: "embedded database in a folder: first open",
			values: first,
			unit: "ms",
			target: below(1_000),
		},
		{
			name: "embedded database in a folder: opened again",
			values: again,
			unit: "ms",
			target: below(500),
		},
		{
			name: "rem lookup on that folder: whole process",
			values: lookup,
			unit: "ms",
			target: below(900),
		},
		{
			name: "rem lookup: peak memory",
			values: lookupPeak,
			unit: "MB",
			target: below(300),
		},
		{
			name: "rem --version ÷ a program that does nothing",
			values: version,
			unit: "×",
			target: below(1.5),
		},
	];
}

/** In the folder of the package, which it imports by its name. */
function runReadmeProgram(): Promise<ChildRun> {
	const text = readFileSync(join(root, "README.md"), "utf8");
	const [, program = ""] = /^```ts\n(.*?)^```/ms.exec(text) ?? [];
	return runChild("--input-type=module", ["--eval", program], root);
}

async function openEmbedded(folder: string): Promise<number> {
	await settle();
	const { stdout } = await runChild(childPath("open-embedded.mjs"), [folder]);
	const { ms }: { ms: number } = JSON.parse(stdout);
	return ms;
}
