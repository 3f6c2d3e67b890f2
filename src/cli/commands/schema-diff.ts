import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { Difference } from "../../migrate/diff/difference.ts";
import { UsageError } from "../failure.ts";
import { type AnyService, withoutCreating } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { heading, type Line, Terminal } from "../output/terminal.ts";
import { writeMigration } from "../schema/write-migration.ts";

interface DiffOptions extends DatabaseOptions {
	readonly write?: string;
	readonly migrations?: string;
	readonly includeDangerous?: boolean;
}

/** `rem schema diff --models PATH` */
export function addSchemaDiff(schema: Command, invocation: Invocation): void {
	const command = schema
		.command("diff")
		.summary("compare models with the database")
		.description(
			"Compares the models with what the database has: columns, types, defaults, keys, checks, triggers and their functions, indexes. Prints the SQL that repairs each difference, what is dangerous (data lost, a table rewritten, a long lock) apart and with its reason. Changes nothing. Exit code 0: they are alike; 3: they differ.",
		)
		.option(
			"--write <name>",
			"write the statements as migrations of this name into --migrations",
		)
		.option("--migrations <folder>", "your folder of migrations")
		.option(
			"--include-dangerous",
			"with --write: what is dangerous is not commented out",
		)
		.action(async (options: DiffOptions) => {
			if (!(await diff(options))) invocation.exitCode = 3;
		});
	addHelp(
		addDatabaseOptions(command),
		[
			"rem schema diff --models src/models",
			"rem schema diff --models src/models --write add_rating --migrations migrations",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__SCHEMA"],
	);
}

/** Whether they are alike. */
async function diff(options: DiffOptions): Promise<boolean> {
	const { write, migrations, includeDangerous = false } = options;
	if (write !== undefined && migrations === undefined)
		throw new UsageError("--write needs --migrations: the folder to write to");
	const terminal = new Terminal(options);
	const { differences, pending } = await withoutCreating(
		terminal,
		{ ...options, embeds: false },
		async (service) => ({
			differences: await service.schema.diff(),
			pending:
				write === undefined ? [] : await pendingFiles(service, migrations),
		}),
	);
	const written =
		write === undefined || migrations === undefined || differences.length === 0
			? []
			: await writeMigration(differences, {
					name: write,
					folder: migrations,
					pending,
					includeDangerous,
				});
	const { renderDifferences } = await import("../../migrate/diff/render.ts");
	terminal.show(
		{ equal: differences.length === 0, differences, written },
		describe(differences, written, renderDifferences),
	);
	return differences.length === 0;
}

/** Files of the folder that are not applied yet. */
async function pendingFiles(
	service: AnyService,
	migrations: string | undefined,
): Promise<string[]> {
	if (migrations === undefined || !existsSync(migrations)) return [];
	const files = await service.schema.status({ migrations });
	return files.flatMap(({ name, kind, state }) =>
		kind === "file" && state === "pending" ? name : [],
	);
}

function describe(
	differences: readonly Difference[],
	written: readonly string[],
	render: (differences: readonly Difference[]) => string,
): Line[] {
	if (differences.length === 0) return ["the database is as the models are"];
	const safe = differences.filter(({ risk }) => risk === undefined);
	const dangerous = differences.filter(({ risk }) => risk !== undefined);
	const section = (title: string, part: readonly Difference[]): Line[] =>
		part.length === 0
			? []
			: [heading(`-- ${title}`), "", ...render(part).split("\n")];
	return [
		...section("safe: `rem migrate` does this by itself", safe),
		...section("dangerous: look at each", dangerous),
		`-- ${counted(differences.length, "difference")}: ${safe.length} safe to repair, ${dangerous.length} dangerous`,
		...written.map((file) => `-- wrote ${file}`),
	];
}
