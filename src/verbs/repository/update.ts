import { argument, optionalOptions } from "../../calls/arguments.ts";
import {
	async,
	counts,
	oneOrRows,
	traced,
} from "../../calls/public-methods.ts";
import { updateRows } from "../../core/update-rows.ts";
import type { Handle } from "../../db/database.ts";
import { RemError } from "../../errors.ts";
import {
	record,
	tenantName,
	text,
	transactionHandle,
} from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { Patch, Row, Where } from "../../models/types.ts";
import { findRows } from "../../store/find-rows.ts";
import type { MergeField } from "../../store/merge.ts";
import type { UpdateResult } from "../../store/upsert-result.ts";
import { isUuid } from "../../util/uuid.ts";
import { upsertChecks } from "../batch-upsert.ts";
import { refuseOperators, refuseOthers } from "../bound-scope.ts";
import { type RowsCaller, rowsVerb } from "../verb.ts";
import { ofUser, rowsHandle, tenantOf } from "./rows.ts";

// update and updateMany: one change of the rows that a filter finds.

export interface RepositoryUpdateOptions {
	/** Whose rows; without one, the default tenant's. */
	readonly tenantId?: string;
	/** @default true */
	readonly generateEmbeddings?: boolean;
	/** `"queue"`: where a provider gives no vector, the rows are written all the same. @default "fail" */
	readonly onEmbeddingError?: "fail" | "queue";
	/** Fields to add to instead of replacing them. @default none */
	readonly merge?: readonly MergeField[];
	/** Write inside this transaction of yours. */
	readonly transaction?: Handle;
}

export interface Update<E extends Entity> {
	/**
	 * Changes some fields of the tenant's live row of that id, and returns the row;
	 * `undefined`: there is none. Fields that the patch does not name stay, `null`
	 * clears one, and only a text that changed is embedded again. Throws
	 * `VALIDATION` and its kin, and `DUPLICATE_KEY` where a new key is another row's.
	 *
	 * @example
	 * await documents.update(id, { year: 2001 }, { tenantId: "acme-corp" })
	 */
	update(
		id: string,
		patch: Patch<E>,
		options?: RepositoryUpdateOptions,
	): Promise<Row<E> | undefined>;
}

export interface UpdateMany<E extends Entity> {
	/**
	 * Gives all live rows of a tenant that fulfil the filter the values of the
	 * patch, in one transaction, and returns counts: `{ updated: 3, unchanged: 1, … }`.
	 *
	 * @example
	 * await documents.updateMany({ state: "draft" }, { state: "done" }, { tenantId: "acme-corp" })
	 */
	updateMany(
		where: Where<E>,
		patch: Patch<E>,
		options?: RepositoryUpdateOptions,
	): Promise<UpdateResult>;
}

const checks: OptionChecks<RepositoryUpdateOptions> = {
	...upsertChecks,
	tenantId: tenantName,
	transaction: transactionHandle,
};

type Fields = Readonly<Record<string, unknown>>;

/** @internal */
export const update = rowsVerb({
	name: "update",
	method: traced(
		async(
			argument("id", text),
			argument("patch", record),
			optionalOptions(checks),
		),
		{ operation: "update", found: oneOrRows },
	),
	buckets: {
		tenant: (_id: string, _patch: Fields, options?: RepositoryUpdateOptions) =>
			options?.tenantId,
		changes: true,
	},
	run: async (
		caller,
		id: string,
		patch: Fields,
		options: RepositoryUpdateOptions = {},
	) => {
		const given = { ...patch };
		refuseOtherId(id, given.id);
		const tenantId = tenantOf(caller, options.tenantId);
		refuseOthersInPatch(caller, given);
		if (!isUuid(id)) return undefined;
		const { updated } = await updateRows(caller.core, caller.table, {
			...options,
			tenantId,
			patch: given,
			filter: filterOf(caller, tenantId, { id: id.toLowerCase() }),
		});
		if (updated === 0) return undefined;
		const db = rowsHandle(caller, options, tenantId);
		const [row] = await findRows(
			db,
			{ table: caller.table, filter: { id } },
			{},
		);
		return row;
	},
	probe: {
		does: "changes",
		reaches: async (call, { id }, scope) =>
			(await call(id, { tags: ["rem canary"] }, scope)) !== undefined,
	},
});

/** @internal */
export const updateMany = rowsVerb({
	name: "updateMany",
	method: traced(
		async(
			argument("where", record),
			argument("patch", record),
			optionalOptions(checks),
		),
		{
			operation: "updateMany",
			found: counts(
				"updated",
				"unchanged",
				"embeddingsGenerated",
				"embeddingsReused",
				"embeddingsQueued",
			),
		},
	),
	buckets: {
		tenant: (where: Fields, _: Fields, options: RepositoryUpdateOptions = {}) =>
			tenantOfBoth(where, options),
		changes: true,
	},
	run: async (
		caller,
		where: Fields,
		patch: Fields,
		options: RepositoryUpdateOptions = {},
	) => {
		const { ...filter } = where;
		const { ...given } = patch;
		if (given.id !== undefined)
			throw new RemError("VALIDATION", "the patch names an id", {
				hint: "leave the id out: the filter selects the rows",
			});
		const tenantId = tenantOf(caller, tenantOfBoth(filter, options));
		refuseOthersInPatch(caller, given);
		return updateRows(caller.core, caller.table, {
			...options,
			tenantId,
			patch: given,
			filter: filterOf(caller, tenantId, { AND: [filter] }),
		});
	},
	probe: {
		does: "changes",
		reaches: async (call, { id }, scope) => {
			const { updated } = await call({ id }, { tags: ["rem canary"] }, scope);
			return updated > 0;
		},
	},
});

/** The tenant's rows of the filter, and of a user's scope that user's and shared ones. */
function filterOf(
	{ scope }: RowsCaller,
	tenantId: string | undefined,
	{
		AND = [],
		...filter
	}: { readonly AND?: readonly Fields[]; readonly id?: string },
): Fields {
	return {
		...filter,
		...(tenantId === undefined ? {} : { tenantId }),
		AND: [...AND, ...ofUser(scope?.userId)],
	};
}

/** Filter and options may both name the tenant, and no other one. */
function tenantOfBoth(
	filter: Fields,
	{ tenantId }: RepositoryUpdateOptions,
): string | undefined {
	if (filter.tenantId === undefined) return tenantId;
	refuseOperators(filter.tenantId);
	const named = String(filter.tenantId);
	if (tenantId !== undefined) refuseOthers({ tenantId }, { tenantId: named });
	return named;
}

/** In a user's scope a row is not given to another user. */
function refuseOthersInPatch({ scope }: RowsCaller, patch: Fields): void {
	if (scope !== undefined) refuseOthers(scope, patch);
}

function refuseOtherId(id: string, inPatch: unknown): void {
	if (inPatch === undefined) return;
	if (typeof inPatch === "string" && inPatch.toLowerCase() === id.toLowerCase())
		return;
	throw new RemError("VALIDATION", "the patch names another id", {
		hint: "an id never changes: leave it out of the patch",
	});
}
