import { dirname, resolve } from "node:path";
import { linkedKeys, linkType, nameOf } from "../markdown-links.ts";
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

/** A row a file: the front matter's fields, the rest as `content`, its links as edges. */
export async function readMarkdown(
	files: readonly InputFile[],
): Promise<RowGroup> {
	const read: { readonly file: InputFile; readonly row: MarkdownRow }[] = [];
	for (const file of files)
		read.push({
			file,
			row: parseMarkdown(file.name, await readWholeText(file)),
		});
	// A link names a file, an edge the key that the file's row has.
	const names = new Map(
		read.map(({ file, row }) => [resolve(file.path), row.name]),
	);
	const rows = read.map(({ file, row }): SourceRow => {
		const keyOf = (path: string) => {
			const name = names.get(resolve(dirname(file.path), path));
			return typeof name === "string" ? name : nameOf(path);
		};
		return { value: withLinks(row, keyOf), file: file.name };
	});
	const [first, ...more] = files;
	const name = first?.name ?? "";
	const label = more.length === 0 ? name : `${name} and ${more.length} more`;
	return { file: label, table: undefined, isUntyped: false, rows };
}

type MarkdownRow = Readonly<Record<string, unknown>>;

/** Named after the file unless the front matter has a name. */
export function parseMarkdown(file: string, text: string): MarkdownRow {
	const found = frontMatter.exec(text);
	const content = text.slice(found?.[0].length ?? 0).trim();
	return {
		name: nameOf(file),
		...(found === null ? {} : fieldsOf(file, found[1] ?? "")),
		...(content === "" ? {} : { content }),
	};
}

/** Edges of the front matter stay as they are; a link that one of them is adds none. */
function withLinks(
	row: MarkdownRow,
	keyOf: (path: string) => string,
): MarkdownRow {
	const { content } = row;
	const keys = typeof content === "string" ? linkedKeys(content, keyOf) : [];
	if (keys.length === 0) return row;
	const property = "graphEdges" in row ? "graphEdges" : "graph_edges";
	const given = row[property] ?? [];
	// Validation refuses what is not an array.
	if (!Array.isArray(given)) return row;
	const added = keys.filter(
		(key) =>
			!given.some(
				(edge) =>
					isRecord(edge) && edge.dst === key && edge.rel_type === linkType,
			),
	);
	const edges = added.map((dst) => ({ dst, rel_type: linkType }));
	return { ...row, [property]: [...given, ...edges] };
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
