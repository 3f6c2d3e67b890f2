import { type Command, InvalidArgumentError, Option } from "commander";
import type {
	SearchExplanation,
	SearchMode,
	TableExplanations,
} from "../../index.ts";
import type { Entity } from "../../models/entity.ts";
import { parseJson } from "../../models/json-text.ts";
import type { Registry } from "../../models/registry.ts";
import { keyOfRow } from "../../models/rows.ts";
import type { FusionWeights } from "../../query/fusion-weights.ts";
import { searchModes } from "../../query/vector-plan.ts";
import { membersOf } from "../../util/present.ts";
import { type AnyService, withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	limitOption,
	type ReadScopeOptions,
	readScopeOf,
	similarityOption,
	weightsOption,
	wholeNumber,
} from "../options.ts";
import {
	explanationLines,
	jsonExplanation,
	jsonExplanations,
	tableExplanationLines,
} from "../output/explanation.ts";
import { columnNames } from "../output/json-text.ts";
import { type Column, tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";
import { jsonFilter } from "../rows/json-filter.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface SearchCommandOptions extends ReadScopeOptions {
	readonly table?: string;
	readonly field?: string;
	readonly limit: number;
	readonly minSimilarity?: number;
	readonly where?: Record<string, unknown>;
	readonly condition?: string;
	readonly hybrid?: boolean;
	readonly weights?: Partial<FusionWeights>;
	readonly mode?: SearchMode;
	readonly efSearch?: number;
	readonly explain?: boolean;
}

