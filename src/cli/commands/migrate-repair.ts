import type { Command } from "commander";
import { UsageError } from "../failure.ts";
import { withService } from "../open-service.ts";
import {
	addHelp,
	addMigrationOptions,
	type MigrateCommandOptions,
	onTarget,
} from "../options.ts";
import { Terminal } from "../output/terminal.ts";

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
	const repaired = await withService(terminal, options, (service) =>
		service.schema.repair({ migrations, names }),
	);
	terminal.show(
		{ repaired },
		repaired.map(({ name, done }) => `${done} ${name}`),
	);
}
