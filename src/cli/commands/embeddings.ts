import type { Command } from "commander";
import type { EmbeddingStatus, FieldStatus } from "../../index.ts";
import { spaceText } from "../../models/vector.ts";
import { withReader } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { count, counted, duration } from "../output/numbers.ts";
import { type Column, tableLines } from "../output/table.ts";
import { type Line, Terminal } from "../output/terminal.ts";
import {
	addEmbeddingsPrune,
	addEmbeddingsRetry,
	addEmbeddingsSwitch,
} from "./embeddings-model.ts";
import { addEmbeddingsSync } from "./embeddings-sync.ts";

/** `rem embeddings status | sync | retry | switch | prune` */
export function addEmbeddings(program: Command, invocation: Invocation): void {
	const embeddings = program
		.command("embeddings")
		.helpGroup("Maintain:")
		.summary("show and make vectors, change their model")
		.description(
			"Texts that change without their vector wait in a queue, whatever client changed them; this shows their state, and embeds them now.",
		);
	addEmbeddingsStatus(embeddings);
	addEmbeddingsSync(embeddings, invocation);
	addEmbeddingsRetry(embeddings);
	addEmbeddingsSwitch(embeddings);
	addEmbeddingsPrune(embeddings, invocation);
}

/** `rem embeddings status` */
function addEmbeddingsStatus(parent: Command): void {
	const command = parent
		.command("status")
		.summary("show texts, vectors, what waits and what is dead-lettered")
		.description(
			"Shows for every field and model how many texts there are, how many have the vector of their present content, how many wait for it, and why. It reads every text: some seconds for a million.",
		)
		.action(status);
	addHelp(addDatabaseOptions(command), [
		"rem embeddings status",
		"rem embeddings status --json | jq '[.fields[].queued] | add'",
	]);
}

async function status(options: DatabaseOptions): Promise<void> {
	const terminal = new Terminal(options);
	const status = await withReader(terminal, options, (service) =>
		service.embeddings.status(),
	);
	terminal.show(statusJson(status), statusLines(status, terminal.width));
}

function statusJson({ fields, ...status }: EmbeddingStatus) {
	return { ...snakeNames(status), fields: fields.map(snakeNames) };
}

function statusLines(
	{ fields, mismatched, configured }: EmbeddingStatus,
	width: number,
): Line[] {
	const used = fields.filter(
		({ texts, queued, dead }) => texts + queued + dead > 0,
	);
	const reasons = used.flatMap((field) =>
		field.reasons.map(
			({ reason, count }) =>
				`${field.tableName}.${field.fieldName}: ${counted(count, "text")}: ${reason}`,
		),
	);
	return [
		...(used.length === 0 ? ["no texts yet"] : []),
		...tableLines(used, columns, width),
		...reasons,
		...(mismatched.length === 0
			? []
			: [
					`the configured model is ${configured?.model}, these tables have vectors of another one: ${mismatched.join(", ")}`,
				]),
	];
}

const number = (
	title: string,
	value: (field: FieldStatus) => number,
): Column<FieldStatus> => ({
	title,
	value: (field) => (value(field) === 0 ? "" : count(value(field))),
	isRight: true,
});

const columns: readonly Column<FieldStatus>[] = [
	{
		title: "TEXTS OF",
		value: ({ tableName, fieldName }) => `${tableName}.${fieldName}`,
	},
	{
		title: "MODEL",
		value: spaceText,
	},
	{ title: "STATE", value: ({ state }) => state ?? "" },
	number("TEXTS", ({ texts }) => texts),
	number("EMBEDDED", ({ embedded }) => embedded),
	number("QUEUED", ({ queued }) => queued),
	number("DEAD", ({ dead }) => dead),
	{
		title: "OLDEST",
		value: ({ oldestMs }) => (oldestMs === undefined ? "" : duration(oldestMs)),
		isRight: true,
	},
];
