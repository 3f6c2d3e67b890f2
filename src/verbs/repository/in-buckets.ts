import type { Buckets } from "../../buckets/buckets.ts";
import type { AllRows } from "../../buckets/find-in-buckets.ts";
import type { Argument } from "../../calls/arguments.ts";
import type { ServiceCore } from "../../core/service-core.ts";
import type { Handle } from "../../db/database.ts";
import { membersOf } from "../../util/present.ts";
import type { RowsCaller, RowsVerb } from "../verb.ts";
import {
	type RepositoryReadOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

// How a repository's verbs run with buckets.

type Filter = Readonly<Record<string, unknown>>;

/** @internal The tenant that a filter, the first argument, names. */
export const tenantOfFilter = (filter: Filter | undefined) =>
	typeof filter?.tenantId === "string" ? filter.tenantId : undefined;

/** @internal The second argument is the tenant. */
export const bySecond = {
	tenant: (_: unknown, tenantId: string | undefined) => tenantId,
};

/** @internal The same, of a verb that changes rows. */
export const changesBySecond = { ...bySecond, changes: true } as const;

/** @internal Runs a call in its tenant's bucket, or over all buckets, by the verb's rule. */
export function runInBuckets(
	verb: RowsVerb,
	caller: RowsCaller,
	given: readonly unknown[],
): unknown {
	const { tenant, overAll, changes = false } = verb.buckets;
	const buckets = bucketsOf(caller);
	const { tenantScoped } = caller.table.entity;
	if (!tenantScoped && changes) return changeAll(verb, caller, given);
	const named = caller.scope?.tenantId ?? tenant(...(given as never[]));
	const isOverAll = named === undefined || !tenantScoped;
	if (
		overAll !== undefined &&
		isOverAll &&
		(tenantScoped || verb.buckets.splits)
	)
		return overAll(caller, ...(given as never[]));
	// Rows without tenants are in each bucket.
	const core =
		named === undefined && !tenantScoped ? buckets.at(0) : buckets.of(named);
	return verb.run(inBucket(caller, core), ...given);
}

/** @internal The rows of all buckets that a filter finds. */
export function allRows(
	caller: RowsCaller,
	filter: Filter,
	options: RepositoryReadOptions,
): AllRows {
	const parts = everywhere(caller, (own) => ({
		db: rowsHandle(own, options, filter.tenantId),
		of: { table: own.table, filter: scopedFilter(own, filter) },
	}));
	return { core: caller.core, transaction: options.transaction, parts };
}

/** @internal The results of `of` for each bucket, in their order. */
export function everywhere<T>(
	caller: RowsCaller,
	of: (own: RowsCaller) => T,
): T[] {
	return bucketsOf(caller)
		.all()
		.map((core) => of(inBucket(caller, core)));
}

/** @internal What a repository is bound to where the service has buckets. */
export function bucketsOf({ core }: RowsCaller): Buckets {
	return core as Buckets;
}

/** Rows without tenants are changed in all buckets, in one transaction. */
function changeAll(
	verb: RowsVerb,
	caller: RowsCaller,
	given: readonly unknown[],
): Promise<unknown> {
	const at = verb.method.parameters.findIndex(takesTransaction);
	const options = membersOf(given[at]);
	const inAll = async (transaction: Handle) => {
		const results: unknown[] = [];
		for (const core of bucketsOf(caller).all())
			results.push(
				await verb.run(
					inBucket(caller, core),
					...given.with(at, { ...options, transaction }),
				),
			);
		return results[0];
	};
	const { transaction } = options;
	return transaction === undefined
		? caller.core.source(undefined).transaction(inAll, { isLimited: true })
		: (transaction as Handle).transaction(inAll);
}

/** Whether an argument is an object of options that has a transaction. */
const takesTransaction = ({ table }: Argument) =>
	table?.names.includes("transaction") === true;

/** The caller, bound to the table of a bucket. */
function inBucket(caller: RowsCaller, core: ServiceCore): RowsCaller {
	const { tableName } = caller.table.entity;
	return { ...caller, core, table: core.registry.get(tableName) };
}
