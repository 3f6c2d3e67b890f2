#!/usr/bin/env node
import { basename, relative } from "node:path";
import type { Invocation } from "./options.ts";
import { run } from "./run.ts";

const signalCodes = { SIGINT: 130, SIGTERM: 143 } as const;

const longMs = 2 ** 30;

await main(process.argv.slice(2));

/** The one place that sets the exit code; the process ends when nothing is left to do. */
async function main(args: readonly string[]): Promise<void> {
	for (const stream of [process.stdout, process.stderr])
		stream.on("error", ignoreClosedPipe);
	const signal = stopOnSignals();
	const invocation: Invocation = {
		signal,
		program: programName(),
		exitCode: 0,
		endsBySignal: false,
	};
	// Background work keeps no process alive, nor does an idle
	// connection; the command that waits for it must.
	const alive = setInterval(() => {}, longMs);
	const { exitCode, failure } = await run(args, invocation);
	process.stderr.write(failure);
	clearInterval(alive);
	process.exitCode =
		signal.aborted && !invocation.endsBySignal ? signal.reason : exitCode;
}

/** The first signal asks the command to stop; the second does not ask. */
function stopOnSignals(): AbortSignal {
	const controller = new AbortController();
	for (const name of ["SIGINT", "SIGTERM"] as const)
		process.on(name, () => {
			if (controller.signal.aborted) process.exit(signalCodes[name]);
			controller.abort(signalCodes[name]);
		});
	return controller.signal;
}

/** `rem … | head` has what it wanted: the rest of the output goes nowhere. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
	if (error.code !== "EPIPE") throw error;
}

/** As installed `rem`; in a clone the file that was started. */
function programName(): string {
	const path = process.argv[1] ?? "";
	const name = basename(path);
	return name === "rem" || name === "remdb"
		? name
		: `node ${relative(process.cwd(), path)}`;
}
