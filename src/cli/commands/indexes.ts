import type { Command } from "commander";
import type { IndexStatus } from "../../index.ts";
import { withoutCreating, withService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { about, drainAloud, progressOf } from "../output/index-progress.ts";
import { snakeNames } from "../output/json-text.ts";
import { bytes, counted } from "../output/numbers.ts";
import { tableLines } from "../output/table.ts";
import { type Line, Terminal } from "../output/terminal.ts";

/** `rem index status | build | repair` */
export function addIndexes(program: Command): void {
	const index = program
		.command("index")
		.helpGroup("Maintain:")
		.summary("show, build and repair indexes")
		.description(
			"Indexes are built in the background while the application writes; this shows their state, and builds them now.",
		);
	addIndexStatus(index);
	addIndexBuild(index);
	addIndexRepair(index);
}

/** `rem index status` */
function addIndexStatus(parent: Command): void {
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
	const { indexes } = await withoutCreating(
		terminal,
		{ ...options, embeds: false },
		(service) => service.indexer.status(),
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

const variables = [
	"BACKGROUND_INDEX__CONCURRENCY",
	"BACKGROUND_INDEX__MEMORY_MB",
	"BACKGROUND_INDEX__PARALLEL_WORKERS",
	"BACKGROUND_INDEX__LOCK_TIMEOUT_S",
	"HNSW__M",
	"HNSW__EF_CONSTRUCTION",
] as const;

/** `rem index build` */
function addIndexBuild(parent: Command): void {
	const command = parent
		.command("build")
		.summary("build now what is missing or queued")
		.description(
			"Builds every index that is missing, invalid, changed or has failed, on each table that has rows, while others write. Stopping it is safe: the next run continues.",
		)
		.action((options: DatabaseOptions) => build(options, true));
	addHelp(
		addDatabaseOptions(command),
		["rem index build", "BACKGROUND_INDEX__MEMORY_MB=8192 rem index build"],
		variables,
	);
}

/** `rem index repair` */
function addIndexRepair(parent: Command): void {
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
	const built = await withService(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const names = await service.indexer.repair({ missing });
			await drainAloud(terminal, service, names.length);
			return names;
		},
	);
	terminal.show({ built }, [
		...built.map((name) => `built ${name}`),
		built.length === 0
			? "nothing to do"
			: `${counted(built.length, "index", "indexes")} built`,
	]);
}
