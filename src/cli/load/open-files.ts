import { isExportHeader } from "../../store/export-format.ts";
import { type Format, findInput, type InputFile } from "./input-file.ts";
import { readCsv } from "./read-csv.ts";
import { readJson } from "./read-json.ts";
import { readJsonLines } from "./read-jsonl.ts";
import { readMarkdown } from "./read-markdown.ts";
import { readText } from "./read-text.ts";
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
	/** Files that `rem export` wrote. */
	readonly exports: readonly InputFile[];
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
		const exports: InputFile[] = [];
		for (const file of files)
			if (await isExport(file)) exports.push(file);
			else if (file.format !== "markdown")
				groups.push(...(await readers[file.format](file)));
		const markdown = files.filter((file) => file.format === "markdown");
		if (markdown.length > 0) groups.push(await readMarkdown(markdown));
		return { groups, exports, remove };
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

/** By its first line; a name of its own is not needed. */
async function isExport(file: InputFile): Promise<boolean> {
	if (file.format !== "json" && file.format !== "jsonl") return false;
	return isExportHeader(await firstLine(file));
}

/** More than a header is not read of a file that has no lines. */
const longestHeader = 1 << 20;

async function firstLine(file: InputFile): Promise<string> {
	let text = "";
	for await (const piece of readText(file)) {
		text += piece;
		if (text.includes("\n") || text.length > longestHeader) break;
	}
	return text.split("\n", 1)[0] ?? "";
}
