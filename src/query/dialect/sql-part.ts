import { RemError } from "../../errors.ts";
import { limits } from "../../models/limits.ts";
import { type Clause, clauseOf } from "./clause.ts";
import { type Cursor, keywordOf, syntaxError, type Token } from "./cursor.ts";
import { placesInString } from "./quotes.ts";
import type { KnownNames, SqlPart } from "./rem-query.ts";

/**
 * The SQL of a clause, to the query's next clause or its end. It may stand in
 * quotes as a whole: WHERE "moment_type = 'meeting'".
 */
export function readSqlPart(
	cursor: Cursor,
	what: string,
	clauses: readonly Clause[],
): SqlPart {
	const { text } = cursor;
	const token = cursor.peek();
	const next = cursor.peekSecond();
	if (token.kind === "string" && (next.kind === "end" || ends(next))) {
		cursor.take();
		const places = placesInString(text, token.start);
		const at = (index: number) => places[index] ?? token.end;
		sqlEnd(token.value, 0, { ends: () => false, at });
		return { value: token.value, at };
	}
	const end = sqlEnd(text, token.start, { ends });
	const value = text.slice(token.start, end).trimEnd();
	if (value === "") cursor.expected(what);
	cursor.jump(end);
	return { value, at: (index) => token.start + index };

	function ends(word: Token): boolean {
		return endsSql(word, text, clauses);
	}
}

/** A text that is SQL as a whole, under the same rules. */
export function wholeSqlPart(text: string): SqlPart {
	const value = text.trimEnd();
	sqlEnd(value, 0, { ends: () => false });
	return { value, at: (index) => index };
}

// What can be no part of a condition is refused here: the grammar would take a
// comment for a space, and a text in dollars could hide where the clause ends.
const pieces =
	/(?<space>\s+)|(?<constant>[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|\d[\w.]*|\.\d+)|(?<identifier>"(?:[^"]|"")*")|(?<word>[\p{L}_][\p{L}\p{N}_]*)|(?<refused>--|\/\*|\$|['"])|(?<sign>[\s\S])/uy;

/** With more words and signs the grammar's parser could run out of stack. */
const maxPieces = 1000;
/** Several lists of the most values one may have; 30,000 would take it 0.1 s. */
const maxConstants = 4 * limits.filterListLength;

/** Words after which an operand is still to come: a column may be called "field" or "min". */
const joins = new Set(
	"AND OR NOT IN LIKE ILIKE BETWEEN IS DISTINCT FROM ANY ALL SOME BY INTERVAL ESCAPE".split(
		" ",
	),
);

interface SqlBounds {
	/** Whether the word ends the SQL. */
	readonly ends: (word: Token) => boolean;
	/** The place of a character in the query. */
	readonly at?: (index: number) => number;
}

/**
 * Where the SQL ends that begins here: before a clause, outside parentheses.
 * Nothing else reaches the grammar, whose scanner takes 40 s for 64 KiB of
 * comments that open and never close.
 */
function sqlEnd(
	text: string,
	start: number,
	{ ends, at = (index) => index }: SqlBounds,
): number {
	let depth = 0;
	let pieceCount = 0;
	let constantCount = 0;
	let isOperandBefore = false;
	pieces.lastIndex = start;
	for (let index = start; index < text.length; index = pieces.lastIndex) {
		const piece = pieces.exec(text)?.groups ?? {};
		const { word, sign, refused } = piece;
		if (refused !== undefined) throw refusedPiece(refused, at(index));
		if (piece.space !== undefined) continue;
		if (word !== undefined && depth === 0 && isOperandBefore) {
			const end = index + word.length;
			if (ends({ kind: "word", value: word, start: index, end })) return index;
		}
		if (sign === "(" || sign === "[") depth++;
		if (sign === ")" || sign === "]") depth--;
		isOperandBefore =
			sign === undefined
				? !joins.has(word?.toUpperCase() ?? "")
				: sign === ")" || sign === "]";
		if (piece.constant !== undefined) constantCount++;
		else if (sign !== ",") pieceCount++;
		if (pieceCount > maxPieces || constantCount > maxConstants)
			throw tooMuch(at(index));
	}
	return text.length;
}

/** Whether a clause begins at the word, which SQL may know as well. */
function endsSql(
	word: Token,
	text: string,
	clauses: readonly Clause[],
): boolean {
	const clause = clauseOf(word, clauses);
	if (clause === undefined) return false;
	const value = wordBehind(text, word.end);
	switch (clause.part) {
		case "table":
			return keywordOf(word) !== "IN" || !value.startsWith("(");
		case "field":
		case "types":
			return /^["'\p{L}_]/u.test(value) && !joins.has(value.toUpperCase());
		default:
			// What PostgreSQL reserves ends it in any case; a column may be called "min".
			return (
				reserved.has(word.value.toUpperCase()) ||
				clause.fits({ ...word, value }, noNames)
			);
	}
}

const reserved = new Set(["WHERE", "ORDER", "LIMIT", "OFFSET"]);

const noNames: KnownNames = { isTable: () => false, isField: () => false };

/** As much of it as a name or a number can have: it is read again for each keyword. */
function wordBehind(text: string, index: number): string {
	const word = /\s*([^\s,]{0,256})/y;
	word.lastIndex = index;
	return word.exec(text)?.[1] ?? "";
}

function refusedPiece(piece: string, index: number): RemError {
	if (piece === "'" || piece === '"')
		return syntaxError(`the quote ${piece} is never closed`, index);
	const what = piece === "$" ? "dollar signs" : "comments";
	return new RemError(
		"FILTER_REFUSED",
		`a condition has no ${what}, at character ${index + 1}`,
		{ position: index + 1 },
	);
}

function tooMuch(index: number): RemError {
	return new RemError(
		"INPUT_LIMIT",
		`the condition has more than ${maxPieces} words and signs, or ${maxConstants} constants`,
		{ position: index + 1, hint: "ask in several queries" },
	);
}
