import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import { type SqlGrammar, SqlSyntaxError } from "../../sql-grammar.ts";
import type { SqlText } from "./context.ts";

/** SQL of a user about a table of the entity. */
interface Source {
	readonly entity: Entity;
	readonly text: SqlText;
}

/**
 * Runs what reads the text. Where that fails at a column such as "order" or "user",
 * whose name PostgreSQL takes for a keyword, the error's hint names it: the error
 * itself (`syntax error at or near "="`) is about the keyword.
 */
export function hintingAtKeywords<T>(
	grammar: SqlGrammar,
	source: Source,
	read: () => T,
): T {
	try {
		return read();
	} catch (error) {
		if (!(error instanceof RemError)) throw error;
		const column = keywordColumn(grammar, source, error);
		if (column === undefined) throw error;
		const { code, message, position } = error;
		throw new RemError(code, message, {
			position,
			hint: `${column} is a keyword of SQL: write the column in double quotes, "${column}"`,
		});
	}
}

/** The name of a column, without quotes, at the error or right before it, that does not stand for the column. */
function keywordColumn(
	grammar: SqlGrammar,
	{ entity, text }: Source,
	{ position }: RemError,
): string | undefined {
	if (position === undefined) return undefined;
	const index = indexAt(text, position);
	const at = /^\w+/.exec(text.value.slice(index))?.[0];
	const before = /(?<![\w"])\w+(?=\s*$)/.exec(text.value.slice(0, index))?.[0];
	return [at, before].find(
		(word) =>
			word !== undefined && isFieldOf(entity, word) && !isColumn(grammar, word),
	);
}

/** The inverse of {@link SqlText.at}; an error's positions count from 1. */
function indexAt({ value, at }: SqlText, position: number): number {
	for (let index = 0; index < value.length; index += 1)
		if (at(index) + 1 >= position) return index;
	return value.length;
}

function isFieldOf({ fieldsByName }: Entity, word: string): boolean {
	return (
		fieldsByName.has(word) ||
		[...fieldsByName.values()].some(
			({ column }) => column === word.toLowerCase(),
		)
	);
}

/** Whether the grammar reads the word by itself as a column. */
function isColumn(grammar: SqlGrammar, word: string): boolean {
	try {
		const [statement] =
			grammar.parse(`SELECT FROM r ORDER BY ${word}`).stmts ?? [];
		const select = statement?.stmt;
		if (select === undefined || !("SelectStmt" in select)) return false;
		const [term] = select.SelectStmt.sortClause ?? [];
		return (
			term !== undefined &&
			"SortBy" in term &&
			term.SortBy.node !== undefined &&
			"ColumnRef" in term.SortBy.node
		);
	} catch (error) {
		if (error instanceof SqlSyntaxError) return false;
		throw error;
	}
}
