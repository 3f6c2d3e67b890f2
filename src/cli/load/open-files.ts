import { extname } from "node:path";
import { readCsv } from "./read-csv.ts";
import { readJson } from "./read-json.ts";
import { readJsonLines } from "./read-jsonl.ts";
import { readMarkdown } from "./read-markdown.ts";
import { checkFile } from "./read-text.ts";
import { readYaml } from "./read-yaml.ts";
import { fileError, type RowGroup, type SourceRow } from "./source.ts";

type Reader = (file: string) => Promise<RowGroup[]> | RowGroup[];

const readers: Readonly<Record<string, Reader | "markdown">> = {
	".json": readJson,
	".jsonl": stream(readJsonLines, false),
	".ndjson": stream(readJsonLines, false),
	".yaml": readYaml,
	".yml": readYaml,
	".csv": stream(readCsv, true),
	".md": "markdown",
	".markdown": "markdown",
};

/** The rows of the files, by file and table; all Markdown files are one group, the last. */
export async function openFiles(files: readonly string[]): Promise<RowGroup[]> {
	for (const file of files) await checkFile(file);
	const found = files.map((file) => ({ file, reader: readerOf(file) }));
	const groups: RowGroup[] = [];
	for (const { file, reader } of found)
		if (reader !== "markdown") groups.push(...(await reader(file)));
	const markdown = found.filter(({ reader }) => reader === "markdown");
	if (markdown.length > 0)
		groups.push(await readMarkdown(markdown.map(({ file }) => file)));
	return groups;
}

function readerOf(file: string): Reader | "markdown" {
	const extension = extname(file).toLowerCase();
	const reader = Object.hasOwn(readers, extension)
		? readers[extension]
		: undefined;
	if (reader !== undefined) return reader;
	throw fileError(
		file,
		undefined,
		"has a format that is not known by its name",
		{
			hint: `files are named ${Object.keys(readers).join(", ")}`,
		},
	);
}

/** A format that is read row by row, whatever the size of the file. */
function stream(
	read: (file: string) => AsyncIterable<SourceRow>,
	isUntyped: boolean,
): Reader {
	return (file) => [
		{ file, table: undefined, isUntyped, rows: () => read(file) },
	];
}
