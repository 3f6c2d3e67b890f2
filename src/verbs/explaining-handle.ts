import type { Handle, QueryOptions } from "../db/database.ts";
import { compile, type Sql, type Statement } from "../sql.ts";
import type { ExplainedStatement } from "./query-result.ts";

/** A handle that asks for the plan of every statement before it sends it. */
export function explainingHandle(
	handle: Handle,
	statements: ExplainedStatement[],
): Handle {
	return {
		async query<R>(statement: Sql | Statement, options?: QueryOptions) {
			const { text, values } =
				"text" in statement ? statement : compile(statement);
			// A search asks for estimates like this; they have no plan of their own.
			if (text.startsWith("EXPLAIN "))
				return handle.query<R>({ text, values }, options);
			const plan = await handle.query<{ "QUERY PLAN": string }>({
				text: `EXPLAIN (COSTS OFF) ${text}`,
				values,
			});
			const started = performance.now();
			const result = await handle.query<R>({ text, values }, options);
			statements.push({
				text,
				plan: plan.rows.map((row) => shortened(row["QUERY PLAN"])),
				rowCount: result.rowCount,
				durationMs: performance.now() - started,
			});
			return result;
		},
		script: (text) => handle.script(text),
		transaction: (work, options) =>
			handle.transaction(
				(tx) => work(explainingHandle(tx, statements)),
				options,
			),
		vectorOid: () => handle.vectorOid(),
	};
}

/** A vector in a plan would be thousands of numbers. */
function shortened(line: string): string {
	return line.replace(/'([^']{60})[^']{20,}'/g, "'$1…'");
}
