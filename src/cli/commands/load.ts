import { type Command, Option } from "commander";
import { parseMap } from "../load/mapping.ts";
import type { LoadCommandOptions } from "../load/run-load.ts";
import {
	addHelp,
	addScopeOptions,
	type Invocation,
	wholeNumber,
} from "../options.ts";

/** `rem load FILE… --table T` */
export function addLoad(program: Command, invocation: Invocation): void {
	const command = program
		.command("load")
		.helpGroup("Write:")
		.summary("load rows from files: JSON, JSON Lines, YAML, CSV, Markdown")
		.description(description)
		.argument(
			"<file...>",
			".json, .jsonl, .ndjson, .yaml, .yml, .csv or .md; a folder for all of them in it; - for standard input",
		)
		.option("-t, --table <table>", "table of rows whose file names none")
		.addOption(
			new Option(
				"--format <format>",
				"format of the files, whatever their names",
			).choices(["json", "jsonl", "yaml", "csv", "markdown"]),
		)
		.addOption(
			new Option(
				"--map <field=source>",
				"fill a field from another property; may be repeated",
			).argParser(parseMap),
		)
		.option("--skip-invalid", "load the other rows when some are not valid")
		.option("--dry-run", "check every row, write nothing, open no database")
		.option(
			"--no-embeddings",
			"load the rows without vectors; `rem embeddings sync` makes them",
		)
		.addOption(
			new Option(
				"--on-embedding-error <what>",
				"what to do where the provider gives no vectors",
			)
				.choices(["fail", "queue"])
				.default("fail"),
		)
		.option(
			"--skip-vectors",
			"leave the vectors of an export out; `rem embeddings sync` makes them",
		)
		.option(
			"--from-tenant <tenant>",
			"make the rows of this tenant in an export those of --tenant",
		)
		.option(
			"--new-ids",
			"with --from-tenant: derive new ids, for a copy in the same database",
		)
		.addOption(
			new Option(
				"--commit-every <rows>",
				"commit an export in parts; the same command continues a load that was stopped",
			).argParser(wholeNumber(1, 1_000_000_000)),
		)
		.option(
			"--verify",
			"compare every row of an export with the stored one at the end",
		)
		.option(
			"--bulk",
			"drop the table's vector index for a load that is large against it, and build it again at the end",
		)
		.option("--watch", "load files again when they change, until Ctrl-C")
		.option(
			"--delete-removed",
			"with --watch: soft-delete the row of a Markdown file that is removed",
		)
		.action(async (files: readonly string[], options: LoadCommandOptions) => {
			const { runLoad } = await import("../load/run-load.ts");
			await runLoad(files, options, invocation);
		});
	addHelp(
		addScopeOptions(command),
		[
			"rem load people.yaml --table users --tenant acme-corp",
			"rem load movies.json --table resources --map name=title --map content=extract --map metadata.year=year",
			"rem load movies.csv --table resources --map 'name={title} ({year})' --dry-run",
			"rem load notes --table resources --watch",
			"rem load export.jsonl",
			"rem load export.jsonl --commit-every 10000 --verify",
			"rem load acme.jsonl --from-tenant acme --tenant staging --new-ids",
			"gunzip -c movies.csv.gz | rem load - --format csv --table resources",
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

const description = `Checks every row of every file, then writes them: rows, vectors and names to look up. Rows that are stored already and unchanged cost nothing: a load that stopped is resumed by running it again.

  .json .yaml  rows, or a list of { table, rows }; one transaction for each table
  .jsonl .csv  a row a line, any number of them; committed 500 at a time
               what \`rem export\` wrote: stored as it is, in one transaction, or in
               several with --commit-every
  -            standard input; --format names its format, unless it is JSON
  .md          a row a file: front matter, the rest as content, the file's name;
               [[key]] and [text](other.md) become edges of type links_to
  folder       every file of these formats in it and below, but hidden ones and
               node_modules

Rows may use field names (sizeBytes) or column names (size_bytes). With --map, properties that are no field are left out; a source may be a path (author.name) or a template ({title} ({year})), a target may lie in a JSON field (metadata.year).`;
