import type { Command } from "commander";
import { readEnvironment } from "../config.ts";
import { RemError, withParts } from "../errors.ts";
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

/** Without models of the caller's, a suggestion is a built-in table: the one that is meant may be among the others. */
function withModelsHint(error: unknown, args: readonly string[]): unknown {
	const isUnknown =
		error instanceof RemError && error.code === "UNKNOWN_ENTITY";
	if (!isUnknown || namesModels(args)) return error;
	const advice = "a table of your own needs --models PATH";
	const { hint = "" } = error;
	if (hint === "") return withParts(error, { hint: advice });
	return withParts(error, {
		hint: hint.endsWith("?")
			? `${hint} A${advice.slice(1)}`
			: `${hint}; ${advice}`,
	});
}

function namesModels(args: readonly string[]): boolean {
	return (
		args.some((arg) => /^(?:-m|--models(?:=|$))/.test(arg)) ||
		readEnvironment().MODELS__PATH !== undefined
	);
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
