import type { RawStmt, SelectStmt, SortBy } from "libpg-query";
import { RemError } from "../../errors.ts";
import type { EntityTable } from "../../models/registry.ts";
import { ident, join, raw, type Sql, sql } from "../../sql.ts";
import {
	type SqlGrammar,
	type SqlNode,
	SqlSyntaxError,
} from "../../sql-grammar.ts";
import { compileNode, placeOf } from "./compile.ts";
import {
	type Context,
	positionsIn,
	refusedAt,
	type SqlText,
} from "./context.ts";
import { hintingAtKeywords } from "./keyword-columns.ts";
import { as } from "./unify.ts";
import type { Operand } from "./value.ts";

export type { SqlText } from "./context.ts";

/**
 * A condition that was written as SQL, read with PostgreSQL's own grammar and
 * written again: of the text itself nothing reaches the server. Only columns of
 * the model, constants and a few operators and functions are taken, none of
 * which can fail at a row; everything else is `FILTER_REFUSED`.
 */
export class SqlFilter {
	readonly #table: EntityTable;
	readonly #text: SqlText;
	readonly #node: SqlNode | undefined;

	constructor(grammar: SqlGrammar, table: EntityTable, text: SqlText) {
		this.#table = table;
		this.#text = text;
		const source: Source = { table, text, clause: "WHERE" };
		this.#node = hintingAtKeywords(grammar, named(source), () => {
			const { whereClause } = readSelect(grammar, source);
			this.#compile(whereClause, "r", table);
			return whereClause;
		});
	}

	/** The condition on the table of that alias. */
	toSql(alias: string, table = this.#table): Sql {
		return this.#compile(this.#node, alias, table);
	}

	#compile(node: SqlNode | undefined, alias: string, table: EntityTable): Sql {
		const source: Source = { table, text: this.#text, clause: "WHERE" };
		const context = contextOf(source, alias);
		return as(compileNode(context, node), "boolean").sql;
	}
}

/**
 * `created_at DESC, lower(name)` as an order of the table of that alias. `id` comes
 * last, so that it is the same every time, in the direction of the term before it:
 * so an index that ends with `id` has the whole order.
 */
export function sqlOrder(
	grammar: SqlGrammar,
	{ table, text }: Omit<Source, "clause">,
	alias: string,
): Sql {
	const source: Source = { table, text, clause: "ORDER BY" };
	return hintingAtKeywords(grammar, named(source), () =>
		orderOf(readSelect(grammar, source), contextOf(source, alias)),
	);
}

function orderOf({ sortClause = [] }: SelectStmt, context: Context): Sql {
	const terms = sortClause.flatMap((node) =>
		"SortBy" in node ? [node.SortBy] : [],
	);
	const isDescending = terms.at(-1)?.sortby_dir === "SORTBY_DESC";
	return join([
		...terms.map((term) => orderTerm(context, term)),
		sql`${ident(context.alias, "id")}${raw(isDescending ? " DESC" : "")}`,
	]);
}

function orderTerm(context: Context, term: SortBy): Sql {
	const operand: Operand = compileNode(context, term.node);
	const isOrderable =
		operand.kind === "value" &&
		operand.type !== "jsonb" &&
		operand.isConstant !== true;
	if (!isOrderable || term.useOp !== undefined)
		throw refusedAt(
			context.positionAt(placeOf(term)),
			"rows are ordered by columns that are no JSON",
			"created_at DESC, metadata->>'status'",
		);
	const direction = term.sortby_dir === "SORTBY_DESC" ? " DESC" : "";
	const nulls = nullsOrders[term.sortby_nulls ?? ""] ?? "";
	return sql`${operand.sql}${raw(direction)}${raw(nulls)}`;
}

const nullsOrders: Readonly<Record<string, string>> = {
	SORTBY_NULLS_FIRST: " NULLS FIRST",
	SORTBY_NULLS_LAST: " NULLS LAST",
};

type Clause = "WHERE" | "ORDER BY";

/** SQL of a user, and what it is for. */
interface Source {
	readonly table: EntityTable;
	readonly text: SqlText;
	readonly clause: Clause;
}

function named({ table, text }: Source) {
	return { entity: table.entity, text };
}

function contextOf({ table, text, clause }: Source, alias: string): Context {
	const positionAt = positionsIn(text, prefixOf(clause).length);
	return { table, entity: table.entity, alias, positionAt };
}

function prefixOf(clause: Clause): string {
	return `SELECT FROM r ${clause} `;
}

/** The statement that the text completes; refused if it makes more of it than that. */
function readSelect(grammar: SqlGrammar, source: Source): SelectStmt {
	const { clause } = source;
	const context = contextOf(source, "r");
	const [first, second] = parse(grammar, context, source);
	if (second !== undefined)
		throw refusedAt(
			context.positionAt(second.stmt_location),
			"more than one statement",
		);
	const select = selectOf(first?.stmt);
	const foreign = Object.entries(select).find(
		([name, value]) => !isExpected(name, value, clause),
	);
	if (foreign !== undefined)
		throw refusedAt(
			context.positionAt(placeOf(foreign[1])),
			`${clause} goes on with another clause`,
		);
	return select;
}

function selectOf(node: SqlNode | undefined): SelectStmt {
	return node !== undefined && "SelectStmt" in node ? node.SelectStmt : {};
}

function isExpected(name: string, value: unknown, clause: Clause): boolean {
	switch (name) {
		case "fromClause":
			return true;
		case "whereClause":
			return clause === "WHERE";
		case "sortClause":
			return clause === "ORDER BY";
		case "op":
			return value === "SETOP_NONE";
		case "limitOption":
			return value === "LIMIT_OPTION_DEFAULT";
		default:
			return false;
	}
}

function parse(
	grammar: SqlGrammar,
	context: Context,
	{ text, clause }: Source,
): readonly RawStmt[] {
	const prefix = prefixOf(clause);
	try {
		return grammar.parse(prefix + text.value).stmts ?? [];
	} catch (error) {
		if (!(error instanceof SqlSyntaxError)) throw error;
		const before = Buffer.byteLength(
			text.value.slice(0, Math.max(0, error.index - prefix.length)),
		);
		const position = context.positionAt(prefix.length + before);
		throw new RemError(
			"QUERY_SYNTAX",
			`${error.message}, at character ${position}`,
			{
				position,
				hint: "conditions and orders are written in PostgreSQL's SQL",
			},
		);
	}
}
