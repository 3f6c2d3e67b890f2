import type { IsolationReport } from "../../index.ts";
import type { Invocation } from "../invocation.ts";
import { withoutCreating } from "../open-service.ts";
import type { DatabaseOptions } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type Line, Terminal } from "../output/terminal.ts";

/** `rem doctor --isolation` */
export async function tryIsolation(
	options: DatabaseOptions,
	invocation: Invocation,
): Promise<void> {
	const terminal = new Terminal(options);
	const report = await withoutCreating(terminal, options, (service) =>
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
