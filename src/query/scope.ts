import { RemError } from "../errors.ts";
import { limits, scopeProblem, sharedTenant } from "../models/limits.ts";
import { ident, raw, type Sql, sql } from "../sql.ts";

/** Whose rows a read may see. */
export interface ReadScope {
	readonly tenantId: string;
	/** Given: that user's and shared rows; `null`: shared only; omitted: the whole tenant. */
	readonly userId?: string | null | undefined;
}

/** Throws unless tenant and user are such as rows can have. */
export function checkScope({ tenantId, userId }: ReadScope): void {
	const tenantProblem = scopeProblem(tenantId);
	if (tenantProblem !== undefined)
		throw new RemError("VALIDATION", `tenantId ${tenantProblem}`);
	if (userId === undefined || userId === null) return;
	const userProblem = scopeProblem(userId);
	if (userProblem !== undefined)
		throw new RemError("VALIDATION", `userId ${userProblem}`);
}

/** The rows of the user and shared ones, as a condition; nothing for the whole tenant. */
export function userCondition(
	alias: string,
	{ userId }: Pick<ReadScope, "userId">,
): Sql {
	if (userId === undefined) return raw("");
	const column = ident(alias, "user_id");
	return userId === null
		? sql` AND ${column} IS NULL`
		: sql` AND (${column} = ${userId} OR ${column} IS NULL)`;
}

/** The tenant's rows and those of entities without tenants. */
export function tenantCondition(alias: string, { tenantId }: ReadScope): Sql {
	return sql`${ident(alias, "tenant_id")} IN (${tenantId}, ${raw(`'${sharedTenant}'`)})`;
}

/** A number of rows to return. */
export function checkLimit(limit: number): number {
	if (Number.isInteger(limit) && limit >= 1 && limit <= limits.resultRows)
		return limit;
	throw new RemError(
		"INPUT_LIMIT",
		`limit is ${limit}, expected a whole number from 1 to ${limits.resultRows}`,
	);
}
