import { argument, optional, optionalOptions } from "../../calls/arguments.ts";
import { async, oneOrRows, traced } from "../../calls/public-methods.ts";
import { tenantName, text } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { Row } from "../../models/types.ts";
import { userCondition } from "../../query/scope.ts";
import { findRows } from "../../store/find-rows.ts";
import { isUuid } from "../../util/uuid.ts";
import { rowsVerb } from "../verb.ts";
import { bySecond } from "./in-buckets.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	tenantOf,
} from "./rows.ts";

export interface GetById<E extends Entity> {
	/** The live row of that id in the tenant; something that is no UUID finds nothing. */
	getById(
		id: string,
		tenantId?: string,
		options?: RepositoryReadOptions,
	): Promise<Row<E> | undefined>;
}

/** @internal */
export const getById = rowsVerb({
	name: "getById",
	method: traced(
		async(
			argument("id", text),
			optional("tenantId", tenantName),
			optionalOptions(readOptions),
		),
		{ operation: "getById", found: oneOrRows },
	),
	buckets: bySecond,
	run: async (
		caller,
		id: string,
		tenantId?: string,
		options: RepositoryReadOptions = {},
	) => {
		if (!isUuid(id)) return undefined;
		const { table } = caller;
		const tenant = tenantOf(caller, tenantId);
		const filter = tenant === undefined ? { id } : { id, tenantId: tenant };
		const db = rowsHandle(caller, options, tenant);
		const [row] = await findRows(
			db,
			{ table, filter },
			{
				condition: userCondition("r", caller.scope ?? {}),
			},
		);
		return row;
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) =>
			(await call(id, tenantId, { transaction })) !== undefined,
	},
});
