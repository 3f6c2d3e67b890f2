import { RemError } from "../../errors.ts";
import { SqlFilter } from "../../filters/sql-text/sql-filter.ts";
import { limits, textProblem } from "../../models/limits.ts";
import type { EntityTable } from "../../models/registry.ts";
import { loadSqlGrammar } from "../../sql-grammar.ts";
import { syntaxError } from "./cursor.ts";
import { wholeSqlPart } from "./sql-part.ts";

type Filter = Readonly<Record<string, unknown>>;

/** A filter that a call may narrow with a condition of the query language. */
interface Conditioned {
	readonly where?: Filter | undefined;
	readonly condition?: string | undefined;
}

/**
 * The filter, and the condition beside it. Throws `QUERY_SYNTAX`,
 * `FILTER_REFUSED`, `UNKNOWN_FIELD` or `INPUT_LIMIT`, with `position`.
 */
export async function conditionedFilter(
	table: EntityTable,
	{ where, condition }: Conditioned,
): Promise<Filter | undefined> {
	if (condition === undefined) return where;
	const filter = await readCondition(table, condition);
	return where === undefined ? { AND: [filter] } : { AND: [where, filter] };
}

async function readCondition(
	table: EntityTable,
	text: string,
): Promise<SqlFilter> {
	const problem = textProblem(text);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `the condition ${problem}`);
	if (Buffer.byteLength(text) > limits.queryBytes)
		throw new RemError(
			"INPUT_LIMIT",
			`the condition has more than ${limits.queryBytes} bytes`,
			{ hint: "ask in several queries" },
		);
	if (text.trim() === "")
		throw syntaxError(
			"the condition is empty",
			0,
			"leave it out, or write one such as year > 1990",
		);
	return new SqlFilter(await loadSqlGrammar(), table, wholeSqlPart(text));
}
