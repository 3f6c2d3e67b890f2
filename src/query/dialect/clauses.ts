import { type Clause, clauseOf, isNumber, isWholeNumber } from "./clause.ts";
import { type Cursor, keywordOf, syntaxError, type Token } from "./cursor.ts";
import { readName, refuseUnclosed } from "./names.ts";
import type { KnownNames, Part } from "./rem-query.ts";
import { readSqlPart } from "./sql-part.ts";

/** The clauses to the end, in any order, each at most once. */
export function readClauses(
	cursor: Cursor,
	clauses: readonly Clause[],
): Readonly<Record<string, unknown>> {
	const parts: Record<string, unknown> = {};
	while (cursor.peek().kind !== "end") {
		const token = cursor.peek();
		const clause = clauseOf(token, clauses);
		if (clause === undefined) throw unexpected(cursor, clauses);
		if (Object.hasOwn(parts, clause.part))
			throw syntaxError(`${keywordOf(token)} is given twice`, token.start);
		cursor.take();
		parts[clause.part] = clause.read(cursor, token.value, clauses);
	}
	return parts;
}

function unexpected(cursor: Cursor, clauses: readonly Clause[]): never {
	const keywords = clauses.flatMap(({ keywords }) => keywords);
	cursor.expected(`${keywords.join(", ")} or the end`, keywords);
}

export const tableClause: Clause = {
	part: "table",
	keywords: ["IN", "FROM", "TABLE"],
	fits: ({ value }, names) => names.isTable(value),
	read: (cursor) => readName(cursor, "a table"),
};

/** `IN a, b`: one table or several. */
export const tablesClause: Clause = {
	...tableClause,
	part: "tables",
	keywords: ["IN", "FROM", "TABLE", "TABLES"],
	read(cursor): Part[] {
		const tables = [readName(cursor, "a table")];
		while (cursor.peek().kind === ",") {
			cursor.take();
			tables.push(readName(cursor, "a table"));
		}
		return tables;
	},
};

export const fieldClause: Clause = {
	part: "field",
	keywords: ["FIELD"],
	fits: ({ value }, names) => names.isField(value),
	read: (cursor) => readName(cursor, "a field"),
};

export const whereClause: Clause = {
	part: "where",
	keywords: ["WHERE"],
	fits: beginsWithField,
	read: (cursor, _, clauses) => readSql(cursor, "a condition", clauses),
};

export const orderByClause: Clause = {
	part: "orderBy",
	keywords: ["ORDER"],
	fits: (next) => keywordOf(next) === "BY",
	read(cursor, _, clauses) {
		if (cursor.takeKeyword("BY") === undefined)
			cursor.expected("BY after ORDER", ["BY"]);
		return readSql(cursor, "what to order by", clauses);
	},
};

export const limitClause = numberClause("limit", "LIMIT", "whole number");
export const offsetClause = numberClause("offset", "OFFSET", "whole number");
export const depthClause = numberClause("depth", "DEPTH", "whole number");
export const minClause = numberClause("min", "MIN", "number");
export const thresholdClause = numberClause("threshold", "THRESHOLD", "number");

export const maxTokensClause: Clause = {
	...numberClause("maxTokens", "MAX", "whole number"),
	fits: (next) => keywordOf(next) === "TOKENS",
	read(cursor, keyword, clauses) {
		if (cursor.takeKeyword("TOKENS") === undefined)
			cursor.expected("TOKENS after MAX", ["TOKENS"]);
		const number = numberClause("maxTokens", "MAX TOKENS", "whole number");
		return number.read(cursor, keyword, clauses);
	},
};

function numberClause(
	part: string,
	keyword: string,
	what: "number" | "whole number",
): Clause {
	const isSuch = what === "number" ? isNumber : isWholeNumber;
	return {
		part,
		keywords: [keyword],
		fits: ({ value }) => isSuch(value),
		read(cursor): Part<number> {
			if (!isSuch(cursor.peek().value))
				cursor.expected(`a ${what} after ${keyword}`);
			const { value, start } = cursor.take();
			return { value: Number(value), index: start };
		},
	};
}

function beginsWithField({ value }: Token, names: KnownNames): boolean {
	return names.isField(/^\w*/.exec(value)?.[0] ?? "");
}

function readSql(cursor: Cursor, what: string, clauses: readonly Clause[]) {
	refuseUnclosed(cursor.peek());
	return readSqlPart(cursor, what, clauses);
}
