import { argument, optional, optionalOptions } from "../../calls/arguments.ts";
import { async, traced } from "../../calls/public-methods.ts";
import {
	oneOrList,
	tenantName,
	text,
	transactionHandle,
} from "../../models/checks.ts";
import type { OptionChecks } from "../../models/options.ts";
import { type Change, changeRows } from "../../store/change-rows.ts";
import { rowsVerb } from "../verb.ts";
import { changesBySecond } from "./in-buckets.ts";
import { type InTransaction, rowsHandle, tenantOf } from "./rows.ts";

// delete, restore and purge: three names of one change of rows by their ids.

export interface Delete {
	/** Deletes softly: true once, then false. Of several: how many. */
	delete(
		id: string,
		tenantId?: string,
		options?: InTransaction,
	): Promise<boolean>;
	delete(
		ids: readonly string[],
		tenantId?: string,
		options?: InTransaction,
	): Promise<number>;
}

export interface Restore {
	/** Brings a deleted row back; `DUPLICATE_KEY` if its key is another's by now. */
	restore(
		id: string,
		tenantId?: string,
		options?: InTransaction,
	): Promise<boolean>;
	restore(
		ids: readonly string[],
		tenantId?: string,
		options?: InTransaction,
	): Promise<number>;
}

export interface Purge {
	/** Removes a row for good, deleted or not, with its vectors. */
	purge(
		id: string,
		tenantId?: string,
		options?: InTransaction,
	): Promise<boolean>;
	purge(
		ids: readonly string[],
		tenantId?: string,
		options?: InTransaction,
	): Promise<number>;
}

const checks: OptionChecks<InTransaction> = { transaction: transactionHandle };

const changeVerb = (change: Change) =>
	rowsVerb({
		name: change,
		method: traced(
			async(
				argument("id", oneOrList(text)),
				optional("tenantId", tenantName),
				optionalOptions(checks),
			),
			{ operation: change },
		),
		buckets: changesBySecond,
		run: async (
			caller,
			ids: string | readonly string[],
			tenantId?: string,
			options: InTransaction = {},
		): Promise<boolean | number> => {
			const changed = await changeRows(
				rowsHandle(caller, options, tenantId),
				caller.table,
				{
					change,
					ids: [ids].flat(),
					tenantId: tenantOf(caller, tenantId),
					userId: caller.scope?.userId,
				},
			);
			return typeof ids === "string" ? changed.length > 0 : changed.length;
		},
		probe: {
			does: "changes",
			reaches: async (call, { id }, { tenantId, transaction }) =>
				(await call(id, tenantId, { transaction })) === true,
		},
	});

/** @internal */
export const deleteRows = changeVerb("delete");
/** @internal */
export const restoreRows = changeVerb("restore");
/** @internal */
export const purgeRows = changeVerb("purge");
