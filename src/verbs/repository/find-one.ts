import { findInBuckets } from "../../buckets/find-in-buckets.ts";
import { optionalOptions } from "../../calls/arguments.ts";
import { async, oneOrRows, traced } from "../../calls/public-methods.ts";
import { anyText, oneOrList } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { Row, Where } from "../../models/types.ts";
import { findRows } from "../../store/find-rows.ts";
import { rowsVerb } from "../verb.ts";
import {
	type Filter,
	filterArgument,
	type RepositoryFindOptions,
} from "./find.ts";
import { allRows, tenantOfFilter } from "./in-buckets.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

export type FindOneOptions<E> = Pick<RepositoryFindOptions<E>, "orderBy"> &
	RepositoryReadOptions;

export interface FindOne<E extends Entity> {
	/**
	 * The first of the rows that `find` returns; `undefined`: there is none.
	 *
	 * @example
	 * await documents.findOne({ year: { gte: 1990 } }, { orderBy: "year desc" })
	 */
	findOne(
		filter?: Where<E>,
		options?: FindOneOptions<E>,
	): Promise<Row<E> | undefined>;
}

const checks: OptionChecks<FindOneOptions<Entity>> = {
	...readOptions,
	orderBy: oneOrList(anyText),
};

/** @internal */
export const findOne = rowsVerb({
	name: "findOne",
	method: traced(async(filterArgument, optionalOptions(checks)), {
		operation: "findOne",
		found: oneOrRows,
	}),
	buckets: {
		tenant: tenantOfFilter,
		overAll: async (
			caller,
			filter: Filter = {},
			options: FindOneOptions<Entity> = {},
		) => {
			const { orderBy } = options;
			const all = allRows(caller, filter, options);
			const [row] = await findInBuckets(all, { orderBy, limit: 1 });
			return row;
		},
	},
	run: async (
		caller,
		filter: Filter = {},
		options: FindOneOptions<Entity> = {},
	) => {
		const [row] = await findRows(
			rowsHandle(caller, options, filter.tenantId),
			{ table: caller.table, filter: scopedFilter(caller, filter) },
			{ orderBy: options.orderBy, limit: 1 },
		);
		return row;
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) =>
			(await call({ tenantId, id }, { transaction })) !== undefined,
	},
});
