import { findPageInBuckets } from "../../buckets/find-in-buckets.ts";
import { optionalOptions } from "../../calls/arguments.ts";
import { async, rowsReturned, traced } from "../../calls/public-methods.ts";
import { anyText, oneOrList } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { Row, Where } from "../../models/types.ts";
import { conditionedFilter } from "../../query/dialect/condition.ts";
import { checkLimit } from "../../query/scope.ts";
import {
	findPage as findRowsOfPage,
	type PageRequest,
} from "../../store/find-page.ts";
import { resultRows } from "../call-options.ts";
import { type RowsCaller, rowsVerb } from "../verb.ts";
import { type Filter, filterArgument, type RepositoryOrderBy } from "./find.ts";
import { allRows, tenantOfFilter } from "./in-buckets.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

export interface FindPageOptions<E> extends RepositoryReadOptions {
	/** @default "id": the order of creation */
	readonly orderBy?: RepositoryOrderBy<E>;
	/** Rows of a page, at most 10,000. @default 50 */
	readonly limit?: number;
	/** `next` of the page before, of the same order. @default the first page */
	readonly after?: string;
	/** A condition of the query language beside the filter, as text: `year > 1990`. */
	readonly condition?: string;
}

/** Some of the rows, and where the others begin. */
export interface RowPage<E> {
	readonly rows: Row<E>[];
	/** Pass it as `after`; `undefined`: this is the last page. */
	readonly next: string | undefined;
}

export interface FindPage<E extends Entity> {
	/**
	 * The same rows as `find`, page by page: each begins behind the last row of
	 * the one before, so that the thousandth takes no longer than the first.
	 *
	 * @example
	 * const first = await films.findPage({ tenantId: "acme" }, { orderBy: "year desc", condition: "year < 2000" })
	 * const second = await films.findPage({ tenantId: "acme" }, { orderBy: "year desc", condition: "year < 2000", after: first.next })
	 */
	findPage(
		filter?: Where<E>,
		options?: FindPageOptions<E>,
	): Promise<RowPage<E>>;
}

const checks: OptionChecks<FindPageOptions<Entity>> = {
	...readOptions,
	orderBy: oneOrList(anyText),
	limit: resultRows,
	after: anyText,
	condition: anyText,
};

/** @internal */
export const findPage = rowsVerb({
	name: "findPage",
	method: traced(async(filterArgument, optionalOptions(checks)), {
		operation: "findPage",
		found: ({ rows }: RowPage<unknown>) => rowsReturned(rows.length),
	}),
	buckets: {
		tenant: tenantOfFilter,
		overAll: async (
			caller,
			filter: Filter = {},
			options: FindPageOptions<Entity> = {},
		) => {
			const { filter: narrowed, page } = await pageOf(caller, filter, options);
			return findPageInBuckets(allRows(caller, narrowed, options), page);
		},
	},
	run: async (
		caller,
		given: Filter = {},
		options: FindPageOptions<Entity> = {},
	) => {
		const { filter, page } = await pageOf(caller, given, options);
		return findRowsOfPage(
			rowsHandle(caller, options, given.tenantId),
			{ table: caller.table, filter: scopedFilter(caller, filter) },
			page,
		);
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) =>
			(await call({ tenantId, id }, { transaction })).rows.length > 0,
	},
});

/** The filter together with the condition, and which page of its rows. */
async function pageOf(
	{ table }: RowsCaller,
	filter: Filter,
	{ orderBy, limit = 50, after, condition }: FindPageOptions<Entity>,
): Promise<{ filter: Filter; page: PageRequest }> {
	checkLimit(limit);
	const narrowed = await conditionedFilter(table, { condition });
	return {
		filter: { ...filter, ...and(filter, narrowed) },
		page: { orderBy, limit, after },
	};
}

/** Both the filter's own AND and the condition. */
function and(filter: Filter, condition: Filter | undefined): Filter {
	if (condition === undefined) return {};
	const given = Object.hasOwn(filter, "AND") ? filter.AND : [];
	return { AND: Array.isArray(given) ? [...given, condition] : given };
}
