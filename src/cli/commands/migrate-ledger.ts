import type { Command } from "commander";
import type { MigrationStatus } from "../../migrate/status.ts";
import { UsageError } from "../failure.ts";
import { withoutCreating, withService } from "../open-service.ts";
import {
	addHelp,
	addMigrationOptions,
	type MigrateCommandOptions,
	onTarget,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { type Column, tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem migrate status` */
export function addMigrateStatus(migrate: Command): void {
	const command = migrate
		.command("status")
		.summary("what was applied, and what is to be")
		.description(
			"Every file of remdb, every file of yours and every model: applied (when, by whom, how long it took), pending, changed, or edited, missing, out of order and interrupted, which `rem migrate` refuses or continues.",
		)
		.action(status);
	addHelp(addMigrationOptions(command), [
		"rem migrate status --models src/models --migrations migrations",
	]);
}

async function status(_: unknown, command: Command): Promise<void> {
	const options = onTarget(command.optsWithGlobals<MigrateCommandOptions>());
	const terminal = new Terminal(options);
	const { migrations } = options;
	const rows = await withoutCreating(
		terminal,
		{ ...options, embeds: false },
		(service) => service.schema.status({ migrations }),
	);
	terminal.show(
		rows.map(snakeNames),
		tableLines(rows, columns, terminal.width),
	);
}

const columns: readonly Column<MigrationStatus>[] = [
	{ title: "name", value: ({ name }) => name },
	{ title: "kind", value: ({ kind }) => kind },
	{ title: "state", value: ({ state }) => state },
	{
		title: "applied",
		value: ({ appliedAt }) =>
			appliedAt?.toISOString().slice(0, 19).replace("T", " "),
	},
	{ title: "by", value: ({ appliedBy }) => appliedBy },
	{ title: "ms", value: ({ durationMs }) => durationMs, isRight: true },
];

/** `rem migrate repair FILE…` */
export function addMigrateRepair(migrate: Command): void {
	const command = migrate
		.command("repair")
		.summary("accept files that were edited or removed on purpose")
		.description(
			"Makes the ledger agree with your folder for the named files, and runs nothing: an edited file is accepted as it is now, a removed one is forgotten.",
		)
		.argument("<file...>", "names of files")
		.action(repair);
	addHelp(addMigrationOptions(command), [
		"rem migrate repair 0003_add_rating.sql --migrations migrations",
	]);
}

async function repair(
	names: readonly string[],
	_: unknown,
	command: Command,
): Promise<void> {
	const options = onTarget(command.optsWithGlobals<MigrateCommandOptions>());
	const { migrations } = options;
	if (migrations === undefined)
		throw new UsageError("repair needs --migrations: the folder of your files");
	const terminal = new Terminal(options);
	const repaired = await withService(
		terminal,
		{ ...options, embeds: false },
		(service) => service.schema.repair({ migrations, names }),
	);
	terminal.show(
		{ repaired },
		repaired.map(({ name, done }) => `${done} ${name}`),
	);
}
