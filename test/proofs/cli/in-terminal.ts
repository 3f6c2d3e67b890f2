import { spawn, spawnSync } from "node:child_process";
import { expect, onTestFinished } from "vitest";

/** Whether a command can be given a terminal: by `script` of util-linux, whose options BSD's lacks. */
export const hasTerminal = /util-linux/.test(
	spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "",
);

/** Whether the program is installed. */
export function isInstalled(program: string): boolean {
	return spawnSync(program, ["--version"]).error === undefined;
}

/** A command on a terminal, and who types. */
export interface InTerminal {
	/** Waits until the terminal shows the text, behind all that was waited for before. */
	shows(text: string): Promise<void>;
	type(text: string): void;
	/** All that was shown. */
	shown(): string;
	readonly ended: Promise<number | null>;
}

/** Runs the command line of a shell on a terminal of its own. */
export function inTerminal(
	command: string,
	{ cwd, env }: { cwd: string; env: Readonly<Record<string, string>> },
): InTerminal {
	// A new one has no size, and prompts wrap every letter.
	const sized = `stty cols 100 rows 30; ${command}`;
	const child = spawn("script", ["-qefc", sized, "/dev/null"], {
		cwd,
		env: { TERM: "xterm", SHELL: "/bin/sh", ...env },
		stdio: ["pipe", "pipe", "inherit"],
	});
	let output = "";
	let seen = 0;
	child.stdout.setEncoding("utf8").on("data", (text) => {
		output += text;
	});
	const ended = new Promise<number | null>((resolve) =>
		child.on("close", resolve),
	);
	onTestFinished(async () => {
		child.stdin.end();
		child.kill();
		await ended;
	});
	return {
		async shows(text) {
			await expect
				.poll(() => output.slice(seen), { timeout: 60_000 })
				.toContain(text);
			seen = output.indexOf(text, seen) + text.length;
		},
		type: (text) => child.stdin.write(text),
		shown: () => output,
		ended,
	};
}
