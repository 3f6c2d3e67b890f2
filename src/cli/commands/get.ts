import type { Command } from "commander";
import { withReader } from "../open-service.ts";
import { addHelp, addScopeOptions, type ScopeOptions } from "../options.ts";
import { Terminal } from "../output/terminal.ts";
import { type NamedRow, namedRows, scopeOfRows } from "../rows/named-rows.ts";
import { jsonRow, rowLines } from "../rows/row-text.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface GetCommandOptions extends ScopeOptions {
	readonly table?: string;
}

/** `rem get KEY…` */
export function addGet(program: Command): void {
	const command = program
		.command("get")
		.helpGroup("Rows:")
		.summary("show whole rows by key or id")
		.description(
			"Shows every value of the rows that are named: by key in any case, as table/key, or by id.",
		)
		.argument("<key...>", "keys, table/key, or ids")
		.option("-t, --table <table>", "only rows of this table")
		.action(get);
	addHelp(
		addScopeOptions(command),
		[
			"rem get sarah-chen",
			"rem get users/sarah-chen resources/handbook --json",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function get(
	names: readonly string[],
	options: GetCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const found: NamedRow[] = [];
	const missing: string[] = [];
	await withReader(terminal, { ...options, embeds: false }, async (service) => {
		const scope = scopeOfRows(service, options);
		for (const name of names) {
			const rows = await namedRows(scope, name, options.table);
			found.push(...rows);
			if (rows.length === 0) missing.push(name);
		}
		if (found.length === 0)
			await noticeNothing(terminal, service, {
				options,
				text: "nothing was found",
			});
	});
	terminal.show(
		found.map(jsonRow),
		found.flatMap((row) => rowLines(row, terminal.width)),
	);
	for (const name of missing) terminal.notice(`nothing is named "${name}"`);
}
