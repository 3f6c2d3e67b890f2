import { countInBuckets } from "../../buckets/find-in-buckets.ts";
import { optionalOptions } from "../../calls/arguments.ts";
import { async, traced } from "../../calls/public-methods.ts";
import type { Entity } from "../../models/entity.ts";
import type { Where } from "../../models/types.ts";
import { countRows } from "../../store/find-rows.ts";
import { rowsVerb } from "../verb.ts";
import { type Filter, filterArgument } from "./find.ts";
import { allRows, tenantOfFilter } from "./in-buckets.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

export interface Count<E extends Entity> {
	/** How many rows fulfil the filter. */
	count(filter?: Where<E>, options?: RepositoryReadOptions): Promise<number>;
}

/** @internal */
export const count = rowsVerb({
	name: "count",
	method: traced(async(filterArgument, optionalOptions(readOptions)), {
		operation: "count",
	}),
	buckets: {
		tenant: tenantOfFilter,
		overAll: (
			caller,
			filter: Filter = {},
			options: RepositoryReadOptions = {},
		) => countInBuckets(allRows(caller, filter, options)),
	},
	run: async (
		caller,
		filter: Filter = {},
		options: RepositoryReadOptions = {},
	) =>
		countRows(rowsHandle(caller, options, filter.tenantId), {
			table: caller.table,
			filter: scopedFilter(caller, filter),
		}),
	probe: {
		does: "counts",
		reaches: async (call, _, { tenantId, transaction }) =>
			(await call({ tenantId }, { transaction })) > 0,
	},
});
