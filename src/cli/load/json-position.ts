/**
 * Where a text stops being JSON: the offset of the first wrong character, or
 * the text's length when it ends too early. V8 reports the place of some errors
 * only, and quotes the text in its messages.
 */
export function jsonErrorOffset(text: string): number {
	const scanner = new JsonScanner(text);
	if (scanner.value()) scanner.space();
	return scanner.at;
}

/** The line, from 1, of an offset. */
export function lineOf(text: string, offset: number): number {
	let line = 1;
	for (const { index, 0: end } of text.matchAll(/\r\n|\n|\r/g)) {
		if (index + end.length > offset) break;
		line++;
	}
	return line;
}

/** The lines, from 1, on which the items of a list begin; of any other value, where it begins. */
export function itemLines(text: string): number[] {
	const scanner = new JsonScanner(text);
	const ends = [...text.matchAll(/\r\n|\n|\r/g)].map(
		({ index, 0: end }) => index + end.length,
	);
	let line = 0;
	return scanner.itemOffsets().map((offset) => {
		while ((ends[line] ?? Number.POSITIVE_INFINITY) <= offset) line++;
		return line + 1;
	});
}

/** Walks over one JSON value and stays at the first character that is wrong. */
class JsonScanner {
	at = 0;
	readonly #text: string;

	constructor(text: string) {
		this.#text = text;
	}

	/** Without recursion: a file may nest deeper than the stack. */
	value(): boolean {
		const open: ("[" | "{")[] = [];
		for (;;) {
			if (!this.#start(open)) return false;
			// A value has ended: close what ends with it, or go on to the next one.
			for (;;) {
				const inside = open.at(-1);
				if (inside === undefined) return true;
				this.space();
				if (this.#take(",")) {
					if (inside === "{" && !this.#key()) return false;
					break;
				}
				if (!this.#take(inside === "[" ? "]" : "}")) return false;
				open.pop();
			}
		}
	}

	/** Where the items of a list begin, up to the first that is wrong. */
	itemOffsets(): number[] {
		this.space();
		if (!this.#take("[")) return [this.at];
		const offsets: number[] = [];
		do {
			this.space();
			offsets.push(this.at);
			if (!this.value()) break;
			this.space();
		} while (this.#take(","));
		return offsets;
	}

	space(): void {
		this.#match(/[ \t\r\n]*/y);
	}

	/** Up to the end of the first complete value. */
	#start(open: ("[" | "{")[]): boolean {
		for (;;) {
			this.space();
			if (this.#take("[")) {
				this.space();
				if (this.#take("]")) return true;
				open.push("[");
			} else if (this.#take("{")) {
				this.space();
				if (this.#take("}")) return true;
				open.push("{");
				if (!this.#key()) return false;
			} else return this.#scalar();
		}
	}

	#key(): boolean {
		this.space();
		if (!this.#string()) return false;
		this.space();
		return this.#take(":");
	}

	#scalar(): boolean {
		if (this.#text[this.at] === '"') return this.#string();
		return (
			this.#match(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y) ||
			this.#match(/true|false|null/y)
		);
	}

	/** Piece by piece: one expression over megabytes would overflow its stack. */
	#string(): boolean {
		if (!this.#take('"')) return false;
		while (
			this.#match(/[^"\\\p{Cc}]+/uy) ||
			this.#match(/[\u007f-\u009f]+/y) ||
			this.#match(/\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y)
		);
		return this.#take('"');
	}

	#take(character: string): boolean {
		const isNext = this.#text[this.at] === character;
		if (isNext) this.at++;
		return isNext;
	}

	#match(expression: RegExp): boolean {
		expression.lastIndex = this.at;
		if (!expression.test(this.#text)) return false;
		this.at = expression.lastIndex;
		return true;
	}
}
