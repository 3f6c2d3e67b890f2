import { parseJson } from "../../models/json-text.ts";
import type { InputFile } from "./input-file.ts";
import { jsonErrorOffset, lineOf } from "./json-position.ts";
import { readWholeText } from "./read-text.ts";
import { groupRows } from "./row-groups.ts";
import { fileError, type RowGroup } from "./source.ts";

/** An array of objects, or of `{ table, rows }`. */
export async function readJson(file: InputFile): Promise<RowGroup[]> {
	const value = parseFile(file.name, await readWholeText(file));
	const rows = Array.isArray(value) ? value : [value];
	return groupRows(
		file.name,
		rows.map((row) => ({ value: row })),
	);
}

function parseFile(file: string, text: string): unknown {
	try {
		return parseJson(text);
	} catch (cause) {
		const offset = jsonErrorOffset(text);
		const isCutOff = offset >= text.trimEnd().length;
		throw fileError(
			file,
			lineOf(text, offset),
			isCutOff ? "the JSON ends too early" : "is not valid JSON",
			{ cause },
		);
	}
}
