import type { Command } from "commander";
import type { Entity } from "../../models/entity.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addScopeOptions,
	limitOption,
	type ScopeOptions,
	scopeOf,
	similarityOption,
} from "../options.ts";
import { columnNames } from "../output/json-names.ts";
import { type Column, tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";

interface SearchCommandOptions extends ScopeOptions {
	readonly table: string;
	readonly field?: string;
	readonly limit: number;
	readonly minSimilarity?: number;
}

/** `rem search TEXT --table T` */
export function addSearch(program: Command): void {
	const command = program
		.command("search")
		.helpGroup("Find:")
		.summary("find rows of a table by meaning")
		.description(
			"Finds the rows whose embedded texts are nearest to the text, nearest first. Without a key for a provider the embedded database compares words, not meanings.",
		)
		.argument("<text>", "what to search for")
		.requiredOption("--table <table>", "table to search in")
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
		.addOption(limitOption(10))
		.action(search);
	addHelp(
		addScopeOptions(command),
		[
			'rem search "how do we deploy?" --table resources',
			'rem search "unhappy customers" --table messages --field content --limit 3 --json',
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

/** A row of any table with what made it a hit. */
export type AnySearchHit = Readonly<Record<string, unknown>> & {
	readonly similarity: number;
	readonly matchedField: string;
};

async function search(
	queryText: string,
	options: SearchCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const { table, field, limit, minSimilarity } = options;
	await withReader(terminal, options, async (service) => {
		const { entity } = service.registry.get(table);
		const hits: AnySearchHit[] = await service.vectorSearch({
			tableName: table,
			queryText,
			limit,
			...scopeOf(options),
			...(field === undefined ? {} : { fieldName: field }),
			...(minSimilarity === undefined ? {} : { minSimilarity }),
		});
		terminal.show(
			hits.map((hit) => columnNames(entity, hit)),
			tableLines(hits, searchColumns(entity), terminal.width),
		);
		if (hits.length === 0)
			terminal.notice(
				`nothing in "${table}" is embedded and near enough to that`,
			);
	});
}

export function searchColumns(entity: Entity): Column<AnySearchHit>[] {
	const keys = entity.keyFields ?? [];
	return [
		{
			title: "SIMILARITY",
			value: ({ similarity }) => similarity.toFixed(3),
			isRight: true,
		},
		{
			title: keys.length === 0 ? "ID" : "NAME",
			value: (hit) =>
				keys.length === 0
					? String(hit.id)
					: keys.map(({ name }) => String(hit[name] ?? "")).join("#"),
		},
		{ title: "FIELD", value: ({ matchedField }) => matchedField },
		{ title: "TEXT", value: (hit) => String(hit[hit.matchedField] ?? "") },
	];
}
