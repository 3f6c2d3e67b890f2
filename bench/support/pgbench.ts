import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function hasPgbench(): boolean {
	return spawnSync("pgbench", ["--version"]).status === 0;
}

export interface PgbenchRun {
	/** As pgbench reads it: statements with `:variables`. */
	readonly script: string;
	readonly clients: number;
	/** Of each client. */
	readonly transactions: number;
}

/** Transactions a second, connecting not counted, each statement prepared once (`-M prepared`). */
export async function pgbench(url: string, run: PgbenchRun): Promise<number> {
	const folder = mkdtempSync(join(tmpdir(), "rem-bench-"));
	try {
		const file = join(folder, "script.sql");
		writeFileSync(file, run.script);
		const output = await start(url, [
			"--no-vacuum",
			"--protocol=prepared",
			`--client=${run.clients}`,
			`--transactions=${run.transactions}`,
			`--file=${file}`,
		]);
		const [, tps] = /^tps = ([\d.]+)/m.exec(output) ?? [];
		if (tps === undefined)
			throw new Error(`pgbench printed no tps:\n${output}`);
		return Number(tps);
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** Without stopping this process, whose timers and sockets live on. */
function start(url: string, args: readonly string[]): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = spawn("pgbench", [...args, url], {
			stdio: ["ignore", "pipe", "pipe"],
		});
		let output = "";
		let errors = "";
		child.stdout.on("data", (text) => {
			output += text;
		});
		child.stderr.on("data", (text) => {
			errors += text;
		});
		child.on("error", reject);
		child.on("close", (code) =>
			code === 0
				? resolve(output)
				: reject(new Error(`pgbench failed: ${errors}`)),
		);
	});
}
