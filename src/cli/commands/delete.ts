import type { Command } from "commander";
import { withService } from "../open-service.ts";
import { addHelp, addScopeOptions, type ScopeOptions } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";
import { isConfirmed } from "../rows/confirm.ts";
import {
	type NamedRow,
	namedRows,
	scopeOfRows,
	theRowNamed,
} from "../rows/named-rows.ts";
import { jsonRow, refuseMissing, rowName } from "../rows/row-text.ts";

interface DeleteCommandOptions extends ScopeOptions {
	readonly table?: string;
	readonly yes?: boolean;
}

/** `rem delete KEY…` */
export function addDelete(program: Command): void {
	const command = program
		.command("delete")
		.helpGroup("Rows:")
		.summary("delete rows softly, by key or id")
		.description(
			"Deletes the rows that are named, by key, table/key or id. They are deleted softly: found by nothing any more, and restored by the repository's restore. All of them, or none where a name is unknown.",
		)
		.argument("<key...>", "keys, table/key, or ids")
		.option("-t, --table <table>", "rows of this table")
		.option("-y, --yes", "do not ask")
		.action(deleteRows);
	addHelp(
		addScopeOptions(command),
		[
			"rem delete handbook --yes",
			"rem delete resources/handbook users/sarah-chen",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function deleteRows(
	names: readonly string[],
	options: DeleteCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const isAsked = isConfirmed(options, "delete");
	await withService(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const scope = scopeOfRows(service, options);
			const rows = new Map<string, NamedRow>();
			const missing: string[] = [];
			for (const name of new Set(names)) {
				const found = await namedRows(scope, name, options.table);
				if (found.length === 0) missing.push(name);
				else {
					const row = await theRowNamed(scope, name, options.table);
					rows.set(row.id, row);
				}
			}
			refuseMissing(missing);
			const all = [...rows.values()];
			for (const row of all) terminal.notice(rowName(row));
			if (!(await isAsked(`delete ${counted(all.length, "row")}?`))) {
				terminal.notice("nothing was deleted");
				return;
			}
			await service.transaction(async (transaction) => {
				for (const { entity, id } of all)
					await scope.repository(entity).delete(id, undefined, { transaction });
			});
			terminal.show({ deleted: all.map(jsonRow) }, [
				`${counted(all.length, "row")} deleted`,
			]);
		},
	);
}
