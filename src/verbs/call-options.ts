import type { ServiceCore } from "../core/service-core.ts";
import type { Consistency, Handle } from "../db/database.ts";
import { stoppable } from "../db/stoppable.ts";
import {
	numberOf,
	oneOf,
	signal,
	tenantName,
	transactionHandle,
	userName,
} from "../models/checks.ts";
import type { Entity } from "../models/entity.ts";
import { limits } from "../models/limits.ts";
import { narrowing, type OptionChecks } from "../models/options.ts";

export type Models = readonly Entity[];
export type TableName<M extends Models> = M[number]["tableName"];
export type EntityOf<M extends Models, T> = Extract<
	M[number],
	{ tableName: T }
>;

/** Whose rows a call is about. Without a tenant, the default one; see docs/tenancy.md. */
export interface CallScope {
	readonly tenantId?: string;
	/** In reads: that user's and shared rows; `null`: shared only; omitted: the whole tenant. */
	readonly userId?: string | null;
	/** Work inside this transaction of yours. An upsert leaves it open during provider calls. */
	readonly transaction?: Handle;
}

/** Options of every read. */
export interface ReadOptions extends CallScope {
	/**
	 * `"replica"`: POSTGRES__READ_HOST may answer, a moment behind others' writes
	 * but not behind this service's own; where there is none, or it cannot, the
	 * primary does. A `transaction` goes before. @default "primary"
	 */
	readonly consistency?: Consistency;
	/** Once aborted, no further statement is sent, and the running one is cancelled: `CANCELLED`. */
	readonly signal?: AbortSignal;
}

/** Without one, reads return the rows of all users, and writes are of rows that all share. */
export const callUser: OptionChecks<CallScope>["userId"] = narrowing(
	userName,
	"pass the user's id, null for shared rows, or leave userId out",
);

export const callScope: OptionChecks<CallScope> = {
	tenantId: tenantName,
	userId: callUser,
	transaction: transactionHandle,
};

/** Of calls that, where no tenant or user is given, take the rows of all of them. */
export const wholeScope: OptionChecks<CallScope> = {
	...callScope,
	tenantId: narrowing(
		tenantName,
		"pass the tenant, or leave tenantId out for the rows of all tenants",
	),
	userId: narrowing(
		userName,
		"pass the user's id, or leave userId out for the rows of all users",
	),
};

/** A number of rows to return. */
export const resultRows = numberOf(
	`a whole number from 1 to ${limits.resultRows}`,
);

export const consistency = oneOf("primary", "replica");

export const readOptions: OptionChecks<ReadOptions> = {
	...callScope,
	consistency,
	signal,
};

/** @internal Where a call reads; the statements end with its signal. */
export function readHandle(
	core: ServiceCore,
	{ tenantId, transaction, consistency, signal }: ReadOptions,
): Handle {
	return stoppable(core.handle(tenantId, transaction, consistency), signal);
}

/** @internal The span's table of a call that names one; whatever else a caller passes may be anything. */
export function tableOfCall(
	{ registry }: ServiceCore,
	options: { readonly tableName?: unknown } | undefined,
): string | undefined {
	const name = nameIn(options);
	const table = registry.all().find(({ entity }) => entity.tableName === name);
	return table?.entity.tableName;
}

function nameIn(
	options: { readonly tableName?: unknown } | undefined,
): unknown {
	try {
		return options?.tableName;
	} catch {
		return undefined; // a getter threw: the call reports it
	}
}
