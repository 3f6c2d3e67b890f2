import type { Command } from "commander";
import { describeProblem } from "../models/model-problems.ts";
import { addHelp, addOutputOptions, type Invocation } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type OutputOptions, Terminal } from "../output/terminal.ts";

interface ValidateOptions extends OutputOptions {
	readonly models: string;
}

/** `rem schema validate --models PATH` */
export function addSchemaValidate(
	schema: Command,
	invocation: Invocation,
): void {
	const command = schema
		.command("validate")
		.summary("check models, all mistakes at once")
		.description(
			"Names everything that prevents a model from being a table, with file, model and field. Exit code 0: all are valid; 1: some are not.",
		)
		.requiredOption(
			"--models <path>",
			"file or folder of modules that export your models",
		)
		.action(async (options: ValidateOptions) => {
			if (!(await validate(options))) invocation.exitCode = 1;
		});
	addHelp(addOutputOptions(command), [
		"rem schema validate --models src/models",
		"rem schema validate --models src/models/document.ts --json",
	]);
}

/** Whether all are valid. */
async function validate(options: ValidateOptions): Promise<boolean> {
	const { findModels } = await import("../models/load-models.ts");
	const { models, problems } = await findModels(options.models);
	const summary =
		problems.length === 0
			? `${counted(models.length, "model is", "models are")} valid`
			: `${counted(problems.length, "problem")} in ${counted(models.length, "model")}`;
	new Terminal(options).show(
		{
			models: models.map(({ file, entity }) => ({
				file,
				table: entity.tableName,
			})),
			problems,
		},
		[...problems.map(describeProblem), summary],
	);
	return problems.length === 0;
}
