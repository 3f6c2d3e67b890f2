import { spawn } from "node:child_process";
import {
	chmodSync,
	mkdirSync,
	mkdtempSync,
	realpathSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, test } from "vitest";
import { nodeArguments } from "../../support/child-arguments.ts";
import {
	blocksOf,
	expectText,
	pages,
	root,
} from "../../support/documentation.ts";

// The commands of README.md and docs/*.md, where a reader first runs them: in a folder
// without a server, on the embedded database in ./.rem.

let folder: string;

beforeEach(() => {
	folder = realpathSync(mkdtempSync(join(tmpdir(), "remdb-docs-")));
	for (const name of ["docs", "samples"])
		symlinkSync(join(root, name), join(folder, name));
});
afterEach(() => rmSync(folder, { recursive: true }));

const withCommands = pages.filter(
	(page) => blocksOf(page, "console").length > 0,
);

test.each(withCommands)(
	"the commands of %s print the documented output",
	async (page) => {
		await runCommands(page);
	},
);

/** Runs each line that begins with `$` in a shell; the lines below are its output. */
async function runCommands(page: string): Promise<void> {
	const environment = {
		PATH: `${makeCommand()}${delimiter}${process.env.PATH}`,
		HOME: process.env.HOME,
		EMBEDDING__PROVIDER: "local",
	};
	let exitCode = 0;
	for (const { text, line } of blocksOf(page, "console"))
		for (const [, command = "", output = ""] of text.matchAll(
			/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm,
		)) {
			const result = await shell(`(exit ${exitCode}); ${command}`, environment);
			exitCode = result.exitCode;
			expectText(result.output, output, `${page}:${line}: ${command}`);
		}
}

/** `rem` as it is built. */
function makeCommand(): string {
	const bin = join(folder, "bin");
	mkdirSync(bin);
	writeFileSync(
		join(bin, "rem"),
		`#!/bin/sh\nexec "${process.execPath}" ${nodeArguments.join(" ")} "${join(root, "dist/cli/main.js")}" "$@"\n`,
	);
	chmodSync(join(bin, "rem"), 0o755);
	return bin;
}

/** stdout and stderr as a terminal shows them: one after the other. */
function shell(
	command: string,
	env: NodeJS.ProcessEnv,
): Promise<{ output: string; exitCode: number }> {
	const child = spawn("sh", ["-c", `exec 2>&1; ${command}`], {
		cwd: folder,
		env,
		stdio: ["ignore", "pipe", "inherit"],
	});
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		output += text;
	});
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) =>
			resolve({ output: withoutProgress(output), exitCode: code ?? 1 }),
		);
	});
}

/** A command that takes long, on a slow machine, says every few seconds how far it is. */
function withoutProgress(output: string): string {
	return output.replace(
		/^.+: (\d+ %, )?[\d,]+( of [\d,]+)?, .+(\/s| s).*\n/gm,
		"",
	);
}
