import type { Command } from "commander";
import { addIndexBuild, addIndexRepair } from "./index-build.ts";
import { addIndexStatus } from "./index-status.ts";

/** `rem index status | build | repair` */
export function addIndexes(program: Command): void {
	const index = program
		.command("index")
		.helpGroup("Maintain:")
		.summary("show, build and mend indexes")
		.description(
			"Indexes are built in the background while the application writes; this shows how they stand, and works them off now.",
		);
	addIndexStatus(index);
	addIndexBuild(index);
	addIndexRepair(index);
}
