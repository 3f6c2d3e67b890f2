import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export interface ChildRun {
	readonly wallMs: number;
	/** Most memory it ever had resident. */
	readonly peakMB: number;
	readonly cpuMs: number;
	readonly stdout: string;
}

/** Runs a program under Node.js, from its start to its end; throws if it fails. */
export async function runChild(
	program: string,
	args: readonly string[] = [],
	cwd?: string,
): Promise<ChildRun> {
	const folder = mkdtempSync(join(tmpdir(), "rem-bench-"));
	const peakFile = join(folder, "peak");
	try {
		const started = performance.now();
		const stdout = await run(
			["--import", reportPeak, program, ...args],
			{ ...process.env, REM_BENCH_PEAK_FILE: peakFile },
			cwd,
		);
		const wallMs = performance.now() - started;
		const [peakMB = Number.NaN, cpuMs = Number.NaN] = readFileSync(
			peakFile,
			"utf8",
		)
			.split(" ")
			.map(Number);
		return { wallMs, peakMB, cpuMs, stdout };
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** Path of a file in bench/children. */
export function childPath(name: string): string {
	return fileURLToPath(new URL(`../children/${name}`, import.meta.url));
}

const reportPeak = pathToFileURL(childPath("report-peak.mjs")).href;

function run(
	args: readonly string[],
	env: NodeJS.ProcessEnv,
	cwd: string | undefined,
): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, args, {
			env,
			cwd,
			stdio: ["ignore", "pipe", "pipe"],
		});
		let stdout = "";
		let stderr = "";
		child.stdout.setEncoding("utf8").on("data", (text) => {
			stdout += text;
		});
		child.stderr.setEncoding("utf8").on("data", (text) => {
			stderr += text;
		});
		child.on("error", reject);
		child.on("close", (code) => {
			if (code === 0) resolve(stdout);
			else reject(new Error(`a child ended with ${code}: ${stderr.trim()}`));
		});
	});
}
