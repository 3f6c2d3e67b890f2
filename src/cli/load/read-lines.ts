import type { InputFile } from "./input-file.ts";
import { readText } from "./read-text.ts";

export interface Line {
	readonly text: string;
	/** From 1. */
	readonly number: number;
}

/**
 * The lines of a file. Unlike node:readline it splits at line feeds only:
 * U+2028 may stand inside a JSON string.
 */
export async function* readLines(file: InputFile): AsyncGenerator<Line> {
	// Of a line that has not ended: put together once, when it does.
	let pieces: string[] = [];
	let number = 0;
	for await (const piece of readText(file)) {
		const [end = "", ...lines] = piece.split("\n");
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
