import { parseJson } from "../../models/json-text.ts";
import { linesOf } from "../../util/lines.ts";
import type { InputFile } from "./input-file.ts";
import { readText } from "./read-text.ts";
import { fileError, type SourceRow } from "./source.ts";

/** A JSON object a line; empty lines are passed over. */
export async function* readJsonLines(
	file: InputFile,
): AsyncGenerator<SourceRow> {
	let isFirst = true;
	for await (const { text, number } of linesOf(readText(file))) {
		if (text.trim() === "") continue;
		if (isFirst) refuseJson(file.name, text.trim(), number);
		isFirst = false;
		yield parseLine(text, number);
	}
}

/** A list, or an object over several lines, is one JSON value and not a value a line. */
function refuseJson(file: string, text: string, line: number): void {
	if (!text.startsWith("[") && text !== "{") return;
	throw fileError(
		{ file, line },
		text === "{"
			? "begins an object that goes on below, where each line is to be one"
			: "begins a list, where each line is to be an object",
		{ hint: "name the file .json, or give --format json" },
	);
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
