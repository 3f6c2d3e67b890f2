import { RemError } from "../errors.ts";
import { isRecord, tenantName, userName } from "../models/checks.ts";
import { textProblem } from "../models/limits.ts";
import {
	narrowing,
	type OptionChecks,
	optionTable,
	refuseUndefined,
	required,
	takeOptions,
} from "../models/options.ts";
import { quoted } from "../util/suggest.ts";

/** A tenant, and optionally a user, that every call of a scope is about. */
export interface BoundScope {
	readonly tenantId: string;
	/** A user: own and shared rows; `null`: shared ones; omitted: the whole tenant. */
	readonly userId?: string | null;
}

export const scopeChecks: OptionChecks<BoundScope> = {
	tenantId: required(tenantName),
	userId: narrowing(
		userName,
		"pass the user's id, null for shared rows only, or leave userId out for all users of the tenant",
	),
};

const scopeTable = optionTable(scopeChecks);

/** The scope of a repository; throws `VALIDATION` unless it is one. */
export function takeScope(given: unknown): BoundScope {
	return takeOptions(given, scopeTable, "new Repository");
}

/** The scope among other options; a user that is given as `undefined` stays one, which `service.scope` refuses. */
export function scopeAmong(given: BoundScope): BoundScope {
	const { tenantId } = given;
	return "userId" in given ? { tenantId, userId: given.userId } : { tenantId };
}

/** Whose calls they are: of a service, or of a scope or repository of it. */
interface StrictCaller {
	readonly core: {
		readonly settings: { readonly defaultTenant: string | null };
	};
	readonly scope: BoundScope | undefined;
}

/**
 * Throws `VALIDATION`, of a strict service, for a user that is given as
 * `undefined`: left out, the call is about all users, or writes what all of them
 * share, and a missing value must not decide that. A user's scope binds its own.
 */
export function refuseMissingUser(
	{ core, scope }: StrictCaller,
	options: unknown,
	call: string,
): void {
	// Without a default tenant the service is strict.
	if (core.settings.defaultTenant !== null) return;
	if (scope?.userId !== undefined || !isRecord(options)) return;
	const named: { readonly userId?: unknown } = options;
	refuseUndefined(named, "userId", {
		call,
		hint: "pass the user's id, null for shared rows, or leave userId out",
	});
}

interface CallScope {
	readonly tenantId?: unknown;
	readonly userId?: unknown;
}

/** Throws `TENANT_MISMATCH` where the options, whatever else they are, name another tenant or user. */
export function refuseOthers(scope: BoundScope, options: unknown): void {
	if (!isRecord(options)) return;
	const texts = ["tenantId", "userId"].filter((name) => {
		const value = options[name];
		return typeof value === "string" && textProblem(value) === undefined;
	});
	boundTo(
		scope,
		Object.fromEntries(texts.map((name) => [name, options[name]])),
	);
}

/**
 * The call's options with the scope's tenant and user. Another tenant, or
 * another user, is `TENANT_MISMATCH`; of a user's scope, `null` asks for less.
 */
export function boundTo<T extends object>(
	scope: BoundScope,
	options: T,
): T & BoundScope {
	const { tenantId, userId } = options as CallScope;
	checkTenant(scope, tenantId);
	const isLess = userId === null || scope.userId === undefined;
	if (userId === undefined) return { ...options, ...scope };
	if (isLess || userId === scope.userId)
		return { ...options, tenantId: scope.tenantId };
	throw new RemError(
		"TENANT_MISMATCH",
		`the call's user ${quoted(userId)} is not the scope's`,
		{ hint: "leave userId out, or open a scope for that user" },
	);
}

/** Throws `TENANT_MISMATCH` for any tenant but the scope's. */
export function checkTenant(scope: BoundScope, tenantId: unknown): void {
	if (tenantId === undefined || tenantId === scope.tenantId) return;
	throw new RemError(
		"TENANT_MISMATCH",
		`the call's tenant ${quoted(tenantId)} is not the scope's ${quoted(scope.tenantId)}`,
		{ hint: "leave tenantId out, or open a scope for that tenant" },
	);
}

/** A tenant that a filter names must be one: an operator would name others. */
export function refuseOperators(tenantId: unknown): void {
	const problem = tenantName(tenantId);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `tenantId ${problem}`, {
			hint: "name one tenant",
		});
}
