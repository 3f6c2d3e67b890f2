import { optionalOptions } from "../../calls/arguments.ts";
import { async, rows, traced } from "../../calls/public-methods.ts";
import { RemError } from "../../errors.ts";
import { SqlFilter } from "../../filters/sql-text/sql-filter.ts";
import { anyText, oneOrList } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import { limits } from "../../models/limits.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { Row, Where } from "../../models/types.ts";
import { parseQuery } from "../../query/dialect/parse-query.ts";
import { namesOf } from "../../query/dialect/plan-query.ts";
import { checkLimit } from "../../query/scope.ts";
import { empty, type Sql, sql } from "../../sql.ts";
import { loadSqlGrammar } from "../../sql-grammar.ts";
import {
	findPage as findRowsOfPage,
	positionLength,
	type RowPosition,
} from "../../store/find-rows.ts";
import { quoted } from "../../util/suggest.ts";
import { resultRows } from "../call-options.ts";
import { asRefusal } from "../query.ts";
import { type RowsCaller, rowsVerb } from "../verb.ts";
import {
	type Filter,
	filterArgument,
	type RepositoryFindOptions,
} from "./find.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

export interface FindPageOptions<E> extends RepositoryReadOptions {
	/** A condition besides the filter, as the REM dialect writes it: `"year > 1990 AND name LIKE 'A%'"`. */
	readonly condition?: string;
	/** @default "id": the order of creation */
	readonly orderBy?: RepositoryFindOptions<E>["orderBy"];
	/** Rows of the page, at most 10,000. @default 50 */
	readonly limit?: number;
	/** `next` of the page before, of the same order. @default the first page */
	readonly after?: string;
}

/** Some rows of an order, and where it goes on. */
export interface RowPage<E> {
	readonly rows: readonly Row<E>[];
	/** For `after` of the next page; `undefined`: this is the last one. */
	readonly next: string | undefined;
}

export interface FindPage<E extends Entity> {
	/**
	 * The rows of `find`, a page at a time. A page begins behind the last row of the
	 * one before, so the thousandth costs as much as the first, and rows that come
	 * or go in between shift none.
	 *
	 * @example
	 * const { rows, next } = await documents.findPage({ tenantId: "acme" }, { orderBy: "year desc", limit: 20 })
	 */
	findPage(
		filter?: Where<E>,
		options?: FindPageOptions<E>,
	): Promise<RowPage<E>>;
}

const checks: OptionChecks<FindPageOptions<Entity>> = {
	...readOptions,
	condition: anyText,
	orderBy: oneOrList(anyText),
	limit: resultRows,
	after: anyText,
};

/** @internal */
export const findPage = rowsVerb({
	name: "findPage",
	method: traced(async(filterArgument, optionalOptions(checks)), {
		operation: "findPage",
		found: (page: RowPage<Entity>) => rows(page.rows),
	}),
	run: async (
		caller,
		given: Filter = {},
		options: FindPageOptions<Entity> = {},
	) => {
		const { orderBy, limit = 50, condition, after } = options;
		checkLimit(limit);
		const filter = scopedFilter(caller, given);
		const { table } = caller;
		const page = {
			orderBy,
			limit,
			after:
				after === undefined
					? undefined
					: readPosition(after, positionLength(table, filter, orderBy)),
			condition:
				condition === undefined ? empty : await toCondition(caller, condition),
		};
		try {
			const found = await findRowsOfPage(
				rowsHandle(caller, options, filter.tenantId),
				table,
				filter,
				page,
			);
			return {
				rows: found.rows,
				next: found.last === undefined ? undefined : writePosition(found.last),
			};
		} catch (error) {
			throw asRefusal(error);
		}
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) => {
			const condition = `id = '${id}' OR TRUE`;
			const { rows } = await call({ tenantId }, { condition, transaction });
			return rows.length > 0;
		},
	},
});

/** Read as the condition of a query, which is bounded and cannot name another table. */
async function toCondition(
	{ core, table }: RowsCaller,
	text: string,
): Promise<Sql> {
	const { tableName } = table.entity;
	const { query } = parseQuery(
		`SQL ${tableName} WHERE ${text}`,
		namesOf(core.registry),
	);
	const isOnly =
		query.kind === "sql" &&
		query.orderBy === undefined &&
		query.limit === undefined &&
		query.offset === undefined;
	if (!isOnly || query.where === undefined)
		throw new RemError(
			"QUERY_SYNTAX",
			"the condition contains more than a condition",
			{ hint: "the order and the limit are options of their own" },
		);
	const filter = new SqlFilter(await loadSqlGrammar(), table, query.where);
	return sql` AND (${filter.toSql("r")})`;
}

function writePosition(position: RowPosition): string {
	return Buffer.from(JSON.stringify(position)).toString("base64url");
}

function readPosition(text: string, length: number): RowPosition {
	const position =
		text.length > limits.queryTextLength ? undefined : parsed(text);
	const isPosition =
		Array.isArray(position) &&
		position.length === length &&
		position.every((item) => item === null || typeof item === "string");
	if (isPosition) return position;
	throw new RemError(
		"VALIDATION",
		`after is not the end of a page of this order: ${quoted(text.slice(0, 40))}`,
		{
			hint: "pass `next` of the page before, with the same filter and orderBy",
		},
	);
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
	} catch {
		return undefined;
	}
}
