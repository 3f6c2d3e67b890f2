import { parseJson } from "../../models/json-text.ts";
import { readLines } from "./read-lines.ts";
import { fileError, type SourceRow } from "./source.ts";

/** A JSON object a line; empty lines are passed over. */
export async function* readJsonLines(file: string): AsyncGenerator<SourceRow> {
	for await (const { text, number } of readLines(file))
		if (text.trim() !== "")
			yield { value: parseLine(file, number, text), line: number };
}

function parseLine(file: string, line: number, text: string): unknown {
	try {
		return parseJson(text);
	} catch (cause) {
		throw fileError(file, line, "is not valid JSON, or only half of it", {
			cause,
		});
	}
}
