import type { Command } from "commander";
import { withService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem kv rebuild` */
export function addKvRebuild(kv: Command, { signal }: Invocation): void {
	const command = kv
		.command("rebuild")
		.summary("fill it from the tables now")
		.description(
			"Adds every name that is missing and marks the cache ready, in small batches while others read and write. It starts by itself when the cache was emptied; stopping it loses nothing. Entries that are wrong: rem kv verify --repair.",
		)
		.action((options: DatabaseOptions) => rebuild(options, signal));
	addHelp(
		addDatabaseOptions(command),
		["rem kv rebuild"],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__SCHEMA"],
	);
}

async function rebuild(
	options: DatabaseOptions,
	signal: AbortSignal,
): Promise<void> {
	const terminal = new Terminal(options);
	const result = await withService(terminal, options, async (service) => {
		const bar = terminal.lateProgress("rebuild");
		try {
			return await service.kv.rebuild({
				signal,
				onProgress: bar.onProgress,
			});
		} finally {
			bar.stop();
		}
	});
	terminal.show(result, [
		result.entries === 0
			? "ready: nothing was missing"
			: `ready: ${counted(result.entries, "missing entry", "missing entries")} added`,
	]);
}
