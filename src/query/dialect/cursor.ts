import { RemError } from "../../errors.ts";
import { quoted, suggest } from "../../util/suggest.ts";
import { readString } from "./quotes.ts";

/** A piece of the text: `[start, end)`. A string's value is without quotes and escapes. */
export interface Token {
	readonly kind: "word" | "string" | "," | "[" | "]" | "end";
	readonly value: string;
	readonly start: number;
	readonly end: number;
}

/** Goes through the text once, token by token. */
export class Cursor {
	readonly text: string;
	#next: Token;
	/** Where the last token that was taken ended. */
	#end = 0;
	/** Quotes that were opened and never closed: each kind is looked for once. */
	readonly #unclosed = new Set<string>();

	constructor(text: string) {
		this.text = text;
		this.#next = this.#read(0);
	}

	peek(): Token {
		return this.#next;
	}

	/** The token behind the next one. */
	peekSecond(): Token {
		return this.#read(this.#next.end);
	}

	take(): Token {
		const token = this.#next;
		this.#end = token.end;
		this.#next = this.#read(token.end);
		return token;
	}

	/** Where the last token that was taken ended. */
	get end(): number {
		return this.#end;
	}

	/** Goes on behind a part that was read in another way. */
	jump(index: number): void {
		this.#end = index;
		this.#next = this.#read(index);
	}

	/** Takes the next word if it is one of the keywords, in any case. */
	takeKeyword(...keywords: readonly string[]): string | undefined {
		const keyword = keywordOf(this.#next);
		if (keyword === undefined || !keywords.includes(keyword)) return undefined;
		this.take();
		return keyword;
	}

	/** Throws: what was expected here, and what stands here. */
	expected(what: string, known: readonly string[] = []): never {
		const token = this.#next;
		throw syntaxError(
			`expected ${what}, found ${describe(token)}`,
			token.start,
			token.kind === "word" ? suggest(token.value, known) : undefined,
		);
	}

	#read(from: number): Token {
		let start = from;
		while (start < this.text.length && isSpace(this.text, start)) start++;
		const character = this.text[start];
		if (character === undefined)
			return { kind: "end", value: "", start, end: start };
		if (character === "," || character === "[" || character === "]")
			return { kind: character, value: character, start, end: start + 1 };
		if (character === '"' || character === "'") {
			const string = this.#readString(start, character);
			if (string !== undefined) return string;
		}
		return this.#readWord(start);
	}

	/** A quote that is never closed is a character of a word: `rock 'n roll`. */
	#readString(start: number, quote: string): Token | undefined {
		if (this.#unclosed.has(quote)) return undefined;
		const string = readString(this.text, start);
		if (string !== undefined) return { kind: "string", ...string };
		this.#unclosed.add(quote);
		return undefined;
	}

	#readWord(start: number): Token {
		let end = start + 1;
		while (end < this.text.length && !endsWord(this.text, end)) end++;
		const value = this.text.slice(start, end);
		return { kind: "word", value, start, end };
	}
}

/** `QUERY_SYNTAX`: what is wrong, and at which character (from 1). */
export function syntaxError(
	message: string,
	index: number,
	hint?: string,
): RemError {
	return new RemError(
		"QUERY_SYNTAX",
		`${message}, at character ${index + 1}`,
		hint === undefined
			? { position: index + 1 }
			: { position: index + 1, hint },
	);
}

/** A word as a keyword: upper-case ASCII, so that no other letter can pass for one. */
export function keywordOf(token: Token): string | undefined {
	return token.kind === "word" && /^[A-Za-z]+$/.test(token.value)
		? token.value.toUpperCase()
		: undefined;
}

function describe(token: Token): string {
	return token.kind === "end" ? "the end" : quoted(token.value);
}

function isSpace(text: string, index: number): boolean {
	return /\s/.test(text.charAt(index));
}

function endsWord(text: string, index: number): boolean {
	return /[\s,\]]/.test(text.charAt(index));
}
