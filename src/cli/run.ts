import type { Command } from "commander";
import { RemError } from "../errors.ts";
import { describeFailure, failureText } from "./failure.ts";
import type { Invocation } from "./options.ts";
import { buildProgram } from "./program.ts";

export interface Outcome {
	readonly exitCode: number;
	/** What went wrong, for stderr; empty where nothing did. */
	readonly failure: string;
}

/** Runs a command line; results are printed as they come. */
export async function run(
	args: readonly string[],
	invocation: Invocation,
): Promise<Outcome> {
	const program = buildProgram(invocation);
	try {
		await program.parseAsync(args, { from: "user" });
		return { exitCode: invocation.exitCode, failure: "" };
	} catch (error) {
		const failure = describeFailure(
			withModelsHint(error, args),
			calledCommand(program, args),
		);
		return {
			exitCode: failure.exitCode,
			failure: failureText(failure, isJson(args)),
		};
	}
}

/** Without `--models` the tables are the built-in ones, which the names of one's own do not resemble. */
function withModelsHint(error: unknown, args: readonly string[]): unknown {
	const isUnknown =
		error instanceof RemError &&
		error.code === "UNKNOWN_ENTITY" &&
		error.hint?.startsWith("did you mean") !== true;
	if (!isUnknown || args.some((arg) => /^(?:-m|--models(?:=|$))/.test(arg)))
		return error;
	const { code, message, hint, cause } = error;
	return new RemError(code, message, {
		hint: `${hint === undefined ? "" : `${hint}; `}a table of your own needs --models PATH`,
		cause,
	});
}

/** Errors are printed as results are, also that of an unknown option. */
function isJson(args: readonly string[]): boolean {
	return args.includes("--json") || args.includes("-j");
}

/** `rem schema generate`: as much of the arguments as are commands. */
function calledCommand(program: Command, args: readonly string[]): string {
	const names = [program.name()];
	let command: Command | undefined = program;
	for (const arg of args) {
		command = command.commands.find((sub) => sub.name() === arg);
		if (command === undefined) break;
		names.push(arg);
	}
	return names.join(" ");
}
