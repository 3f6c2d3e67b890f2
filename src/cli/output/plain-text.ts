/**
 * Data made harmless for a terminal: control characters, and the marks that
 * turn the direction of writing, are shown as escapes instead of obeyed.
 */
export function plainText(text: string): string {
	return text.replace(unprintable, (character) => {
		const short = shortEscapes[character];
		if (short !== undefined) return short;
		const code = character.charCodeAt(0);
		return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
	});
}

/** The same within JSON, where every escape has four digits. */
export function plainJson(json: string): string {
	return json.replace(
		unprintable,
		(character) => `\\u${hex(character.charCodeAt(0), 4)}`,
	);
}

/** A text of any number of lines on one line. */
export function oneLine(text: string): string {
	return text.replace(/\s+/gu, " ").trim();
}

const unprintable = /\p{Cc}|[\u2028-\u202e\u2066-\u2069]/gu;

const shortEscapes: Readonly<Record<string, string>> = {
	"\n": "\\n",
	"\r": "\\r",
	"\t": "\\t",
};

function hex(code: number, digits: number): string {
	return code.toString(16).padStart(digits, "0");
}
