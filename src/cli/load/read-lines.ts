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
	let rest = "";
	let number = 0;
	for await (const piece of readText(file)) {
		const lines = (rest + piece).split("\n");
		rest = lines.pop() ?? "";
		for (const text of lines) yield { text, number: ++number };
	}
	if (rest !== "") yield { text: rest, number: ++number };
}
