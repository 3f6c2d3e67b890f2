import { optionalOptions } from "../../calls/arguments.ts";
import { async, rowsReturned, traced } from "../../calls/public-methods.ts";
import { anyText, oneOrList, wholeNumber } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { Row, Where } from "../../models/types.ts";
import { conditionedFilter } from "../../query/dialect/condition.ts";
import { findPage } from "../../store/find-page.ts";
import { rowsVerb } from "../verb.ts";
import { type Filter, filterArgument, type RepositoryOrderBy } from "./find.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	scopedFilter,
} from "./rows.ts";

export interface RepositoryPageOptions<E> extends RepositoryReadOptions {
	/** @default "id": the order of creation */
	readonly orderBy?: RepositoryOrderBy<E>;
	/** Rows of a page, 1 to 1,000. @default 50 */
	readonly limit?: number;
	/** `next` of the page before, of the same order. @default the first page */
	readonly after?: string;
	/** A condition of the query language beside the filter, as text: `year > 1990`. */
	readonly condition?: string;
}

/** Some of the rows, and where the others begin. */
export interface RepositoryPage<E> {
	readonly rows: Row<E>[];
	/** Pass it as `after`; `undefined`: this is the last page. */
	readonly next: string | undefined;
}

export interface Page<E extends Entity> {
	/**
	 * The same rows as `find`, page by page: each begins behind the last row of
	 * the one before, so that the thousandth takes no longer than the first.
	 *
	 * @example
	 * const first = await films.page({ tenantId: "acme" }, { orderBy: "year desc", condition: "year < 2000" })
	 * const second = await films.page({ tenantId: "acme" }, { orderBy: "year desc", condition: "year < 2000", after: first.next })
	 */
	page(
		filter?: Where<E>,
		options?: RepositoryPageOptions<E>,
	): Promise<RepositoryPage<E>>;
}

const checks: OptionChecks<RepositoryPageOptions<Entity>> = {
	...readOptions,
	orderBy: oneOrList(anyText),
	limit: wholeNumber(1, 1000),
	after: anyText,
	condition: anyText,
};

/** @internal */
export const page = rowsVerb({
	name: "page",
	method: traced(async(filterArgument, optionalOptions(checks)), {
		operation: "page",
		found: ({ rows }: RepositoryPage<unknown>) => rowsReturned(rows.length),
	}),
	run: async (
		caller,
		filter: Filter = {},
		options: RepositoryPageOptions<Entity> = {},
	) => {
		const { orderBy, limit = 50, after, condition } = options;
		const { table } = caller;
		const scoped = scopedFilter(caller, filter);
		const narrowed = await conditionedFilter(table, { condition });
		return findPage(
			rowsHandle(caller, options, filter.tenantId),
			{ table, filter: { ...scoped, ...and(scoped, narrowed) } },
			{ orderBy, limit, after },
		);
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) =>
			(await call({ tenantId, id }, { transaction })).rows.length > 0,
	},
});

/** Both the filter's own AND and the condition. */
function and(filter: Filter, condition: Filter | undefined): Filter {
	if (condition === undefined) return {};
	const given = Object.hasOwn(filter, "AND") ? filter.AND : [];
	return { AND: Array.isArray(given) ? [...given, condition] : given };
}
