import type { Command } from "commander";
import { addDatabaseOptions, type DatabaseOptions } from "./options.ts";

export interface MigrateCommandOptions extends DatabaseOptions {
	readonly migrations?: string;
	readonly to?: string;
	readonly dryRun?: boolean;
	readonly targetUrl?: string;
	readonly lockTimeout?: number;
}

/** Of every command on a migrated database. */
export function addMigrationOptions(command: Command): Command {
	return addDatabaseOptions(command)
		.option(
			"--migrations <folder>",
			"your own .sql files, applied once each in the order of their numbers",
		)
		.option(
			"--target-url <url>",
			"connect to this address instead of --url: as the owner, past a pooler, where the application's own is neither",
		);
}

/** With the address to migrate over. */
export function onTarget<T extends MigrateCommandOptions>(options: T): T {
	const { targetUrl } = options;
	return targetUrl === undefined ? options : { ...options, url: targetUrl };
}
