const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// Emoji and the scripts of East Asia take two columns.
const wide =
	/^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])/u;

/** Columns the text takes in a terminal. */
export function textWidth(text: string): number {
	if (/^[\x20-\x7e]*$/.test(text)) return text.length;
	let width = 0;
	for (const { segment } of graphemes.segment(text))
		width += wide.test(segment) ? 2 : 1;
	return width;
}

/** The text, or as much of its beginning as fits, with `…` for the rest. */
export function cut(text: string, width: number): string {
	if (textWidth(text) <= width) return text;
	let shown = "";
	let used = 1;
	for (const { segment } of graphemes.segment(text)) {
		used += wide.test(segment) ? 2 : 1;
		if (used > width) break;
		shown += segment;
	}
	return `${shown.trimEnd()}…`;
}

/** The text with spaces up to the width, behind it or, aligned right, before it. */
export function pad(text: string, width: number, isRight = false): string {
	const spaces = " ".repeat(Math.max(0, width - textWidth(text)));
	return isRight ? spaces + text : text + spaces;
}
