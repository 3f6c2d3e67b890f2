import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { addHelp, addOutputOptions } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type OutputOptions, Terminal } from "../output/terminal.ts";
import { describeWarning } from "../schema/describe-warning.ts";
import { UsageError } from "../usage-error.ts";

interface LintOptions extends OutputOptions {
	readonly migrations?: string;
}

/** `rem migrate lint --migrations FOLDER` */
export function addMigrateLint(migrate: Command, invocation: Invocation): void {
	const command = migrate
		.command("lint")
		.summary("find what hurts a database in use")
		.description(
			"Reads your migrations as PostgreSQL does and names what locks a table for long, writes it anew, loses rows or breaks programs that run meanwhile, each with the better way. `-- rem: ignore RULE` in a file silences a rule. Exit code 0: nothing was found; 1: something was.",
		)
		.option("--migrations <folder>", "your .sql files")
		.action(async (_: unknown, self: Command) => {
			if (!(await lint(self.optsWithGlobals<LintOptions>())))
				invocation.exitCode = 1;
		});
	addHelp(addOutputOptions(command), [
		"rem migrate lint --migrations migrations",
	]);
}

/** Whether nothing was found. */
async function lint(options: LintOptions): Promise<boolean> {
	const { migrations } = options;
	if (migrations === undefined)
		throw new UsageError("lint needs --migrations: the folder of your files");
	const [{ readMigrationFiles }, { lintFile }] = await Promise.all([
		import("../../migrate/migration-file.ts"),
		import("../../migrate/lint/lint.ts"),
	]);
	const files = await readMigrationFiles(migrations);
	const warnings = (await Promise.all(files.map(lintFile))).flat();
	new Terminal(options).show({ files: files.length, warnings }, [
		...warnings.map(describeWarning),
		`${counted(warnings.length, "warning")} in ${counted(files.length, "file")}`,
	]);
	return warnings.length === 0;
}
