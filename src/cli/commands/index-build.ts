import type { Command } from "commander";
import { withService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { drainAloud } from "../output/index-progress.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";

const variables = [
	"BACKGROUND_INDEX__CONCURRENCY",
	"BACKGROUND_INDEX__MEMORY_MB",
	"BACKGROUND_INDEX__PARALLEL_WORKERS",
	"BACKGROUND_INDEX__LOCK_TIMEOUT_S",
	"HNSW__M",
	"HNSW__EF_CONSTRUCTION",
] as const;

/** `rem index build` */
export function addIndexBuild(parent: Command): void {
	const command = parent
		.command("build")
		.summary("build now what is missing or queued")
		.description(
			"Builds every index that is missing, invalid, changed or has failed, on each table that has rows, while others write. Stopping it is safe: the next one goes on.",
		)
		.action((options: DatabaseOptions) => build(options, true));
	addHelp(
		addDatabaseOptions(command),
		["rem index build", "BACKGROUND_INDEX__MEMORY_MB=8192 rem index build"],
		variables,
	);
}

/** `rem index repair` */
export function addIndexRepair(parent: Command): void {
	const command = parent
		.command("repair")
		.summary("repair invalid, changed and failed indexes")
		.description(
			"Drops what dead builds left behind and builds it again, replaces indexes whose definition has changed, and tries again those that had failed. What is only missing stays missing.",
		)
		.action((options: DatabaseOptions) => build(options, false));
	addHelp(addDatabaseOptions(command), ["rem index repair"], variables);
}

async function build(
	options: DatabaseOptions,
	missing: boolean,
): Promise<void> {
	const terminal = new Terminal(options);
	const built = await withService(terminal, options, async (service) => {
		const names = await service.indexer.repair({ missing });
		await drainAloud(terminal, service, names.length);
		return names;
	});
	terminal.show({ built }, [
		...built.map((name) => `built ${name}`),
		built.length === 0
			? "nothing to do"
			: `${counted(built.length, "index", "indexes")} built`,
	]);
}
