import type { Consistency, Handle } from "../../db/database.ts";
import { stoppable } from "../../db/stoppable.ts";
import { signal, transactionHandle } from "../../models/checks.ts";
import type { OptionChecks } from "../../models/options.ts";
import {
	type BoundScope,
	boundTo,
	checkTenant,
	refuseOperators,
} from "../bound-scope.ts";
import { consistency } from "../call-options.ts";
import type { RowsCaller } from "../verb.ts";

// What a repository's verbs have in common: filters are literal, and without a
// tenant they run over all tenants, unless the service is strict about it.

export interface InTransaction {
	/** Work inside this transaction of yours. */
	readonly transaction?: Handle;
}

/** Where rows are read. */
export interface RepositoryReadOptions {
	/** Read inside this transaction of yours. */
	readonly transaction?: Handle;
	/** `"replica"`: the one of POSTGRES__READ_HOST may answer, as of the service's reads. @default "primary" */
	readonly consistency?: Consistency;
	/** Once aborted, no further statement is sent, and the running one is cancelled: `CANCELLED`. */
	readonly signal?: AbortSignal;
}

/** @internal */
export const readOptions: OptionChecks<RepositoryReadOptions> = {
	transaction: transactionHandle,
	consistency,
	signal,
};

type Filter = Readonly<Record<string, unknown>>;

/** @internal What the rows of a tenant are read with, or changed. */
export function rowsHandle(
	{ core, table, scope }: RowsCaller,
	{ transaction, consistency, signal }: RepositoryReadOptions,
	tenantId: unknown,
): Handle {
	const given = typeof tenantId === "string" ? tenantId : undefined;
	const handle = table.entity.tenantScoped
		? core.handle(scope?.tenantId ?? given, transaction, consistency)
		: core.source(transaction, consistency);
	return stoppable(handle, signal);
}

/** @internal The filter as it may be asked: inside the scope; of a strict service, naming its tenant. */
export function scopedFilter(caller: RowsCaller, given: Filter): Filter {
	const { core, table, scope } = caller;
	if (scope !== undefined) return narrowed(caller, scope, given);
	// Without a default tenant the service is strict: every call names one.
	const isStrict =
		table.entity.tenantScoped && core.settings.defaultTenant === null;
	if (!isStrict) return given;
	if (!Object.hasOwn(given, "tenantId")) core.tenant(undefined);
	// Read once: the value that is checked is the one that is used.
	const filter = { ...given };
	refuseOperators(filter.tenantId);
	return filter;
}

/** The filter within the scope: its tenant's rows, and of a user's scope that user's and shared ones. */
function narrowed(
	{ table }: RowsCaller,
	{ tenantId, userId }: BoundScope,
	filter: Filter,
): Filter {
	checkTenant({ tenantId }, filter.tenantId);
	const own = ofUser(userId);
	const given = Object.hasOwn(filter, "AND") ? filter.AND : [];
	return {
		...filter,
		...(table.entity.tenantScoped ? { tenantId } : {}),
		...(own.length === 0
			? {}
			: { AND: Array.isArray(given) ? [...given, ...own] : given }),
	};
}

/** @internal A filter for that user's and shared rows; `null`: shared ones; `undefined`: all. */
export function ofUser(userId: string | null | undefined): Filter[] {
	if (userId === undefined) return [];
	const own = typeof userId === "string" ? [{ userId }] : [];
	return [{ OR: [...own, { userId: null }] }];
}

/** @internal The options with the scope's tenant and user, where the repository is bound to one. */
export function bound<T extends object>(
	{ scope }: RowsCaller,
	options: T,
): T & Partial<BoundScope> {
	return scope === undefined ? options : boundTo(scope, options);
}

/** @internal The tenant that the call is about; `undefined` for entities without tenants. */
export function tenantOf(
	{ core, table, scope }: RowsCaller,
	tenantId: string | undefined,
): string | undefined {
	if (scope !== undefined) checkTenant(scope, tenantId);
	return table.entity.tenantScoped
		? (scope?.tenantId ?? core.tenant(tenantId))
		: undefined;
}
