import { expect, test } from "vitest";
import { loadSqlGrammar, SqlSyntaxError } from "../../src/sql-grammar.ts";

test("a text is read as PostgreSQL 18 reads it", async () => {
	const grammar = await loadSqlGrammar();
	const { version, stmts } = grammar.parse("SELECT 1; SELECT old.x FROM t");
	expect(Math.floor((version ?? 0) / 10_000)).toBe(18);
	expect(stmts).toHaveLength(2);
});

test("an error has its position as JavaScript counts, after any letters", async () => {
	const grammar = await loadSqlGrammar();
	const text = "SELECT 'é🙂', 1 = = 2";
	const failure = catchError(() => grammar.parse(text));
	expect(failure).toBeInstanceOf(SqlSyntaxError);
	expect(failure).toMatchObject({
		message: 'syntax error at or near "="',
		index: text.lastIndexOf("="),
	});
});

function catchError(work: () => unknown): unknown {
	try {
		work();
	} catch (error) {
		return error;
	}
	return undefined;
}
