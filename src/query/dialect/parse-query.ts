import { RemError } from "../../errors.ts";
import { limits, textProblem } from "../../models/limits.ts";
import { quoted, suggest } from "../../util/suggest.ts";
import { type Clause, clauseOf } from "./clause.ts";
import {
	depthClause,
	fieldClause,
	limitClause,
	maxTokensClause,
	minClause,
	offsetClause,
	orderByClause,
	readClauses,
	tableClause,
	tablesClause,
	thresholdClause,
	whereClause,
} from "./clauses.ts";
import { Cursor, keywordOf, syntaxError } from "./cursor.ts";
import { readName, readNames, readText } from "./names.ts";
import type {
	Direction,
	KnownNames,
	ParsedQuery,
	RemQuery,
} from "./rem-query.ts";

/**
 * Reads a query of the REM dialect; `QUERY_SYNTAX` names the character, what
 * was expected there and the nearest thing that would do. Takes time in
 * proportion to the text, and no text means anything but what is written.
 *
 * @example
 * parseQuery('LOOKUP "Sarah Chen" IN people', names).query
 * // { kind: "lookup", keys: ["Sarah Chen"], table: { value: "people", index: 23 } }
 */
export function parseQuery(text: string, names: KnownNames): ParsedQuery {
	checkText(text);
	const cursor = new Cursor(withoutEnd(text));
	const explain = cursor.takeKeyword("EXPLAIN") !== undefined;
	return { explain, query: readQuery(cursor, names) };
}

/** Without semicolons and spaces at the end. An expression for them would take the square of their number. */
function withoutEnd(text: string): string {
	let end = text.length;
	while (end > 0 && /[\s;]/.test(text.charAt(end - 1))) end--;
	return text.slice(0, end);
}

function checkText(text: string): void {
	if (typeof text !== "string")
		throw new RemError("VALIDATION", "the query is no text");
	const bytes = Buffer.byteLength(text);
	if (bytes > limits.queryBytes)
		throw new RemError(
			"INPUT_LIMIT",
			`the query has ${bytes} bytes, at most ${limits.queryBytes} are allowed`,
		);
	const problem = textProblem(text);
	if (problem !== undefined)
		throw new RemError("QUERY_SYNTAX", `the query ${problem}`);
}

const verbs = [
	"LOOKUP",
	"FUZZY",
	"SEARCH",
	"RECALL",
	"TRAVERSE",
	"SQL",
] as const;
type Verb = (typeof verbs)[number];

function readQuery(cursor: Cursor, names: KnownNames): RemQuery {
	const token = cursor.peek();
	const verb = verbs.find((name) => name === keywordOf(token));
	if (verb === undefined) throw unknownVerb(cursor);
	cursor.take();
	return readers[verb](cursor, names);
}

function unknownVerb(cursor: Cursor): RemError {
	const { kind, value, start } = cursor.peek();
	if (kind === "end")
		return syntaxError(
			"the query is empty",
			start,
			`begin with ${verbs.join(", ")}`,
		);
	return syntaxError(
		`unknown verb ${quoted(value)}`,
		start,
		statements.test(value) ? noStatement : suggest(value, verbs),
	);
}

const statements =
	/^(SELECT|WITH|INSERT|UPDATE|DELETE|VALUES|CREATE|ALTER|DROP)$/i;
const noStatement =
	"a query is no SQL statement: SQL table WHERE … reads a table; statements of your own go through service.execute";

const readers: Readonly<
	Record<Verb, (cursor: Cursor, names: KnownNames) => RemQuery>
