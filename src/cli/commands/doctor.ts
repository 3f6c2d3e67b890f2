import type { Command } from "commander";
import type { IsolationReport } from "../../index.ts";
import type { Invocation } from "../invocation.ts";
import { withService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type Line, Terminal } from "../output/terminal.ts";
import { UsageError } from "../usage-error.ts";

interface DoctorOptions extends DatabaseOptions {
	readonly isolation?: boolean;
}

/** `rem doctor` */
export function addDoctor(program: Command, invocation: Invocation): void {
	const command = program
		.command("doctor")
		.helpGroup("Set up:")
		.summary("try whether all is well")
		.description(
			"With --isolation: puts a row of a made-up tenant into every table, looks for it as another tenant through every read and write, and takes it back. Where row level security is set up, tries plain SQL too, and looks at roles, owners and policies. Exit code 1 if anything is found.",
		)
		.option("--isolation", "whether tenants are kept apart")
		.action((options: DoctorOptions) => examine(options, invocation));
	addHelp(
		addDatabaseOptions(command),
		[
			"rem doctor --isolation",
			"rem doctor --isolation --url postgresql://app@localhost/remdb --json",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__ROW_LEVEL_SECURITY"],
	);
}

async function examine(
	options: DoctorOptions,
	invocation: Invocation,
): Promise<void> {
	if (options.isolation !== true)
		throw new UsageError("say what to examine: --isolation");
	const terminal = new Terminal(options);
	const report = await withService(terminal, options, (service) =>
		service.checkIsolation(),
	);
	const { library, database } = report;
	if (library.length + database.problems.length > 0) invocation.exitCode = 1;
	terminal.show(
		{
			library,
			database: {
				is_set_up: database.isSetUp,
				problems: database.problems,
			},
			tables: report.tables,
		},
		isolationLines(report),
	);
}

function isolationLines({
	library,
	database,
	tables,
}: IsolationReport): Line[] {
	const tried = counted(tables.length, "table");
	const wall = database.isSetUp
		? "row level security holds"
		: "row level security is not set up (optional: rem schema generate --rls)";
	return [
		...(library.length === 0
			? [`tenants are kept apart by every read and write of ${tried}`]
			: library.map((problem) => `NOT APART: ${problem}`)),
		...(database.problems.length === 0
			? [wall]
			: database.problems.map((problem) => `row level security: ${problem}`)),
	];
}
