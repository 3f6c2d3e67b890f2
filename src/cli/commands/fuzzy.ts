import { type Command, Option } from "commander";
import type { FuzzyBound, FuzzyHit, FuzzyMode } from "../../index.ts";
import { fuzzyModes } from "../../query/fuzzy-score.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	limitOption,
	type ReadScopeOptions,
	readScopeOf,
	similarityOption,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { type Column, tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface FuzzyCommandOptions extends ReadScopeOptions {
	readonly limit: number;
	readonly threshold?: number;
	readonly type?: string;
	readonly mode?: FuzzyMode;
}

/** `rem fuzzy TEXT` */
export function addFuzzy(program: Command): void {
	const command = program
		.command("fuzzy")
		.helpGroup("Find:")
		.summary("find entities by nearly their name")
		.description(
			"Finds entities whose natural key is like the text, misspelt or in part, the most alike first.",
		)
		.argument("<text>", "nearly a name")
		.addOption(
			similarityOption(
				"--threshold <x>",
				"minimum similarity, 0 to 1 (default: 0.3)",
			),
		)
		.addOption(
			new Option(
				"--mode <mode>",
				"compare with the whole name, its words, or the content of the entity (default: key)",
			).choices(fuzzyModes),
		)
		.addOption(limitOption(10))
		.option("-t, --type <table>", "only entities of this table")
		.action(fuzzy);
	addHelp(
		addReadOptions(command),
		[
			'rem fuzzy "sara chen"',
			"rem fuzzy deploymnt-gide --threshold 0.2 --json",
			"rem fuzzy design --mode word",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function fuzzy(
	query: string,
	options: FuzzyCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const { limit, threshold, type, mode } = options;
	const hits = await withReader(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const hits = await service.fuzzySearch({
				query,
				limit,
				...readScopeOf(options),
				...(threshold === undefined ? {} : { threshold }),
				...(type === undefined ? {} : { entityType: type }),
				...(mode === undefined ? {} : { mode }),
			});
			if (hits.length === 0)
				await noticeNothing(terminal, service, {
					options,
					text: `no name is like "${query}"`,
				});
			return hits;
		},
	);
	terminal.show(
		hits.map(snakeNames),
		tableLines(hits, fuzzyColumns, terminal.width),
	);
	if (hits.length === 0) terminal.notice("a lower --threshold finds more");
	noticeBound(terminal, hits.bounded);
}

/** What was not compared, where it may have been among the best. */
export function noticeBound(
	terminal: Terminal,
	bounded: FuzzyBound | undefined,
): void {
	if (bounded === undefined) return;
	const { completeFrom } = bounded;
	terminal.notice(
		completeFrom === undefined
			? "too many entries have this in common: some of them were compared"
			: `too many entries have a little of this in common: none with a score of ${completeFrom.toFixed(2)} or more is missing`,
	);
}

export const fuzzyColumns: readonly Column<FuzzyHit>[] = [
	{ title: "SCORE", value: ({ score }) => score.toFixed(2), isRight: true },
	{ title: "NAME", value: ({ entityKey }) => entityKey },
	{ title: "TABLE", value: ({ entityType }) => entityType },
	{ title: "ABOUT", value: ({ contentSummary }) => contentSummary },
];
