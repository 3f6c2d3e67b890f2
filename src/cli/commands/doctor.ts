import type { Command } from "commander";
import { RemError } from "../../errors.ts";
import type { Check, DoctorReport, IsolationReport } from "../../index.ts";
import {
	missingFolder,
	withoutCreating,
	withService,
} from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type Line, Terminal } from "../output/terminal.ts";
import { warnOfUndescribed } from "../undescribed-tables.ts";

interface DoctorOptions extends DatabaseOptions {
	readonly isolation?: boolean;
	readonly migrations?: string;
}

/** `rem doctor` */
export function addDoctor(program: Command, invocation: Invocation): void {
	const command = program
		.command("doctor")
		.helpGroup("Set up:")
		.summary("run every health check")
		.description(
			"A line for each check, ok, warning or failed, with what to do: connection, versions, extensions, clock, pool, pooler, standby, replica, subscriptions, migrations, schema, tenancy, cache of names, autovacuum, indexes, memory, embeddings and their queue. Changes nothing. Exit code 1 if anything failed. With --isolation instead: inserts a row of a made-up tenant into every table, tries to reach it as another tenant, and a user's as another user, through every read and write, and rolls it back; where row level security is set up, tries plain SQL too, and checks roles, owners and policies. Exit code 1 if anything is found.",
		)
		.option(
			"--migrations <folder>",
			"your own migrations, to compare with what was applied",
		)
		.option("--isolation", "whether tenants are isolated")
		.action((options: DoctorOptions) =>
			options.isolation === true
				? tryIsolation(options, invocation)
				: examine(options, invocation),
		);
	addHelp(
		addDatabaseOptions(command),
		[
			"rem doctor",
			"rem doctor --models src/models --migrations migrations --json",
			"rem doctor --isolation --url postgresql://app@localhost/remdb",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__ROW_LEVEL_SECURITY"],
	);
}

async function examine(
	options: DoctorOptions,
	invocation: Invocation,
): Promise<void> {
	const terminal = new Terminal(options);
	const { migrations } = options;
	const folder = await missingFolder(options);
	const report =
		folder === undefined
			? await withService(
					terminal,
					{ ...options, takesAnyTables: true },
					async (service) => {
						const report = await service.doctor({ migrations });
						const [connection] = report.checks;
						if (connection?.state !== "failed")
							await warnOfUndescribed(terminal, service, options);
						return report;
					},
				).catch(notConnected)
			: failedConnection(
					`there is no embedded database in ${folder}`,
					"rem migrate creates it, as does the first `rem load`",
				);
	if (report.state === "failed") invocation.exitCode = 1;
	terminal.show(report, reportLines(report));
}

const ofTheServer = [
	"CONNECTION_FAILED",
	"POOL_TIMEOUT",
	"SERVER_UNSUPPORTED",
	"EXTENSION_MISSING",
	"EMBEDDED_LOCKED",
];

/** Where nothing else can be looked at, that is the report. */
function notConnected(error: unknown): DoctorReport {
	if (!(error instanceof RemError) || !ofTheServer.includes(error.code))
		throw error;
	return failedConnection(error.message, error.hint ?? "docs/errors.md");
}

function failedConnection(found: string, remedy: string): DoctorReport {
	const check: Check = { name: "connection", state: "failed", found, remedy };
	return { state: "failed", checks: [check] };
}

function reportLines({ checks }: DoctorReport): Line[] {
	const width = Math.max(...checks.map(({ name }) => name.length));
	const count = (state: Check["state"]) =>
		checks.filter((check) => check.state === state).length;
	return [
		...withRemedies(checks, width),
		`${count("ok")} ok, ${counted(count("warning"), "warning")}, ${count("failed")} failed`,
	];
}

/** Findings of one check with the same remedy stand together above it; no remedy is printed twice. */
function withRemedies(checks: readonly Check[], width: number): Line[] {
	const groups = new Map<string, Check[]>();
	for (const check of checks) {
		const key = `${check.name}: ${check.remedy}`;
		groups.set(key, [...(groups.get(key) ?? []), check]);
	}
	const printed = new Set<string>();
	return [...groups.values()].flatMap((group) => {
		const [{ name, remedy } = { name: "" }] = group;
		const lines = group.map((check) => findingLine(check, width));
		if (remedy === undefined) return lines;
		const text = printed.has(remedy) ? `${name}: ${remedy}` : remedy;
		printed.add(remedy);
		return [...lines, `${" ".repeat(7 + 2 + width + 2)}→ ${text}`];
	});
}

function findingLine({ name, state, found }: Check, width: number): Line {
	const text = `${state.padEnd(7)}  ${name.padEnd(width)}  ${found}`;
	return state === "ok" ? text : { text, style: "bold" };
}

/** `rem doctor --isolation` */
async function tryIsolation(
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
		? "row level security applies"
		: "row level security is not set up (optional: rem schema generate --rls)";
	return [
		...(library.length === 0
			? [`every read and write isolates the tenants of ${tried}`]
			: library.map((problem) => `NOT APART: ${problem}`)),
		...(database.problems.length === 0
			? [wall]
			: database.problems.map((problem) => `row level security: ${problem}`)),
	];
}
