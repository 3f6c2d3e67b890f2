import type { Buckets } from "../../buckets/buckets.ts";
import type { ServiceCore } from "../../core/service-core.ts";
import type { RowsCaller, RowsVerb } from "../verb.ts";

// How the verbs of a repository are run where tenants are spread over buckets.

/** @internal The filter, the first argument, names the tenant. */
export const byFilter = {
	tenant: (filter: { readonly tenantId?: unknown } | undefined) =>
		typeof filter?.tenantId === "string" ? filter.tenantId : undefined,
};

/** @internal The second argument is the tenant. */
export const bySecond = {
	tenant: (_: unknown, tenantId: string | undefined) => tenantId,
};

/** @internal */
export function runInBuckets(
	verb: RowsVerb,
	caller: RowsCaller,
	given: readonly unknown[],
): unknown {
	const tenantId =
		caller.scope?.tenantId ?? verb.buckets.tenant(...(given as never[]));
	const core = (caller.core as Buckets).of(tenantId);
	return verb.run(inBucket(caller, core), ...given);
}

/** The same rows' caller in a bucket. */
function inBucket(caller: RowsCaller, core: ServiceCore): RowsCaller {
	const { tableName } = caller.table.entity;
	return { ...caller, core, table: core.registry.get(tableName) };
}
