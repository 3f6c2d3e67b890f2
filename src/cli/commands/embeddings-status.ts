import type { Command } from "commander";
import type { EmbeddingStatus, FieldStatus } from "../../index.ts";
import { withReader } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { count, counted, duration } from "../output/numbers.ts";
import { type Column, tableLines } from "../output/table.ts";
import { type Line, Terminal } from "../output/terminal.ts";

/** `rem embeddings status` */
export function addEmbeddingsStatus(parent: Command): void {
	const command = parent
		.command("status")
		.summary("show texts, vectors, what waits and what is dead-lettered")
		.description(
			"Shows for every field and model how many texts there are, how many have the vector of their present content, how many wait for it, and why. It looks at every text: of a million, for some seconds.",
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
		value: ({ provider, model, dimensions }) =>
			`${provider} ${model} (${dimensions})`,
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