> = {
	LOOKUP: (cursor, names) => {
		const clauses = [tableClause];
		const keys = readNames(cursor, clauses, names);
		return { kind: "lookup", keys, ...readClauses(cursor, clauses) };
	},
	FUZZY: (cursor, names) => {
		const clauses = [tableClause, thresholdClause, limitClause];
		// Its old name is FUZZY LOOKUP.
		if (cursor.peekSecond().kind === "string") cursor.takeKeyword("LOOKUP");
		const text = readText(cursor, clauses, names);
		return { kind: "fuzzy", text, ...readClauses(cursor, clauses) };
	},
	SEARCH: readSearch,
	RECALL: (cursor, names) => {
		const clauses = [tablesClause, limitClause, maxTokensClause];
		const text = readText(cursor, clauses, names);
		return { kind: "recall", text, ...readClauses(cursor, clauses) };
	},
	TRAVERSE: readTraverse,
	SQL: (cursor, names) => {
		const { value, start } = cursor.peek();
		if (statements.test(value) && !names.isTable(value))
			throw syntaxError(`"${value}" is no table`, start, noStatement);
		const table = readName(cursor, "a table");
		const clauses = [whereClause, orderByClause, limitClause, offsetClause];
		return { kind: "sql", table, ...readClauses(cursor, clauses) };
	},
};

function readSearch(cursor: Cursor, names: KnownNames): RemQuery {
	const clauses = [fieldClause, whereClause, minClause, limitClause];
	// SEARCH documents "text"
	const isTableFirst =
		names.isTable(cursor.peek().value) && cursor.peekSecond().kind === "string";
	if (isTableFirst) {
		const table = readName(cursor, "a table");
		const text = readText(cursor, clauses, names);
		return { kind: "search", table, text, ...readClauses(cursor, clauses) };
	}
	const all = [tableClause, ...clauses];
	const text = readText(cursor, all, names);
	return { kind: "search", text, ...readClauses(cursor, all) };
}

const directions: Readonly<Record<string, Direction>> = {
	OUT: "out",
	OUTBOUND: "out",
	IN: "in",
	INBOUND: "in",
	BOTH: "both",
};

const directionClause: Clause = {
	part: "direction",
	keywords: ["DIRECTION", "OUTBOUND", "INBOUND", "BOTH"],
	fits: () => true,
	read(cursor: Cursor, keyword) {
		const named = directions[keyword.toUpperCase()];
		if (named !== undefined) return named;
		const word = cursor.takeKeyword(...Object.keys(directions));
		if (word === undefined)
			cursor.expected("out, in or both after DIRECTION", ["out", "in", "both"]);
		return directions[word];
	},
};

const traverseClauses = [
	depthClause,
	directionClause,
	orderByClause,
	limitClause,
];

/** Where TRAVERSE begins: its keyword alone identifies it. */
const startClause: Clause = {
	...tableClause,
	keywords: ["WITH", "FROM"],
	fits: () => true,
};

/** `types WITH LOOKUP "key"`, or as it once was: `"key" OUTBOUND … TYPE "type"`. */
function readTraverse(cursor: Cursor, names: KnownNames): RemQuery {
	const hasTypes = clauseOf(cursor.peek(), [startClause]) === undefined;
	const types = hasTypes
		? readNames(cursor, [startClause, directionClause], names)
		: [];
	if (cursor.takeKeyword("WITH", "FROM") === undefined)
		return readOldTraverse(cursor, names, types);
	cursor.takeKeyword("LOOKUP");
	const from = readText(cursor, traverseClauses, names);
	const parts = readClauses(cursor, traverseClauses);
	return { kind: "traverse", types, from, ...parts };
}

function readOldTraverse(
	cursor: Cursor,
	names: KnownNames,
	[from, ...others]: readonly string[],
): RemQuery {
	const isDirection = clauseOf(cursor.peek(), [directionClause]) !== undefined;
	if (from === undefined || others.length > 0 || !isDirection)
		cursor.expected('WITH LOOKUP "key"', ["WITH", "FROM"]);
	const typeClause: Clause = {
		part: "types",
		keywords: ["TYPE"],
		fits: () => true,
		read: (cursor) => readNames(cursor, traverseClauses, names),
	};
	const parts = readClauses(cursor, [...traverseClauses, typeClause]);
	return { kind: "traverse", types: [], from, ...parts };
}
