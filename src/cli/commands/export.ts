import { type Command, Option } from "commander";
import type { ExportCommandOptions } from "../export/markdown.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addScopeOptions,
	type Invocation,
	scopeOf,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";
import { refuseUndescribed } from "../undescribed-tables.ts";

/** `rem export --table T -o FILE` */
export function addExport(program: Command, { signal }: Invocation): void {
	const command = program
		.command("export")
		.helpGroup("Write:")
		.summary("write rows to a file that `rem load` reads without loss")
		.description(description)
		.addOption(
			new Option(
				"-t, --table <table>",
				"a table to export; may be repeated (default: all of the models')",
			).argParser((name: string, earlier: readonly string[] = []) => [
				...earlier,
				name,
			]),
		)
		.option(
			"-o, --output <file>",
			"file to write, or with --format markdown the folder; - is stdout",
			"-",
		)
		.addOption(
			new Option("-f, --format <format>", "lines of JSON, or a file a row")
				.choices([
					"jsonl",
					"markdown",
				] satisfies ExportCommandOptions["format"][])
				.default("jsonl"),
		)
		.option("--vectors", "with the vectors of the texts, of each model")
		.option("--deleted", "with soft-deleted rows")
		.action(async (options: ExportCommandOptions) => {
			if (options.format === "markdown") {
				const { exportMarkdown } = await import("../export/markdown.ts");
				await exportMarkdown(options, signal);
			} else await exportLines(options, signal);
		});
	addHelp(
		addScopeOptions(command),
		[
			"rem export --vectors -o all.jsonl",
			"rem export --table documents --tenant acme-corp | gzip > documents.jsonl.gz",
			"rem export --vectors --deleted | rem load - --url postgresql://me@host/remdb",
			"rem export --table resources --format markdown -o notes",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__ROW_LEVEL_SECURITY"],
	);
}

const description = `Writes rows as lines of JSON, all of one moment: ids, times, edges, users, and with --vectors the vectors. \`rem load\` stores them as they are, on another server or embedded database, without asking a provider. Without --tenant: the rows of all tenants.

A file is written under another name first: it is there whole or not at all.

With --format markdown, a file a row: its fields as front matter, its content below, its edges as links. For people to edit: vectors, users, times and ids are left out.`;

async function exportLines(
	options: ExportCommandOptions,
	signal: AbortSignal,
): Promise<void> {
	const terminal = new Terminal(options);
	const { table, output, vectors, deleted } = options;
	const { writeWhole } = await import("../export/output-file.ts");
	const result = await withReader(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			if (table === undefined)
				await refuseUndescribed(terminal, service, options);
			const progress = terminal.progress("export", undefined);
			try {
				const result = await writeWhole(output, ({ write }) =>
					service.exportRows({
						write,
						...scopeOf(options),
						...(table === undefined ? {} : { tables: table }),
						vectors: vectors ?? false,
						deleted: deleted ?? false,
						onProgress: ({ rows }) => progress.update(rows),
						signal,
					}),
				);
				const { tenant } = options;
				if (result.rows === 0 && tenant !== undefined)
					await noticeNothing(terminal, service, {
						options,
						text: "there was no row to export",
					});
				return result;
			} finally {
				progress.stop();
			}
		},
	);
	const lines = Object.entries(result.tables).map(
		([name, { rows, vectors }]) =>
			`${name}: ${counted(rows, "row")}${vectors === 0 ? "" : `, ${counted(vectors, "vector")}`}`,
	);
	if (output === "-") for (const line of lines) terminal.notice(line);
	else terminal.show({ file: output, ...snakeNames(result) }, lines);
}
