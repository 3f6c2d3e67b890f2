import { type Command, InvalidArgumentError, Option } from "commander";
import type { RecallExplanation, RecallItem } from "../../index.ts";
import { definitionOf } from "../../models/column-types.ts";
import { limits } from "../../models/limits.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	type ReadScopeOptions,
	readScopeOf,
	wholeNumber,
} from "../options.ts";
import {
	jsonExplanations,
	tableExplanationLines,
} from "../output/explanation.ts";
import { snakeNames } from "../output/json-text.ts";
import { counted, duration } from "../output/numbers.ts";
import { plainText } from "../output/plain-text.ts";
import { heading, type Line, Terminal } from "../output/terminal.ts";
import { cut } from "../output/text-width.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface RecallCommandOptions extends ReadScopeOptions {
	readonly table?: readonly string[];
	readonly limit?: number;
	readonly maxTokens?: number;
	readonly since?: Date;
	readonly explain?: boolean;
}

/** `rem recall TEXT` */
export function addRecall(program: Command): void {
	const command = program
		.command("recall")
		.helpGroup("Find:")
		.summary("find what there is about a question, in one call")
		.description(
			"Finds the entities that the text names, those that a hybrid search of every table finds, and what the best of them are linked to; each once, best first, in a budget of tokens.",
		)
		.argument("<text>", "a question, a message or a topic")
		.option(
			"-t, --table <table...>",
			"only entities of these tables (default: all)",
		)
		.addOption(
			new Option(
				"-n, --limit <n>",
				"maximum number of results (default: 10; with --max-tokens alone as many as fit)",
			).argParser(wholeNumber(1, limits.recallItems)),
		)
		.addOption(
			new Option(
				"--max-tokens <n>",
				"tokens of all texts together, estimated (default: 4000)",
			).argParser(wholeNumber(1, limits.recallTokens)),
		)
		.addOption(
			new Option(
				"--since <time>",
				"only what was written at that time or later, such as 2026-11-01",
			).argParser(time),
		)
		.option("--explain", "show what was looked for, and how it was searched")
		.action(recall);
	addHelp(
		addReadOptions(command),
		[
			'rem recall "who runs the payments migration?"',
			'rem recall "deploy kubernetes" --max-tokens 1000 --table resources moments',
			'rem recall "what did Sarah Chen write?" --since 2026-11-01 --json',
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__DEFAULT_TENANT",
			"EMBEDDING__PROVIDER",
			"EMBEDDING__MODEL",
			"OPENAI_API_KEY",
		],
	);
}

/** As times in files are read: in UTC where they name no zone, whatever the zone of this machine. */
function time(text: string): Date {
	const date = definitionOf("timestamptz").cell.read(text, false);
	if (!(date instanceof Date))
		throw new InvalidArgumentError(
			"Expected a date or a time, such as 2026-11-01 or 2026-11-01T12:00:00Z.",
		);
	return date;
}

async function recall(
	query: string,
	options: RecallCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const { table, limit, maxTokens, since, explain = false } = options;
	const { items, omitted, tokens, incomplete, ...found } = await withReader(
		terminal,
		options,
		async (service) => {
			const found = await service.recall({
				query,
				explain,
				...readScopeOf(options),
				...(limit === undefined ? {} : { limit }),
				...(maxTokens === undefined ? {} : { maxTokens }),
				...(table === undefined ? {} : { tables: table }),
				...(since === undefined ? {} : { since }),
			});
			if (found.items.length === 0 && found.omitted === 0)
				await noticeNothing(terminal, service, {
					options,
					text: "nothing was found",
				});
			return found;
		},
	);
	const explained = found.explain;
	terminal.show(
		{
			items: items.map(jsonItem),
			omitted,
			tokens,
			...(incomplete === undefined ? {} : { incomplete }),
			...(explained && { explain: jsonExplanation(explained) }),
		},
		[
			...recallLines(items, terminal.width),
			...(explained === undefined ? [] : explanationLines(explained)),
		],
	);
	if (omitted > 0)
		terminal.notice(
			`no room for ${counted(omitted, "item")}: a higher --max-tokens shows more`,
		);
}

export function jsonItem({ reasons, ...item }: RecallItem) {
	return {
		...snakeNames(item),
		reasons: reasons.map(jsonReason),
	};
}

function jsonReason({ ...reason }: RecallItem["reasons"][number]) {
	return {
		...snakeNames(reason),
		...("from" in reason ? { from: snakeNames(reason.from) } : {}),
	};
}

/** Each item with its text, and in the line before why it is there. */
export function recallLines(
	items: readonly RecallItem[],
	width: number,
): Line[] {
	return items.flatMap((item, at) => [
		...(at === 0 ? [] : [""]),
		heading(
			cut(
				plainText(
					`${item.entityType}/${item.entityKey ?? item.entityId}  ${item.score.toFixed(3)}  ${item.reasons.map(reasonText).join(", ")}`,
				),
				width,
			),
		),
		...item.text.split("\n").map((line) => `  ${plainText(line)}`),
	]);
}

function reasonText(reason: RecallItem["reasons"][number]): string {
	switch (reason.step) {
		case "lookup":
			return `named "${reason.via}"`;
		case "fuzzy":
			return `nearly "${reason.via}"`;
		case "edge":
			return `${reason.relType} from ${reason.via}`;
		case "text":
		case "vector":
			return `${reason.step} ${reason.rank}`;
	}
}

function jsonExplanation({
	tables,
	timing,
	candidates,
	...rest
}: RecallExplanation) {
	return {
		...snakeNames(rest),
		candidates: candidates.map(({ reason, ...candidate }) => ({
			...snakeNames(candidate),
			reason: jsonReason(reason),
		})),
		tables: jsonExplanations(tables),
		timing: snakeNames(timing),
	};
}

function explanationLines({
	names,
	fuzzyNames,
	tables,
	edges,
	timing,
}: RecallExplanation): Line[] {
	const { namesMs, searchMs, edgesMs, totalMs } = timing;
	return [
		"",
		heading("how"),
		`  ${counted(names.length, "name")} looked up, ${counted(fuzzyNames.length, "name")} compared, ${counted(edges, "edge")} followed`,
		`  names ${duration(namesMs)}, search ${duration(searchMs)}, edges ${duration(edgesMs)}, all ${duration(totalMs)}`,
		...tableExplanationLines(tables),
	];
}