/** `rem search TEXT [--table T]` */
export function addSearch(program: Command): void {
	const command = program
		.command("search")
		.helpGroup("Find:")
		.summary("find rows by meaning")
		.description(
			"Finds the rows whose embedded texts are nearest to the text, nearest first, in one table or in all of them. Without a key for a provider the embedded database compares words and what English words mean, not sentences.",
		)
		.argument("<text>", "what to search for")
		.option(
			"-t, --table <table>",
			"table to search in (default: every table with embedded texts)",
		)
		.option(
			"--field <field>",
			"one embedded field (default: the best of each row)",
		)
		.addOption(
			similarityOption(
				"--min-similarity <x>",
				"minimum cosine similarity, -1 to 1",
			),
		)
		.addOption(
			new Option("--where <json>", "a filter, as in docs/reading.md").argParser(
				filter,
			),
		)
		.option(
			"--condition <sql>",
			"a condition of the query language, such as 'year > 1990'",
		)
		.addOption(
			new Option(
				"--hybrid",
				"by meaning, by words and by name, fused by rank",
			).conflicts(["field", "minSimilarity"]),
		)
		.addOption(weightsOption())
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

/** With a filter, that nothing fulfils may be all there is to it. */
function describeNothing(
	{ only }: TablesOfHits,
	{ where, condition }: SearchCommandOptions,
): string {
	const place = only === undefined ? "" : ` in "${only.tableName}"`;
	return where === undefined && condition === undefined
		? `nothing${place} is embedded and near enough to that`
		: `nothing${place} fulfils the filter, and is embedded and near enough to that`;
}

/** The models whose rows are searched. */
function entitiesOf(
	{ registry }: AnyService,
	{ only }: TablesOfHits,
): readonly Entity[] {
	return only === undefined
		? registry.all().map(({ entity }) => entity)
		: [only];
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
	const { condition } = options;
	const { explain = false } = options;
	const nothing = { options, text: "nothing was found" };
	await withReader(terminal, options, async (service) => {
		const { table } = options;
		const tables = tablesOfHits(service.registry, table);
		const common = {
			limit,
			explain,
			...readScopeOf(options),
			...(where === undefined
				? {}
				: { where: jsonFilter(entitiesOf(service, tables), where) as never }),
			...(condition === undefined ? {} : { condition }),
			...(mode === undefined ? {} : { mode }),
			...(efSearch === undefined ? {} : { efSearch }),
		} as const;
		if (options.hybrid) {
			const { weights } = options;
			const hybrid = {
				...common,
				query: text,
				...(weights === undefined ? {} : { weights }),
			};
			const hits = await (table === undefined
				? service.hybridSearch(hybrid)
				: service.hybridSearch({ ...hybrid, tableName: table }));
			show(terminal, tables, hits, hybridColumns(tables));
			if (hits.length === 0) await nothingFound();
			if (hits.partialWords === true)
				terminal.notice(
					"the words of older rows are still being stored: not all of them were ranked by words",
				);
			return;
		}
		const near = {
			...common,
			queryText: text,
			...(field === undefined ? {} : { fieldName: field }),
			...(minSimilarity === undefined ? {} : { minSimilarity }),
		};
		const hits = await (table === undefined
			? service.vectorSearch(near)
			: service.vectorSearch({ ...near, tableName: table }));
		show(terminal, tables, hits, searchColumns(tables));
		if (hits.length === 0) await nothingFound();

		async function nothingFound(): Promise<void> {
			terminal.notice(describeNothing(tables, options));
			await noticeNothing(terminal, service, nothing);
		}
	});
}

/** Whose rows the hits are. */
export interface TablesOfHits {
	/** The one that was searched, if it was one. */
	readonly only: Entity | undefined;
	entityOf(hit: Readonly<Record<string, unknown>>): Entity;
}

export function tablesOfHits(
	registry: Registry,
	table: string | undefined,
): TablesOfHits {
	const only = table === undefined ? undefined : registry.get(table).entity;
	return {
		only,
		entityOf: ({ entityType }) =>
			only ?? registry.get(String(entityType)).entity,
	};
}

function show<Hit extends Readonly<Record<string, unknown>>>(
	terminal: Terminal,
	{ entityOf }: TablesOfHits,
	hits: readonly Hit[] & {
		readonly explain?: SearchExplanation | TableExplanations;
	},
	columns: readonly Column<Hit>[],
): void {
	const rows = hits.map((hit) => columnNames(entityOf(hit), hit));
	const lines = tableLines(hits, columns, terminal.width);
	const { explain } = hits;
	if (explain === undefined) terminal.show(rows, lines);
	else if (isOfOneTable(explain))
		terminal.show({ hits: rows, explain: jsonExplanation(explain) }, [
			...lines,
			...explanationLines(explain),
		]);
	else
		terminal.show({ hits: rows, explain: jsonExplanations(explain) }, [
			...lines,
			...tableExplanationLines(explain),
		]);
}

function isOfOneTable(
	explain: SearchExplanation | TableExplanations,
): explain is SearchExplanation {
	return typeof explain.isExact === "boolean";
}

export function searchColumns(tables: TablesOfHits): Column<AnySearchHit>[] {
	return [
		{
			title: "SIMILARITY",
			value: ({ similarity }) => similarity.toFixed(3),
			isRight: true,
		},
		...rowColumns(tables),
		{ title: "FIELD", value: ({ matchedField }) => matchedField },
		{
			title: "TEXT",
			value: (hit) => hit.matchedText ?? String(hit[hit.matchedField] ?? ""),
		},
	];
}

function hybridColumns(tables: TablesOfHits): Column<AnyHybridHit>[] {
	return [
		{
			title: "SCORE",
			value: ({ score }) => score.toFixed(4),
			isRight: true,
		},
		...rowColumns(tables),
		{
			title: "RANKS",
			value: ({ ranks }) =>
				Object.entries(membersOf(ranks))
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

type AnyRow = Readonly<Record<string, unknown>>;

/** What the row is called, and in which table it is, if there are several. */
function rowColumns({ only, entityOf }: TablesOfHits): Column<AnyRow>[] {
	const isNameless = only !== undefined && only.keyFields === null;
	const name: Column<AnyRow> = {
		title: isNameless ? "ID" : "NAME",
		value: (hit) => keyOfRow(entityOf(hit), hit) ?? String(hit.id),
	};
	if (only !== undefined) return [name];
	const table = ({ entityType }: AnyRow) => String(entityType);
	return [name, { title: "TABLE", value: table }];
}
