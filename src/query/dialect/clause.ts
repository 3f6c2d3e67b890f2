import { type Cursor, keywordOf, type Token } from "./cursor.ts";
import type { KnownNames } from "./rem-query.ts";

/** A clause by its keywords: what follows one of them is read into that part of the query. */
export interface Clause {
	readonly part: string;
	readonly keywords: readonly string[];
	/** Whether the next token is such as the clause needs. */
	fits(next: Token, names: KnownNames): boolean;
	read(cursor: Cursor, keyword: string, clauses: readonly Clause[]): unknown;
}

/** The clause that the word begins, if it does. */
export function clauseOf(
	token: Token,
	clauses: readonly Clause[],
): Clause | undefined {
	const keyword = keywordOf(token);
	if (keyword === undefined) return undefined;
	return clauses.find(({ keywords }) => keywords.includes(keyword));
}

/**
 * Whether a clause begins here in the midst of an unquoted text: its keyword is
 * in capitals, or what it needs follows. "meeting in Paris" is a text, unless
 * there is a table Paris.
 */
export function beginsClause(
	token: Token,
	next: Token,
	clauses: readonly Clause[],
	names: KnownNames,
): boolean {
	const clause = clauseOf(token, clauses);
	if (clause === undefined) return false;
	return token.value === keywordOf(token) || clause.fits(next, names);
}

export function isNumber(text: string): boolean {
	return /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/.test(text);
}

export function isWholeNumber(text: string): boolean {
	return /^\d{1,15}$/.test(text);
}
