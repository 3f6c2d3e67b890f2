import { type Command, InvalidArgumentError, Option } from "commander";
import { RemError } from "../../errors.ts";
import type { SearchExplanation, SearchMode } from "../../index.ts";
import type { Entity } from "../../models/entity.ts";
import { parseJson } from "../../models/json-text.ts";
import type { EntityTable, Registry } from "../../models/registry.ts";
import {
	defaultSearchTable,
	searchableTables,
} from "../../query/default-table.ts";
import { searchModes } from "../../query/vector-plan.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	limitOption,
	type ReadScopeOptions,
	readScopeOf,
	similarityOption,
	wholeNumber,
} from "../options.ts";
import { explanationLines } from "../output/explanation.ts";
import { columnNames, snakeNames } from "../output/json-names.ts";
import { type Column, tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";

interface SearchCommandOptions extends ReadScopeOptions {
	readonly table?: string;
	readonly field?: string;
	readonly limit: number;
	readonly minSimilarity?: number;
	readonly where?: Record<string, unknown>;
	readonly hybrid?: boolean;
	readonly mode?: SearchMode;
	readonly efSearch?: number;
	readonly explain?: boolean;
}

/** `rem search TEXT --table T` */
export function addSearch(program: Command): void {
	const command = program
		.command("search")
		.helpGroup("Find:")
		.summary("find rows of a table by meaning")
		.description(
			"Finds the rows whose embedded texts are nearest to the text, nearest first. Without a key for a provider the embedded database compares words and what English words mean, not sentences.",
		)
		.argument("<text>", "what to search for")
		.option(
			"--table <table>",
			"table to search in (default: resources, or the only one with embedded texts)",
		)
		.option(
			"--field <field>",
			"one embedded field (default: the best of each row)",
		)
		.addOption(
			similarityOption(
				"--min-similarity <x>",
				"least cosine similarity, -1 to 1",
			),
		)
		.addOption(
			new Option("--where <json>", "a filter, as in docs/reading.md").argParser(
				filter,
			),
		)
		.addOption(
			new Option(
				"--hybrid",
				"by meaning, by words and by name, fused by rank",
			).conflicts(["field", "minSimilarity"]),
		)
		.addOption(
			new Option(
				"--mode <mode>",
				"compare every vector, or use an index (default: auto)",
			).choices(searchModes),
		)
		.addOption(
			new Option(
				"--ef-search <n>",
				"candidates of an index scan, 1 to 1000",
			).argParser(wholeNumber(1, 1000)),
		)
		.option("--explain", "show how it was searched: plan, SQL and timing")
		.addOption(limitOption(10))
		.action(search);
	addHelp(
		addReadOptions(command),
		[
			'rem search "how do we deploy?"',
			'rem search "deploy kubernetes" --table resources --hybrid --explain',
			`rem search "unhappy customers" --table messages --field content --limit 3 --where '{"sessionId": "s-1"}' --json`,
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__DEFAULT_TENANT",
			"EMBEDDING__PROVIDER",
			"EMBEDDING__MODEL",
			"OPENAI_API_KEY",
			"HNSW__EF_SEARCH",
		],
	);
}

function filter(text: string): Record<string, unknown> {
	try {
		return parseJson(text) as Record<string, unknown>;
	} catch {
		throw new InvalidArgumentError(`Expected JSON, such as '{"year": 1998}'.`);
	}
}

/** A row of any table with what made it a hit. */
export type AnySearchHit = Readonly<Record<string, unknown>> & {
	readonly similarity: number;
	readonly matchedField: string;
	readonly matchedText?: string;
};

type AnyHybridHit = Readonly<Record<string, unknown>> &
	Partial<AnySearchHit> & { readonly score: number };

async function search(
	text: string,
	options: SearchCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const { field, limit, minSimilarity, where, mode, efSearch } = options;
	const { explain = false } = options;
	await withReader(terminal, options, async (service) => {
		const { entity } = tableToSearch(service.registry, options.table);
		const common = {
			tableName: entity.tableName,
			limit,
			explain,
			...readScopeOf(options),
			...(where === undefined ? {} : { where }),
			...(mode === undefined ? {} : { mode }),
			...(efSearch === undefined ? {} : { efSearch }),
		} as const;
		if (options.hybrid) {
			const hits = await service.hybridSearch({ ...common, query: text });
			return show(terminal, entity, hits, hybridColumns(entity));
		}
		const hits = await service.vectorSearch({
			...common,
			queryText: text,
			...(field === undefined ? {} : { fieldName: field }),
			...(minSimilarity === undefined ? {} : { minSimilarity }),
		});
		show(terminal, entity, hits, searchColumns(entity));
	});
}

function tableToSearch(
	registry: Registry,
	table: string | undefined,
): EntityTable {
	if (table !== undefined) return registry.get(table);
	const found = defaultSearchTable(registry);
	if (found !== undefined) return found;
	throw new RemError("VALIDATION", "no table to search in", {
		hint: `--table names one of: ${searchableTables(registry).join(", ")}`,
	});
}

function show<Hit extends Readonly<Record<string, unknown>>>(
	terminal: Terminal,
	entity: Entity,
	hits: readonly Hit[] & { readonly explain?: SearchExplanation },
	columns: readonly Column<Hit>[],
): void {
	const rows = hits.map((hit) => columnNames(entity, hit));
	const lines = tableLines(hits, columns, terminal.width);
	const { explain } = hits;
	if (explain === undefined) terminal.show(rows, lines);
	else
		terminal.show({ hits: rows, explain: snakeNames(explain) }, [
			...lines,
			...explanationLines(explain),
		]);
	if (hits.length === 0)
		terminal.notice(
			`nothing in "${entity.tableName}" is embedded and near enough to that`,
		);
}

export function searchColumns(entity: Entity): Column<AnySearchHit>[] {
	return [
		{
			title: "SIMILARITY",
			value: ({ similarity }) => similarity.toFixed(3),
			isRight: true,
		},
		nameColumn(entity),
		{ title: "FIELD", value: ({ matchedField }) => matchedField },
		{
			title: "TEXT",
			value: (hit) => hit.matchedText ?? String(hit[hit.matchedField] ?? ""),
		},
	];
}

function hybridColumns(entity: Entity): Column<AnyHybridHit>[] {
	return [
		{
			title: "SCORE",
			value: ({ score }) => score.toFixed(4),
			isRight: true,
		},
		nameColumn(entity),
		{
			title: "RANKS",
			value: ({ ranks }) =>
				Object.entries(ranks as Record<string, number>)
					.map(([list, rank]) => `${list} ${rank}`)
					.join(", "),
		},
		{
			title: "TEXT",
			value: (hit) =>
				hit.matchedText ?? String(hit[hit.matchedField ?? ""] ?? ""),
		},
	];
}

function nameColumn(entity: Entity): Column<Readonly<Record<string, unknown>>> {
	const keys = entity.keyFields ?? [];
	return {
		title: keys.length === 0 ? "ID" : "NAME",
		value: (hit) =>
			keys.length === 0
				? String(hit.id)
				: keys.map(({ name }) => String(hit[name] ?? "")).join("#"),
	};
}
