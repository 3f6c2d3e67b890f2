import type { Command } from "commander";
import { withTables } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";
import {
	addModelOptions,
	type ModelOptions,
	namedModel,
} from "./embeddings-sync.ts";

/** `rem embeddings retry` */
export function addEmbeddingsRetry(parent: Command): void {
	const command = parent
		.command("retry")
		.summary("retry dead-lettered texts")
		.description(
			"Puts dead-lettered texts back into the queue; `rem embeddings sync` or a running worker embeds them.",
		)
		.action(retry);
	addHelp(addDatabaseOptions(command), [
		"rem embeddings retry && rem embeddings sync",
	]);
}

async function retry(options: DatabaseOptions): Promise<void> {
	const terminal = new Terminal(options);
	const queued = await withTables(terminal, options, (service) =>
		service.embeddings.retry(),
	);
	terminal.show({ queued }, [`${counted(queued, "text")} queued again`]);
}

/** `rem embeddings switch MODEL` */
export function addEmbeddingsSwitch(parent: Command): void {
	const command = parent
		.command("switch")
		.summary("let searches and writes use a model that was filled")
		.description(
			"Makes a model that `rem embeddings sync --model` has filled the active one of every table. Running programs follow within five seconds. The vectors of the former model stay until they are pruned.",
		)
		.argument("<model>", "the model to use from now on")
		.action(switchModel);
	addHelp(addDatabaseOptions(addModelOptions(command)), [
		"rem embeddings switch text-embedding-3-large",
	]);
}

async function switchModel(
	model: string,
	options: ModelOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const switched = await withTables(terminal, options, (service) =>
		service.embeddings.switch(namedModel(model, options)),
	);
	terminal.show({ switched }, [
		switched.length === 0
			? `${model} is in use already: nothing to do`
			: `${counted(switched.length, "table")} switched to ${model}: ${switched.join(", ")}`,
	]);
	if (switched.length > 0)
		terminal.notice(
			"set EMBEDDING__MODEL to it as well, so that new tables begin with it",
		);
}

/** `rem embeddings prune MODEL` */
export function addEmbeddingsPrune(
	parent: Command,
	{ signal }: Invocation,
): void {
	const command = parent
		.command("prune")
		.summary("remove the vectors of a model that is not in use any more")
		.description(
			"Removes a model's vectors and their indexes from every table. A model that searches use is not removed.",
		)
		.argument("<model>", "the model to remove")
		.action((model: string, options: ModelOptions) =>
			prune(model, options, signal),
		);
	addHelp(addDatabaseOptions(addModelOptions(command)), [
		"rem embeddings prune text-embedding-3-small",
	]);
}

async function prune(
	model: string,
	options: ModelOptions,
	signal: AbortSignal,
): Promise<void> {
	const terminal = new Terminal(options);
	const removed = await withTables(terminal, options, (service) =>
		service.embeddings.prune(namedModel(model, options), { signal }),
	);
	terminal.show({ removed }, [
		`${counted(removed, "vector")} of ${model} removed`,
	]);
}
