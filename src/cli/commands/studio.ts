import type { Command } from "commander";
import { missingFolder, openService } from "../open-service.ts";
import type { Invocation } from "../options.ts";
import { addHelp, addScopeOptions, wholeNumber } from "../options.ts";
import { Terminal } from "../output/terminal.ts";
import type { StudioCommandOptions } from "../studio/run-studio.ts";

/** `rem studio` */
export function addStudio(program: Command, invocation: Invocation): void {
	const command = program
		.command("studio")
		.helpGroup("Run:")
		.summary("see what is in the memory, and why it was, or was not, recalled")
		.description(
			"Opens a page on this machine: searches with their ranked lists, entities, their graph, the database's health, and a console. Read-only unless --write. The address that is printed has a token: whoever has it sees what the page shows.",
		)
		.option(
			"--port <port>",
			"port of the page (default: a free one)",
			wholeNumber(0, 65_535),
		)
		.option("--write", "also edit, delete, restore, link and embed entities")
		.option("--no-open", "print the address only, and open no browser")
		.option(
			"--host <address>",
			"address to listen on, where other machines are to reach it (default: 127.0.0.1)",
		)
		.action((options: StudioCommandOptions) => serve(options, invocation));
	addHelp(
		addScopeOptions(command),
		[
			"rem studio",
			"rem studio --tenant acme-corp --write",
			"rem studio --port 4400 --no-open --models ./models",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__DEFAULT_TENANT",
			"EMBEDDING__PROVIDER",
		],
	);
}

async function serve(
	options: StudioCommandOptions,
	invocation: Invocation,
): Promise<void> {
	const terminal = new Terminal(options);
	invocation.endsBySignal = true;
	// Loaded while the database opens.
	const [service, { runStudio }] = await Promise.all([
		openService(terminal, await place(terminal, options)),
		import("../studio/run-studio.ts"),
	]);
	try {
		await runStudio({ service, options, terminal, invocation });
	} finally {
		await service.close();
	}
}

/** What only looks creates no database: an empty one in memory takes its place. */
async function place(
	terminal: Terminal,
	options: StudioCommandOptions,
): Promise<StudioCommandOptions> {
	if (options.write === true) return options;
	const folder = await missingFolder(options);
	if (folder === undefined) return options;
	terminal.notice(
		`there is no embedded database in ${folder}: it is treated as empty and not created`,
	);
	return { ...options, url: "memory:" };
}
