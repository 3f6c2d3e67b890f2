/** A quoted text of the query, and where it stands with its quotes. */
export interface QuotedText {
	readonly value: string;
	readonly start: number;
	readonly end: number;
}

/**
 * Reads the quoted text that begins here; `undefined` if it does not end. A
 * backslash before a quote or a backslash takes it literally, and so does
 * doubling the quote; any other backslash stands for itself.
 *
 * @example
 * readString(String.raw`"say \"hi\""`, 0) // { value: 'say "hi"', start: 0, end: 12 }
 */
export function readString(
	text: string,
	start: number,
): QuotedText | undefined {
	const quote = text[start];
	let value = "";
	for (let index = start + 1; index < text.length; index++) {
		const length = escapeLength(text, index, quote);
		if (text[index] === quote && length === 0)
			return { value, start, end: index + 1 };
		index += length;
		value += text[index];
	}
	return undefined;
}

/** The places in the text of the value's characters, of the string that begins at `start`. */
export function placesInString(text: string, start: number): number[] {
	const quote = text[start];
	const places: number[] = [];
	for (let index = start + 1; index < text.length; index++) {
		const length = escapeLength(text, index, quote);
		places.push(index);
		if (text[index] === quote && length === 0) break;
		index += length;
	}
	return places;
}

/** Characters to skip before the one that is meant: 1 where an escape stands. */
function escapeLength(
	text: string,
	index: number,
	quote: string | undefined,
): 0 | 1 {
	const next = text[index + 1];
	if (text[index] === "\\")
		return next === "\\" || next === '"' || next === "'" ? 1 : 0;
	return text[index] === quote && next === quote ? 1 : 0;
}
