import { type Command, InvalidArgumentError, Option } from "commander";
import type {
	Evaluation,
	EvaluationMode,
	FusionWeights,
	ModeQuality,
} from "../../index.ts";
import { suggest } from "../../util/suggest.ts";
import {
	evaluationModes,
	maxEvaluatedResults,
} from "../../verbs/evaluation-modes.ts";
import type { EvalFormat } from "../eval/read-queries.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	type Invocation,
	type ReadScopeOptions,
	readScopeOf,
	weightsOption,
	wholeNumber,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { counted, duration } from "../output/numbers.ts";
import { type Column, tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";

interface EvalCommandOptions extends ReadScopeOptions {
	readonly table?: string;
	readonly format?: EvalFormat;
	readonly modes?: readonly EvaluationMode[];
	readonly weights?: Partial<FusionWeights>;
	readonly k: number;
	readonly minNdcg?: number;
}

/** `rem eval FILE --table T` */
export function addEval(program: Command, invocation: Invocation): void {
	const command = program
		.command("eval")
		.helpGroup("Find:")
		.summary("measure searches with queries whose answers are known")
		.description(
			"Searches a table for every query of the file in every mode, and prints how well the relevant rows are found: nDCG, recall and MRR of the first --k results, and the times. Exit code 3: a mode is below --min-ndcg.",
		)
		.argument(
			"<file>",
			".json, .jsonl or .csv of queries and the keys, or ids, of the rows that answer them; - for standard input",
		)
		.option(
			"-t, --table <table>",
			"table to search in (default: resources, or the only one with embedded texts)",
		)
		.addOption(
			new Option("--format <format>", "format of the file, whatever its name")
				// As in eval/read-queries.ts, which is loaded when it is needed.
				.choices(["json", "jsonl", "csv"] satisfies EvalFormat[]),
		)
		.addOption(
			new Option(
				"--modes <list>",
				`modes to measure, separated by commas (default: ${evaluationModes.join(",")})`,
			).argParser(modeList),
		)
		.addOption(weightsOption())
		.addOption(
			new Option("--k <n>", "results of each search that count")
				.argParser(wholeNumber(1, maxEvaluatedResults))
				.default(10),
		)
		.addOption(
			new Option(
				"--min-ndcg <x>",
				"exit with code 3 if the nDCG of any measured mode is below, 0 to 1",
			).argParser(fraction),
		)
		.action(async (file: string, options: EvalCommandOptions) => {
			if (!(await runEval(file, options, invocation.signal)))
				invocation.exitCode = 3;
		});
	addHelp(
		addReadOptions(command),
		[
			"rem eval queries.jsonl --table documents",
			"rem eval queries.csv --table documents --modes vector,hybrid --k 5 --tenant acme-corp",
			"rem eval queries.jsonl --table documents --modes hybrid --min-ndcg 0.6 --json",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__DEFAULT_TENANT",
			"EMBEDDING__PROVIDER",
			"EMBEDDING__MODEL",
			"FULL_TEXT__LANGUAGE",
		],
	);
}

function modeList(text: string): EvaluationMode[] {
	return text.split(",").map((given) => {
		const name = given.trim();
		const mode = evaluationModes.find((known) => known === name);
		if (mode !== undefined) return mode;
		throw new InvalidArgumentError(
			`"${name}" is not a mode: ${suggest(name, evaluationModes)}`,
		);
	});
}

function fraction(text: string): number {
	const value = Number(text);
	if (text.trim() !== "" && value >= 0 && value <= 1) return value;
	throw new InvalidArgumentError("Expected a number from 0 to 1.");
}

/** Whether no mode is below the minimum. */
async function runEval(
	file: string,
	options: EvalCommandOptions,
	signal: AbortSignal,
): Promise<boolean> {
	const terminal = new Terminal(options);
	const { table, modes, weights, k, minNdcg = 0 } = options;
	const { readQueries } = await import("../eval/read-queries.ts");
	// Before the database is opened: a file with a mistake needs none.
	const queries = await readQueries(file, options.format);
	const reader = { ...options, isLong: true };
	const evaluation = await withReader(terminal, reader, async (service) => {
		const bar = terminal.lateProgress("eval");
		try {
			return await service.evaluate({
				queries,
				k,
				...readScopeOf(options),
				...(table === undefined ? {} : { tableName: table }),
				...(modes === undefined ? {} : { modes }),
				...(weights === undefined ? {} : { weights }),
				onProgress: bar.onProgress,
				signal,
			});
		} finally {
			bar.stop();
		}
	});
	const rows = rowsOf(evaluation);
	const below = rows.filter(({ ndcg }) => ndcg < minNdcg);
	terminal.show(asJson(evaluation, below), [
		...tableLines(rows, columnsOf(k), terminal.width),
		...summaryLines(evaluation),
		...below.map(
			({ mode, ndcg }) =>
				`${mode}: nDCG@${k} ${ndcg.toFixed(4)} is below ${minNdcg}`,
		),
	]);
	return below.length === 0;
}

type ModeRow = ModeQuality & { readonly mode: string };

function rowsOf({ modes }: Evaluation): ModeRow[] {
	return Object.entries(modes).map(([mode, quality]) => ({ mode, ...quality }));
}

function asJson(evaluation: Evaluation, below: readonly ModeRow[]) {
	return {
		...snakeNames(evaluation),
		modes: Object.fromEntries(
			rowsOf(evaluation).map(({ mode, ...quality }) => [
				mode,
				snakeNames(quality),
			]),
		),
		below: below.map(({ mode }) => mode),
	};
}

function columnsOf(k: number): Column<ModeRow>[] {
	const figure = (title: string, value: (row: ModeRow) => number) => ({
		title,
		value: (row: ModeRow) => value(row).toFixed(3),
		isRight: true,
	});
	const time = (title: string, value: (row: ModeRow) => number) => ({
		title,
		value: (row: ModeRow) => duration(value(row)),
		isRight: true,
	});
	return [
		{ title: "MODE", value: ({ mode }) => mode },
		figure(`NDCG@${k}`, ({ ndcg }) => ndcg),
		figure(`RECALL@${k}`, ({ recall }) => recall),
		figure(`MRR@${k}`, ({ mrr }) => mrr),
		time("P50", ({ p50Ms }) => p50Ms),
		time("P95", ({ p95Ms }) => p95Ms),
	];
}

const shownKeys = 10;

function summaryLines(evaluation: Evaluation): string[] {
	const { tableName, queries, excludedQueries } = evaluation;
	const { unknownKeys, unknownKeyCount } = evaluation;
	const named = unknownKeys.slice(0, shownKeys).map((key) => `"${key}"`);
	const more = unknownKeyCount - named.length;
	return [
		`${counted(queries, "query", "queries")} of "${tableName}"`,
		...(excludedQueries === 0
			? []
			: [
					`left out: ${counted(excludedQueries, "query", "queries")} without a relevant row`,
				]),
		...(unknownKeyCount === 0
			? []
			: [
					`${counted(unknownKeyCount, "key is", "keys are")} of no row: ${named.join(", ")}${more > 0 ? ` and ${counted(more, "more", "more")}` : ""} (check --table, --tenant and --user)`,
				]),
	];
}
