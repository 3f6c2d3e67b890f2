import type { SqlFilter } from "../../filters/sql-text/sql-filter.ts";
import { compile, type Sql } from "../../sql.ts";
import type { Direction } from "./rem-query.ts";

/** What a query does: the read it is, with every name known and its limits set. */
export type QueryPlan =
	| {
			readonly kind: "lookup";
			readonly entityKeys: readonly string[];
			readonly entityType?: string;
	  }
	| {
			readonly kind: "fuzzy";
			readonly query: string;
			readonly entityType?: string;
			readonly threshold?: number;
			readonly limit: number;
	  }
	| {
			readonly kind: "search";
			/** Omitted: every table with vectors of the model. */
			readonly tableName?: string;
			readonly queryText: string;
			readonly fieldName?: string;
			readonly where?: SqlFilter;
			readonly minSimilarity?: number;
			readonly limit: number;
	  }
	| {
			readonly kind: "recall";
			readonly query: string;
			readonly tables?: readonly string[];
			/** Omitted where the tokens alone are given: as many as fit. */
			readonly limit?: number;
			readonly maxTokens: number;
	  }
	| {
			readonly kind: "traverse";
			readonly from: string;
			readonly edgeTypes?: readonly string[];
			readonly depth: number;
			readonly direction: Direction;
			readonly orderBy?: string;
			readonly limit: number;
	  }
	| {
			readonly kind: "sql";
			readonly tableName: string;
			readonly where?: SqlFilter;
			readonly orderBy?: Sql;
			readonly limit: number;
			readonly offset: number;
	  };

/** The plan as JSON: conditions and orders as the SQL they became. */
export function describePlan(
	plan: QueryPlan,
): Readonly<Record<string, unknown>> {
	const { where, orderBy, ...rest } = plan as QueryPlan & {
		where?: { toSql(alias: string): Sql };
		orderBy?: Sql | string;
	};
	return {
		...rest,
		...(where === undefined ? {} : { where: compile(where.toSql("r")).text }),
		...(orderBy === undefined ? {} : { orderBy: orderText(orderBy) }),
	};
}

function orderText(order: Sql | string): string {
	return typeof order === "string" ? order : compile(order).text;
}
