export interface Line {
	readonly text: string;
	/** From 1. */
	readonly number: number;
}

/**
 * The lines of a text that comes in pieces, ended by LF, CRLF or CR. Unlike
 * node:readline it does not split at U+2028, which may be inside a JSON string.
 */
export async function* linesOf(
	text: Iterable<string> | AsyncIterable<string>,
): AsyncGenerator<Line> {
	// Of a line that has not ended: put together once, when it does.
	let pieces: string[] = [];
	let number = 0;
	let returned = "";
	for await (const piece of text) {
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
