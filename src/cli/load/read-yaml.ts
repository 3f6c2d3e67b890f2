import {
	type Document,
	isSeq,
	LineCounter,
	parseAllDocuments,
	type Scalar,
	visit,
} from "yaml";
import {
	isExactNumber,
	isJsonNumberText,
	JsonNumber,
} from "../../models/json-number.ts";
import type { InputFile } from "./input-file.ts";
import { readWholeText } from "./read-text.ts";
import { groupRows } from "./row-groups.ts";
import { fileError, type RowGroup, type SourceRow } from "./source.ts";

/** Rows, or `{ table, rows }`, in one list or in documents of their own. */
export async function readYaml(file: InputFile): Promise<RowGroup[]> {
	return groupRows(file.name, parseYaml(file.name, await readWholeText(file)));
}

/** Every item of every list, with the line it begins at. */
export function parseYaml(
	file: string,
	text: string,
	lineOffset = 0,
): SourceRow[] {
	const lines = new LineCounter();
	const documents = parseAllDocuments(text, { lineCounter: lines });
	const all = [documents].flat();
	return all.flatMap((document): SourceRow[] => {
		const lineAt = (offset: number | undefined) =>
			lineOffset + lines.linePos(offset ?? 0).line;
		const [error] = document.errors;
		if (error === undefined) return itemsOf(file, document, lineAt);
		const line = lineAt(error.pos[0]);
		if (all.length === 1)
			throw fileError({ file, line }, reasonOf(error), { cause: error });
		return [{ value: undefined, line, problem: reasonOf(error) }];
	});
}

function itemsOf(
	file: string,
	document: Document,
	lineAt: (offset: number | undefined) => number,
): SourceRow[] {
	const value = toValue(file, document);
	if (value === null) return [];
	const { contents } = document;
	if (!Array.isArray(value) || !isSeq(contents))
		return [{ value, line: lineAt(contents?.range?.[0]) }];
	return value.map((item, at) => {
		const node = contents.items[at] as { range?: [number] } | undefined;
		return { value: item, line: lineAt(node?.range?.[0]) };
	});
}

/** Throws on what only shows now: too many aliases, one that has no anchor. */
function toValue(file: string, document: Document): unknown {
	try {
		visit(document, { Scalar: keepExact });
		return document.toJS();
	} catch (cause) {
		throw fileError({ file }, reasonOf(cause), { cause });
	}
}

/** A number of more digits than JavaScript can represent stays as it is written. */
function keepExact(key: number | "key" | "value" | null, node: Scalar): void {
	if (typeof node.value !== "number" || node.source === undefined) return;
	const text = decimal(node.source.replace("+", ""));
	if (!isJsonNumberText(text) || isExactNumber(text)) return;
	node.value = key === "key" ? text : new JsonNumber(text);
}

function decimal(source: string): string {
	return /^0(?:x[\da-f]+|o[0-7]+)$/i.test(source)
		? BigInt(source).toString()
		: source;
}

function reasonOf(cause: unknown): string {
	const code = cause instanceof Error && "code" in cause ? cause.code : "";
	return `is not valid YAML${code === "" ? "" : ` (${String(code)})`}`;
}
