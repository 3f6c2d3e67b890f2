import { iterateInBuckets } from "../../buckets/find-in-buckets.ts";
import { optionalOptions } from "../../calls/arguments.ts";
import { iterator } from "../../calls/public-methods.ts";
import { untilAborted } from "../../db/stoppable.ts";
import { anyText, oneOrList } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { Row, Where } from "../../models/types.ts";
import { iterateRows } from "../../store/find-rows.ts";
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

type IterateOptions<E> = Pick<RepositoryFindOptions<E>, "orderBy"> &
	RepositoryReadOptions;

export interface Iterate<E extends Entity> {
	/** The same rows as `find`, one by one in constant memory, however many there are. */
	iterate(
		filter?: Where<E>,
		options?: IterateOptions<E>,
	): AsyncGenerator<Row<E>>;
}

const checks: OptionChecks<IterateOptions<Entity>> = {
	...readOptions,
	orderBy: oneOrList(anyText),
};

/** @internal */
export const iterate = rowsVerb({
	name: "iterate",
	method: iterator(filterArgument, optionalOptions(checks)),
	buckets: {
		tenant: tenantOfFilter,
		overAll: (
			caller,
			filter: Filter = {},
			options: IterateOptions<Entity> = {},
		) =>
			untilAborted(
				iterateInBuckets(allRows(caller, filter, options), options.orderBy),
				options.signal,
			),
	},
	run: (caller, filter: Filter = {}, options: IterateOptions<Entity> = {}) =>
		untilAborted(
			iterateRows(
				rowsHandle(caller, options, filter.tenantId),
				{ table: caller.table, filter: scopedFilter(caller, filter) },
				options.orderBy,
			),
			options.signal,
		),
});
