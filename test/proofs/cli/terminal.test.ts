import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { main, rem, temporaryFolder } from "../../cli/run-rem.ts";
import { hasTerminal, inTerminal, isInstalled } from "./in-terminal.ts";

// What only a person at a terminal meets: prompts, and the keys of their shell.

const node = JSON.stringify(process.execPath);
const path = process.env.PATH ?? "";
const needsTerminal = hasTerminal
	? ""
	: " (skipped: there is no `script` of util-linux)";

describe.skipIf(!hasTerminal)(`on a terminal${needsTerminal}`, () => {
	const run = (args: string, cwd: string) =>
		inTerminal(`${node} ${JSON.stringify(main)} ${args}`, {
			cwd,
			env: { PATH: path },
		});

	test("init asks for the language, and writes the project in it", async () => {
		const folder = temporaryFolder();
		const terminal = run("init", folder);
		await terminal.shows("Which language?");
		terminal.type("\x1b[B");
		terminal.type("\r");
		expect(await terminal.ended).toBe(0);
		expect(terminal.shown()).toContain("wrote models/note.js");
		expect(existsSync(join(folder, "models/note.js"))).toBe(true);
		expect(existsSync(join(folder, "tsconfig.json"))).toBe(false);
	});

	test("init that is left writes nothing", async () => {
		const folder = temporaryFolder();
		const terminal = run("init", folder);
		await terminal.shows("Which language?");
		terminal.type("\x03");
		await terminal.ended;
		expect(terminal.shown()).toContain("nothing was written");
		expect(readdirSync(folder)).toEqual([]);
	});

	test.each([
		["n", 1, "nothing was deleted"],
		["y", 0, "1 row deleted"],
	])("delete asks first: %s", async (answer, rows, message) => {
		const folder = temporaryFolder();
		const url = `file:${join(folder, "db")}`;
		writeFileSync(join(folder, "rows.json"), '[{"name":"one"}]');
		const options = ["--url", url];
		await rem(["load", "rows.json", "-t", "resources", ...options], {
			cwd: folder,
		});
		const terminal = run(`delete one --url ${url}`, folder);
		await terminal.shows("resources/one");
		terminal.type(`${answer}\r`);
		await terminal.ended;
		expect(terminal.shown()).toContain(message);
		const { stdout } = await rem(["get", "one", "--json", ...options]);
		expect(JSON.parse(stdout)).toHaveLength(rows);
	});
});

describe("completion in a shell", () => {
	/** A folder with `rem` as a command, for PATH. */
	const bin = temporaryFolder();
	const program = join(bin, "rem");
	writeFileSync(
		program,
		`#!/bin/sh\nexec ${node} ${JSON.stringify(main)} "$@"\n`,
	);
	chmodSync(program, 0o755);
	const env = { PATH: `${bin}:${path}`, HOME: temporaryFolder() };

	/** Each line begun, and how the shell completes its last word at a tab. */
	const lines = [
		["rem list resou", "rem list resources"],
		["rem embeddings sta", "rem embeddings status"],
		["rem list --order", "rem list --order-by"],
		[
			"rem load x --format jsonl --on-embedding-error q",
			"rem load x --format jsonl --on-embedding-error queue",
		],
	] as const;

	/** With a tab behind the line, then `echo` before it, the shell prints what it completed. */
	async function completes(shell: string, start: string): Promise<void> {
		const { stdout: script } = await rem(["completion", shell]);
		const folder = temporaryFolder({ completion: script });
		const terminal = inTerminal(start, { cwd: folder, env });
		terminal.type("PS1='ready''> '\n");
		await terminal.shows("ready> ");
		if (shell === "zsh") {
			terminal.type("autoload -Uz compinit && compinit -u -D && bindkey -e\n");
			await terminal.shows("ready> ");
		}
		terminal.type(". ./completion\n");
		await terminal.shows("ready> ");
		for (const [begun, whole] of lines) {
			terminal.type(`${begun}\t`);
			const rest = whole.slice(begun.length);
			await terminal.shows(rest);
			terminal.type("\x01echo =\x05=\n");
			await terminal.shows(`=${whole}`);
			await terminal.shows("ready> ");
		}
		terminal.type("exit\n");
		await terminal.ended;
	}

	const shells = [
		["bash", "bash --norc --noprofile -i"],
		["zsh", "zsh -f -i"],
	] as const;
	for (const [shell, start] of shells) {
		const isThere = isInstalled(shell);
		const reason = isThere
			? needsTerminal
			: ` (skipped: ${shell} is not installed)`;
		test.skipIf(!isThere || !hasTerminal)(
			`${shell} completes at a tab${reason}`,
			async () => {
				await completes(shell, start);
			},
		);
	}

	const hasFish = isInstalled("fish");
	test.skipIf(!hasFish)(
		`fish completes${hasFish ? "" : " (skipped: fish is not installed)"}`,
		async () => {
			const { stdout: script } = await rem(["completion", "fish"]);
			const folder = temporaryFolder({ "rem.fish": script });
			for (const [begun, whole] of lines) {
				const found = execFileSync(
					"fish",
					["--no-config", "-c", `source rem.fish; complete -C '${begun}'`],
					{ cwd: folder, env, encoding: "utf8" },
				);
				const words = found.split("\n").map((line) => line.split("\t")[0]);
				expect(words).toContain(whole.split(" ").at(-1));
			}
		},
	);
});
