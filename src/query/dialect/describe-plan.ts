import { compile, type Sql } from "../../sql.ts";
import type { QueryPlan } from "./query-plan.ts";

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
