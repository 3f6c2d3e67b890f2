import { type Command, Option } from "commander";
import type { Entity } from "../../models/entity.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	limitOption,
	type ReadScopeOptions,
} from "../options.ts";
import { columnNames } from "../output/json-text.ts";
import { rowColumns } from "../output/row-columns.ts";
import { tableLines } from "../output/table.ts";
import { Terminal } from "../output/terminal.ts";
import { scopeOfRows } from "../rows/named-rows.ts";
import { fieldNamed } from "../rows/row-text.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface ListCommandOptions extends ReadScopeOptions {
	readonly where?: string;
	readonly orderBy?: string;
	readonly limit: number;
	readonly after?: string;
}

/** `rem list TABLE` */
export function addList(program: Command): void {
	const command = program
		.command("list")
		.helpGroup("Rows:")
		.summary("list the rows of a table, a page at a time")
		.description(
			"Lists a tenant's rows in an order, a page at a time: each page names the --after of the next one.",
		)
		.argument("<table>", "table of the rows")
		.option(
			"-w, --where <condition>",
			"only rows that fulfil it, as a query writes it: year > 1990 AND name LIKE 'A%'",
		)
		.addOption(
			new Option(
				"-o, --order-by <fields>",
				'fields with a direction, between commas: "year desc, name"',
			).default("id"),
		)
		.addOption(limitOption(50))
		.option("--after <page>", "begin behind the page that printed this")
		.action(list);
	addHelp(
		addReadOptions(command),
		[
			"rem list resources",
			"rem list resources --where \"created_at > now() - interval '7 days'\" --order-by 'created_at desc'",
			"rem list resources --limit 1000 --json",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function list(
	tableName: string,
	options: ListCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	await withReader(terminal, { ...options, embeds: false }, async (service) => {
		const { entity } = service.registry.get(tableName);
		const { limit, where, after, consistency } = options;
		const { rows, next } = await scopeOfRows(service, options)
			.repository(entity)
			.findPage(
				{},
				{
					limit,
					orderBy: fieldOrder(entity, options.orderBy ?? "id") as never,
					...(where === undefined ? {} : { condition: where }),
					...(after === undefined ? {} : { after }),
					...(consistency === undefined ? {} : { consistency }),
				},
			);
		terminal.show(
			{
				table_name: entity.tableName,
				rows: rows.map((row) => columnNames(entity, row)),
				next: next ?? null,
			},
			tableLines(rows, rowColumns(entity), terminal.width),
		);
		if (rows.length === 0)
			await noticeNothing(terminal, service, {
				options,
				text: "there are no such rows",
			});
		if (next !== undefined)
			terminal.notice(`there are more: --after ${next} shows the next page`);
	});
}

/** `created_at desc` → `createdAt desc`: an order may name columns. */
function fieldOrder(entity: Entity, text: string): string[] {
	return text
		.split(",")
		.map((term) =>
			term.trim().replace(/^\w+/, (name) => fieldNamed(entity, name)),
		);
}
