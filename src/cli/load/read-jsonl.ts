import { parseJson } from "../../models/json-text.ts";
import type { InputFile } from "./input-file.ts";
import { readLines } from "./read-lines.ts";
import type { SourceRow } from "./source.ts";

/** A JSON object a line; empty lines are passed over. */
export async function* readJsonLines(
	file: InputFile,
): AsyncGenerator<SourceRow> {
	for await (const { text, number } of readLines(file))
		if (text.trim() !== "") yield parseLine(text, number);
}

function parseLine(text: string, line: number): SourceRow {
	try {
		return { value: parseJson(text), line };
	} catch {
		return {
			value: undefined,
			line,
			problem: "is not valid JSON, or only half of it",
		};
	}
}
