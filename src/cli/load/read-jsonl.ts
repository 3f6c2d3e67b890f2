import { parseJson } from "../../models/json-text.ts";
import type { InputFile } from "./input-file.ts";
import { readText } from "./read-text.ts";
import { fileError, type SourceRow } from "./source.ts";

/** A JSON object a line; empty lines are passed over. */
export async function* readJsonLines(
	file: InputFile,
): AsyncGenerator<SourceRow> {
	let isFirst = true;
	for await (const { text, number } of readLines(file)) {
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

interface Line {
	readonly text: string;
	/** From 1. */
	readonly number: number;
}

/**
 * The lines of a file, ended by LF, CRLF or CR. Unlike node:readline it does not
 * split at U+2028, which may stand inside a JSON string.
 */
async function* readLines(file: InputFile): AsyncGenerator<Line> {
	// Of a line that has not ended: put together once, when it does.
	let pieces: string[] = [];
	let number = 0;
	let returned = "";
	for await (const piece of readText(file)) {
		const whole = returned + piece;
		// The next piece may begin with the LF that belongs to it.
		returned = whole.endsWith("\r") ? "\r" : "";
		const [end = "", ...lines] = whole
			.slice(0, whole.length - returned.length)
			.split(/\r\n|\n|\r/);
		pieces.push(end);
		const rest = lines.pop();
		if (rest === undefined) continue;
		yield { text: pieces.join(""), number: ++number };
		for (const text of lines) yield { text, number: ++number };
		pieces = [rest];
	}
	const last = pieces.join("");
	if (last !== "") yield { text: last, number: ++number };
}
