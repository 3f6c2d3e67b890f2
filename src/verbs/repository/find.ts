import { findInBuckets } from "../../buckets/find-in-buckets.ts";
import { optional, optionalOptions } from "../../calls/arguments.ts";
import { async, rows, traced } from "../../calls/public-methods.ts";
import { anyText, numberOf, oneOrList, record } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { FieldName, Row, Where } from "../../models/types.ts";
import { findRows } from "../../store/find-rows.ts";
import { rowsVerb } from "../verb.ts";
import { allRows, tenantOfFilter } from "./in-buckets.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

type Direction = "asc" | "desc" | "ASC" | "DESC";

/** A field and a direction; several as a list. */
export type RepositoryOrderBy<E> = OneOrMany<
	FieldName<E> | `${FieldName<E>} ${Direction}`
>;

type OneOrMany<T> = T | readonly T[];

export interface RepositoryFindOptions<E> extends RepositoryReadOptions {
	/** @default "id": the order of creation */
	readonly orderBy?: RepositoryOrderBy<E>;
	/** @default all */
	readonly limit?: number;
	/** @default 0 */
	readonly offset?: number;
}

export interface Find<E extends Entity> {
	/** Rows that fulfil the filter: values, or operators such as `{ year: { gte: 1990 } }`. */
	find(
		filter?: Where<E>,
		options?: RepositoryFindOptions<E>,
	): Promise<Row<E>[]>;
}

/** @internal What the verbs with a filter take first. */
export const filterArgument = optional("filter", record);

/** @internal */
export const pageOptions = {
	...readOptions,
	limit: numberOf("a whole number from 0"),
	offset: numberOf("a whole number from 0"),
};

const checks: OptionChecks<RepositoryFindOptions<Entity>> = {
	...pageOptions,
	orderBy: oneOrList(anyText),
};

export type Filter = Readonly<Record<string, unknown>>;

/** @internal */
export const find = rowsVerb({
	name: "find",
	method: traced(async(filterArgument, optionalOptions(checks)), {
		operation: "find",
		found: rows,
	}),
	buckets: {
		tenant: tenantOfFilter,
		overAll: (
			caller,
			filter: Filter = {},
			options: RepositoryFindOptions<Entity> = {},
		) => findInBuckets(allRows(caller, filter, options), options),
	},
	run: async (
		caller,
		filter: Filter = {},
		options: RepositoryFindOptions<Entity> = {},
	) => {
		const { transaction: _, consistency: __, signal: ___, ...page } = options;
		return findRows(
			rowsHandle(caller, options, filter.tenantId),
			{ table: caller.table, filter: scopedFilter(caller, filter) },
			page,
		);
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) =>
			(await call({ tenantId, id }, { transaction })).length > 0,
	},
});
