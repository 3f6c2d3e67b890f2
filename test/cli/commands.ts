import type { Command } from "commander";
import type { Invocation } from "../../src/cli/options.ts";
import { buildProgram } from "../../src/cli/program.ts";

/** A run of the program that no signal stops. */
export const invocation = (): Invocation => ({
	signal: new AbortController().signal,
	program: "rem",
	exitCode: 0,
	endsBySignal: false,
});

/** Every command that does something, as it is typed. */
function leaves(command: Command, path: readonly string[] = []): string[][] {
	return command.commands
		.filter((sub) => sub.name() !== "help")
		.flatMap((sub) => {
			const name = [...path, sub.name()];
			const isGroup = sub.commands.length > 0 && sub.name() !== "migrate";
			return [...(isGroup ? [] : [name]), ...leaves(sub, name)];
		});
}

export const commands = leaves(buildProgram(invocation()));
