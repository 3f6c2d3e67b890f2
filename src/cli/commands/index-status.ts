import type { Command } from "commander";
import type { IndexStatus } from "../../index.ts";
import { withoutCreating } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { about, progressOf } from "../output/index-progress.ts";
import { snakeNames } from "../output/json-text.ts";
import { bytes, counted } from "../output/numbers.ts";
import { tableLines } from "../output/table.ts";
import { type Line, Terminal } from "../output/terminal.ts";

/** `rem index status` */
export function addIndexStatus(parent: Command): void {
	const command = parent
		.command("status")
		.summary("show every index: state, size, progress, what it waits for")
		.description(
			"Shows the indexes that the models ask for, and invalid ones that no model asks for. Without --json, those that would not pay yet are only counted.",
		)
		.action(status);
	addHelp(addDatabaseOptions(command), [
		"rem index status",
		"rem index status --json | jq '.indexes[] | select(.usable | not)'",
	]);
}

async function status(options: DatabaseOptions): Promise<void> {
	const terminal = new Terminal(options);
	const { indexes } = await withoutCreating(terminal, options, (service) =>
		service.indexer.status(),
	);
	terminal.show(
		{ indexes: indexes.map(indexJson) },
		indexLines(indexes, terminal.width),
	);
}

function indexJson({ waitsFor, ...index }: IndexStatus) {
	return {
		...snakeNames(index),
		waits_for: waitsFor === null ? null : snakeNames(waitsFor),
	};
}

function indexLines(indexes: readonly IndexStatus[], width: number): Line[] {
	const shown = indexes.filter(({ state }) => state !== "deferred");
	const deferred = indexes.length - shown.length;
	return [
		...tableLines(
			shown,
			[
				{ title: "index", value: ({ indexName }) => indexName },
				{ title: "table", value: ({ tableName }) => tableName },
				{ title: "state", value: ({ state }) => state },
				{
					title: "size",
					value: ({ sizeBytes }) => (sizeBytes === 0 ? "" : bytes(sizeBytes)),
					isRight: true,
				},
				{ title: "progress", value: progressOf },
				{ title: "about", value: about },
			],
			width,
		),
		...(deferred === 0
			? []
			: [
					`${counted(deferred, "index waits", "indexes wait")} until ${deferred === 1 ? "its table has" : "their tables have"} enough rows to pay`,
				]),
	];
}
