import { type Format, findInput, type InputFile } from "./input-file.ts";
import { readCsv } from "./read-csv.ts";
import { readJson } from "./read-json.ts";
import { readJsonLines } from "./read-jsonl.ts";
import { readMarkdown } from "./read-markdown.ts";
import { readYaml } from "./read-yaml.ts";
import type { RowGroup, SourceRow } from "./source.ts";

type Reader = (file: InputFile) => Promise<RowGroup[]> | RowGroup[];

const readers: Readonly<Record<Exclude<Format, "markdown">, Reader>> = {
	json: readJson,
	jsonl: stream(readJsonLines, false),
	yaml: readYaml,
	csv: stream(readCsv, true),
};

/** The rows of the files; `remove` when they were read for the last time. */
export interface OpenedFiles {
	readonly groups: readonly RowGroup[];
	remove(): Promise<void>;
}

/** The rows of the files, by file and table; all Markdown files are one group, the last. */
export async function openFiles(
	names: readonly string[],
	format?: Format,
): Promise<OpenedFiles> {
	const { files, remove } = await findInput(names, format);
	try {
		const groups: RowGroup[] = [];
		for (const file of files)
			if (file.format !== "markdown")
				groups.push(...(await readers[file.format](file)));
		const markdown = files.filter((file) => file.format === "markdown");
		if (markdown.length > 0) groups.push(await readMarkdown(markdown));
		return { groups, remove };
	} catch (error) {
		await remove();
		throw error;
	}
}

/** A format that is read row by row, whatever the size of the file. */
function stream(
	read: (file: InputFile) => AsyncIterable<SourceRow>,
	isUntyped: boolean,
): Reader {
	return (file) => [
		{ file: file.name, table: undefined, isUntyped, rows: () => read(file) },
	];
}
