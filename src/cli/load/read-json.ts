import { parseJson } from "../../models/json-text.ts";
import { type InputFile, isJson } from "./input-file.ts";
import { jsonErrorOffset, lineOf } from "./json-position.ts";
import { readWholeText } from "./read-text.ts";
import { groupRows } from "./row-groups.ts";
import { fileError, type RowGroup, shellArgument } from "./source.ts";

/** An array of objects, or of `{ table, rows }`. */
export async function readJson(file: InputFile): Promise<RowGroup[]> {
	const value = parseJsonFile(file.name, await readWholeText(file));
	const rows = Array.isArray(value) ? value : [value];
	return groupRows(
		file.name,
		rows.map((row) => ({ value: row })),
	);
}

/** The value of a file; what is not JSON is an error with its line. */
export function parseJsonFile(file: string, text: string): unknown {
	try {
		return parseJson(text);
	} catch (cause) {
		if (text.trim() === "")
			throw fileError({ file }, "is empty", {
				hint: "a file without rows contains []",
			});
		const offset = jsonErrorOffset(text);
		const line = lineOf(text, offset);
		const isCutOff = offset >= text.trimEnd().length;
		if (!isCutOff && isJson(text.slice(0, offset)))
			throw fileError({ file, line }, "a second JSON value begins", {
				hint: isJson(text.trimStart().split(/[\r\n]/, 1)[0] ?? "")
					? "name the file .jsonl, or give --format jsonl: a value a line"
					: `put the values into one list, as in: jq -s . ${shellArgument(file)}`,
				cause,
			});
		throw fileError(
			{ file, line },
			isCutOff ? "the JSON ends too early" : "is not valid JSON",
			{ cause },
		);
	}
}
