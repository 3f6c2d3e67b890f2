import { beginsClause, type Clause } from "./clause.ts";
import type { Cursor, Token } from "./cursor.ts";
import { syntaxError } from "./cursor.ts";
import type { KnownNames, Part } from "./rem-query.ts";

/** A name of a table or a field, in quotes or not. */
export function readName(cursor: Cursor, what: string): Part {
	const token = cursor.peek();
	refuseUnclosed(token);
	if (token.kind !== "word" && token.kind !== "string") cursor.expected(what);
	cursor.take();
	return { value: token.value, index: token.start };
}

/** A text in quotes, or the words as they stand up to the first clause. */
export function readText(
	cursor: Cursor,
	clauses: readonly Clause[],
	names: KnownNames,
): string {
	if (cursor.peek().kind === "string") return cursor.take().value;
	return readWords(cursor, "a text", (token) =>
		beginsClause(token, cursor.peekSecond(), clauses, names),
	);
}

/** `"a"`, `a, b` or `["a", "b"]`: keys or edge types, in quotes or as words with spaces between. */
export function readNames(
	cursor: Cursor,
	clauses: readonly Clause[],
	names: KnownNames,
): string[] {
	const isList = cursor.peek().kind === "[";
	if (isList) cursor.take();
	const isEnd = (token: Token) =>
		token.kind === "," ||
		(isList
			? token.kind === "]"
			: beginsClause(token, cursor.peekSecond(), clauses, names));
	const found = [readOneName(cursor, isEnd)];
	while (cursor.peek().kind === ",") {
		cursor.take();
		found.push(readOneName(cursor, isEnd));
	}
	if (!isList) return found;
	if (cursor.peek().kind !== "]") cursor.expected('"," or "]"');
	cursor.take();
	return found;
}

function readOneName(cursor: Cursor, isEnd: (token: Token) => boolean): string {
	if (cursor.peek().kind === "string") return cursor.take().value;
	return readWords(cursor, "a name", isEnd);
}

/** At least one word, then as many as there are before the end. */
function readWords(
	cursor: Cursor,
	what: string,
	isEnd: (token: Token) => boolean,
): string {
	const first = cursor.peek();
	refuseUnclosed(first);
	// LIMIT for a text is a text forgotten; "limit" may be one.
	const isKeyword = isEnd(first) && first.value === first.value.toUpperCase();
	if (first.kind !== "word" || isKeyword) cursor.expected(what);
	cursor.take();
	while (cursor.peek().kind !== "end" && !isEnd(cursor.peek())) cursor.take();
	return cursor.text.slice(first.start, cursor.end);
}

/** Where a quoted text should begin, a quote that is never closed is a mistake. */
export function refuseUnclosed({ kind, value, start }: Token): void {
	if (kind === "word" && /^["']/.test(value))
		throw syntaxError(
			`the quote ${value[0]} is never closed`,
			start,
			"close it, or put a backslash before a quote that is part of the text",
		);
}
