#!/usr/bin/env node
import { basename, relative } from "node:path";
import { setImmediate } from "node:timers/promises";
import { packageVersion } from "../util/package-file.ts";
import type { Invocation } from "./options.ts";

const signalCodes = { SIGINT: 130, SIGTERM: 143 } as const;

const longMs = 2 ** 30;

/** Answered here: to load every command takes three times as long as Node.js itself. */
const versionOptions = new Set(["-V", "--version"]);

describeRuntime();
await main(process.argv.slice(2));

/**
 * As Node.js does from version 21 on. Without it, `pg` looks for Cloudflare's runtime by
 * making a `Response`, for which Node.js 20 loads all of `fetch`.
 */
function describeRuntime(): void {
	if ("navigator" in globalThis) return;
	const [major] = process.versions.node.split(".");
	Object.defineProperty(globalThis, "navigator", {
		value: { userAgent: `Node.js/${major}` },
		configurable: true,
		enumerable: true,
	});
}

/** The one place that sets the exit code; the process ends when nothing is left to do. */
async function main(args: readonly string[]): Promise<void> {
	const output = watchOutput();
	const [first = ""] = args;
	if (versionOptions.has(first)) {
		process.stdout.write(`${packageVersion()}\n`);
		process.exitCode = (await output.report(args)) ? 1 : 0;
		return;
	}
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
	const { run } = await import("./run.ts");
	const { exitCode, failure } = await run(args, invocation);
	process.stderr.write(failure);
	const isLost = failure === "" && (await output.report(args));
	clearInterval(alive);
	process.exitCode =
		signal.aborted && !invocation.endsBySignal
			? signal.reason
			: isLost
				? 1
				: exitCode;
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

/**
 * `rem … | head` has what it wanted: the rest of the output goes nowhere. Output
 * that is lost on a full disk is a failure, whatever the command did.
 */
function watchOutput() {
	let lost: NodeJS.ErrnoException | undefined;
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code !== "EPIPE") lost ??= error;
	});
	// There is no other place to report it.
	process.stderr.on("error", () => {});
	return {
		/** Whether any output was lost, which it then reports. */
		async report(args: readonly string[]): Promise<boolean> {
			// A failed write is reported in a later turn.
			await setImmediate();
			if (lost === undefined) return false;
			const { describeFailure, failureText } = await import("./failure.ts");
			const { standardOutput, unwritable } = await import(
				"./output/unwritable.ts"
			);
			const failure = describeFailure(unwritable(standardOutput, lost), "rem");
			process.stderr.write(failureText(failure, args.includes("--json")));
			return true;
		},
	};
}

/** As installed `rem`; in a clone the file that was started. */
function programName(): string {
	const path = process.argv[1] ?? "";
	const name = basename(path);
	return name === "rem" || name === "remdb"
		? name
		: `node ${relative(process.cwd(), path)}`;
}
