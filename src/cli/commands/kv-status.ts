import type { Command } from "commander";
import type { KvProblem, KvStatus } from "../../index.ts";
import { withoutCreating } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem kv status` */
export function addKvStatus(kv: Command): void {
	const command = kv
		.command("status")
		.summary("whether it is in use, its entries, and what endangers it")
		.description(
			"Shows whether reads use the cache, how many entries each table has in it, and what would make it wrong: triggers that are off, prepared transactions in doubt.",
		)
		.action(async (options: DatabaseOptions) => {
			const terminal = new Terminal(options);
			const status = await withoutCreating(terminal, options, (service) =>
				service.kv.status(),
			);
			terminal.show(status, describeStatus(status));
		});
	addHelp(
		addDatabaseOptions(command),
		["rem kv status", "rem kv status --url postgresql://localhost/app --json"],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__SCHEMA"],
	);
}

function describeStatus(status: KvStatus): string[] {
	const { ready, rebuilding, standby, persistence, entries } = status;
	const use = ready
		? "ready: names are found in the cache"
		: `not ready: names are found in the tables${rebuilding ? ", a rebuild is under way" : ""}`;
	return [
		use,
		`${persistence}${standby ? ", on a standby" : ""}`,
		...Object.entries(entries ?? {}).map(
			([table, count]) => `${table}: ${counted(count, "entry", "entries")}`,
		),
		...status.problems.flatMap(describeProblem),
	];
}

export function describeProblem({ message, hint }: KvProblem): string[] {
	return [`problem: ${message}`, `  ${hint}`];
}
