import type { Command } from "commander";
import { withService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem migrate` */
export function addMigrate(program: Command): void {
	const command = program
		.command("migrate")
		.helpGroup("Set up:")
		.summary("bring the database to the models")
		.description(
			"Creates what is missing: extensions, the cache of names, and each model's table, vectors, triggers and indexes. Safe to run again: what is there already stays as it is.",
		)
		.action(migrate);
	addHelp(
		addDatabaseOptions(command),
		[
			"rem migrate --url postgresql://me:secret@localhost/remdb",
			"rem migrate --models src/models",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__HOST",
			"POSTGRES__SCHEMA",
			"KV_STORE__PERSISTENCE",
		],
	);
}

async function migrate(options: DatabaseOptions): Promise<void> {
	const terminal = new Terminal(options);
	const { applied } = await withService(terminal, options, (service) =>
		service.migrate(),
	);
	terminal.show(
		{ applied },
		applied.length === 0
			? ["up to date: nothing to do"]
			: applied.map((name) => `applied ${name.replace(/^entity:/, "table ")}`),
	);
}
