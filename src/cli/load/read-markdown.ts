import { basename, extname } from "node:path";
import type { InputFile } from "./input-file.ts";
import { readWholeText } from "./read-text.ts";
import { parseYaml } from "./read-yaml.ts";
import {
	fileError,
	isRecord,
	type RowGroup,
	type SourceRow,
} from "./source.ts";

const frontMatter = /^---[ \t]*\r?\n((?:[\s\S]*?\r?\n)??)---[ \t]*(?:\r?\n|$)/;

/** A row a file: the front matter's fields, the rest as `content`. */
export async function readMarkdown(
	files: readonly InputFile[],
): Promise<RowGroup> {
	const rows: SourceRow[] = [];
	for (const file of files)
		rows.push({
			value: parseMarkdown(file.name, await readWholeText(file)),
			file: file.name,
		});
	const [first, ...more] = files;
	const name = first?.name ?? "";
	const label = more.length === 0 ? name : `${name} and ${more.length} more`;
	return { file: label, table: undefined, isUntyped: false, rows };
}

/** Named after the file unless the front matter has a name. */
export function parseMarkdown(
	file: string,
	text: string,
): Record<string, unknown> {
	const found = frontMatter.exec(text);
	const content = text.slice(found?.[0].length ?? 0).trim();
	return {
		name: basename(file, extname(file)),
		...(found === null ? {} : fieldsOf(file, found[1] ?? "")),
		...(content === "" ? {} : { content }),
	};
}

function fieldsOf(file: string, yaml: string): Record<string, unknown> {
	const [first, ...more] = parseYaml(file, yaml, 1);
	if (first === undefined) return {};
	if (more.length === 0 && isRecord(first.value)) return first.value;
	throw fileError(
		{ file, line: first.line },
		"the front matter must be fields and values",
		{
			hint: "write it as name: value, a line each",
		},
	);
}
