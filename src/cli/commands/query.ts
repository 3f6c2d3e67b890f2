import type { Command } from "commander";
import type { QueryExplanation, QueryResult } from "../../index.ts";
import { parseQuery } from "../../query/dialect/parse-query.ts";
import { namesOf } from "../../query/dialect/plan-query.ts";
import { UsageError } from "../failure.ts";
import { type AnyService, modelsOf, withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	type ReadScopeOptions,
	readScopeOf,
} from "../options.ts";
import { columnNames, snakeNames } from "../output/json-text.ts";
import { counted, duration } from "../output/numbers.ts";
import { cellText, rowColumns } from "../output/row-columns.ts";
import { tableLines } from "../output/table.ts";
import { heading, type Line, Terminal } from "../output/terminal.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";
import { fuzzyColumns, noticeBound } from "./fuzzy.ts";
import { describeHit } from "./lookup.ts";
import { jsonItem, recallLines } from "./recall.ts";
import { type AnySearchHit, searchColumns, tablesOfHits } from "./search.ts";
import {
	jsonTraversal,
	nothingFound,
	noticeTraversal,
	noticeTypes,
	traversalLines,
} from "./traverse.ts";

interface QueryCommandOptions extends ReadScopeOptions {
	readonly explain?: boolean;
	readonly helpLlm?: boolean;
}

/** `rem query TEXT` */
export function addQuery(program: Command): void {
	const command = program
		.command("query")
		.helpGroup("Find:")
		.summary("find by a query of the REM dialect")
		.description(
			"Answers LOOKUP, FUZZY, SEARCH, RECALL, TRAVERSE and SQL, as docs/query-language.md has them. A query reads the tenant's rows only, and changes nothing.",
		)
		.argument("[text...]", "the query; quote it, or the shell reads it first")
		.option("--explain", "how the answer is found: plan, SQL and timing")
		.option(
			"--help-llm",
			"describe the language and the models' tables, for a prompt",
		)
		.action(query);
	addHelp(
		addReadOptions(command),
		[
			"rem query 'LOOKUP \"sarah-chen\"'",
			"rem query 'SEARCH \"how do we deploy?\" IN resources LIMIT 3'",
			"rem query 'TRAVERSE manages WITH LOOKUP \"sarah-chen\" DEPTH 2'",
			"rem query \"SQL resources WHERE created_at > now() - interval '7 days' ORDER BY name\" --json",
			"rem query --help-llm --models src/models",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__DEFAULT_TENANT",
			"EMBEDDING__PROVIDER",
			"OPENAI_API_KEY",
		],
	);
}

async function query(
	words: readonly string[],
	options: QueryCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	if (options.helpLlm === true) return describeLanguage(terminal, options);
	const text = words.join(" ");
	if (text.trim() === "") throw new UsageError("the query is missing");
	await withReader(terminal, options, async (service) => {
		const explained = options.explain === true ? `EXPLAIN ${text}` : text;
		const result = await service.query(explained, readScopeOf(options));
		terminal.show(
			jsonOf(result, service),
			linesOf(result, service, terminal.width),
		);
		if (result.kind === "traverse") {
			const found = { ...result, nodes: result.rows };
			const asked = parseQuery(text, namesOf(service.registry)).query;
			// A mistyped type finds nothing.
			if (
				asked.kind === "traverse" &&
				asked.types.some((type) => type !== "*") &&
				found.from !== undefined &&
				nothingFound(found)
			)
				await noticeTypes(terminal, service, {
					from: asked.from,
					direction: asked.direction ?? "out",
					...readScopeOf(options),
				});
			noticeTraversal(terminal, found);
		} else if ("rows" in result && result.rows.length === 0)
			await noticeNothing(terminal, service, {
				options,
				text: "nothing was found",
			});
		if (result.kind === "fuzzy") noticeBound(terminal, result.bounded);
	});
}

async function describeLanguage(
	terminal: Terminal,
	options: QueryCommandOptions,
): Promise<void> {
	const { describeQueryLanguage } = await import(
		"../../query/dialect/describe-language.ts"
	);
	const text = describeQueryLanguage(await modelsOf(options));
	if (terminal.isJson) terminal.show({ description: text }, []);
	else terminal.raw(text);
}

/** What was found under `rows`, and of what kind it is. */
function jsonOf(result: QueryResult, service: AnyService): unknown {
	switch (result.kind) {
		case "lookup":
			return { kind: result.kind, rows: result.rows.map(snakeNames) };
		case "fuzzy": {
			const { kind, rows, bounded } = result;
			return {
				kind,
				rows: rows.map(snakeNames),
				...(bounded === undefined ? {} : { bounded: snakeNames(bounded) }),
			};
		}
		case "traverse": {
			const { kind, rows: nodes, ...rest } = result;
			const { nodes: rows, ...found } = jsonTraversal({ nodes, ...rest });
			return { kind, rows, ...found };
		}
		case "recall": {
			const { rows, ...rest } = result;
			return { ...rest, rows: rows.map(jsonItem) };
		}
		case "search":
		case "sql": {
			const { kind, tableName, rows } = result;
			const { entityOf } = tablesOfHits(service.registry, tableName);
			return {
				kind,
				...(tableName === undefined ? {} : { table_name: tableName }),
				rows: rows.map((row) => columnNames(entityOf(row), row)),
			};
		}
		case "explain":
			return {
				...snakeNames(result),
				query: snakeNames(result.query),
				statements: result.statements.map(snakeNames),
			};
	}
}

function linesOf(
	result: QueryResult,
	service: AnyService,
	width: number,
): Line[] {
	switch (result.kind) {
		case "lookup":
			return result.rows.flatMap((hit) => describeHit(hit, width));
		case "fuzzy":
			return tableLines(result.rows, fuzzyColumns, width);
		case "search":
			return tableLines(
				result.rows as readonly AnySearchHit[],
				searchColumns(tablesOfHits(service.registry, result.tableName)),
				width,
			);
		case "recall":
			return recallLines(result.rows, width);
		case "sql":
			return tableLines(
				result.rows,
				rowColumns(service.registry.get(result.tableName).entity),
				width,
			);
		case "traverse":
			return traversalLines({ ...result, nodes: result.rows }, width);
		case "explain":
			return explanationLines(result);
	}
}

function explanationLines(explanation: QueryExplanation): Line[] {
	const { query, statements, rowCount, durationMs } = explanation;
	return [
		heading("plan"),
		...Object.entries(query).map(
			([name, value]) => `  ${name}: ${cellText(value)}`,
		),
		...statements.flatMap(({ text, plan, ...statement }, index) => [
			heading(
				`statement ${index + 1}: ${counted(statement.rowCount, "row")} in ${duration(statement.durationMs)}`,
			),
			...text.split("\n").map((line) => `  ${line}`),
			...plan.map((line) => `    ${line}`),
		]),
		`${counted(rowCount, "row")} in ${duration(durationMs)}`,
	];
}
