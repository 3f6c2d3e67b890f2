import type { Buckets } from "../buckets/buckets.ts";
import type { PublicMethod } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import type { BoundScope } from "./bound-scope.ts";

/**
 * A public verb of the service. Each is one file of this folder, with the type of
 * its options, its documentation, and this record, from which the service, its
 * scopes, the spans and the check of isolation are made.
 */
export interface Verb {
	readonly name: string;
	/** What it takes, and its span. */
	readonly method: PublicMethod;
	/** The place, among its arguments, of the options that name tenant and user. */
	readonly scopeAt: 0 | 1;
	/** How its calls are run where tenants are spread over buckets. */
	readonly buckets: BucketRule;
	run(caller: Caller, ...given: unknown[]): Promise<unknown>;
	/** Tries to reach another tenant's row. @default none: another verb's covers it */
	readonly probe?: IsolationProbe<AnyCall>;
}

/**
 * `tenant`: in the bucket of the call's tenant, or of the default one. A function
 * runs a call that may concern several buckets; its arguments are those of `run`.
 */
type BucketRule =
	| "tenant"
	| ((caller: BucketCaller, ...given: never[]) => Promise<unknown>);

/** What a verb over several buckets is run with. */
export interface BucketCaller {
	readonly buckets: Buckets;
	readonly verbs: object;
	/** As of {@link Caller}. */
	readonly scope: BoundScope | undefined;
}

type AnyCall = (...given: never[]) => unknown;

/** The record, with a probe that calls it as it may be called. */
export function verb<Given extends unknown[], Result>(
	record: Omit<Verb, "run" | "probe"> & {
		readonly run: (caller: Caller, ...given: Given) => Promise<Result>;
		readonly probe?: IsolationProbe<(...given: Given) => Promise<Result>>;
	},
): Verb {
	return record;
}

/** Who runs a verb. */
export interface Caller {
	readonly core: ServiceCore;
	/** The object whose method was called: a verb that is made of others calls them here. */
	readonly verbs: object;
	/** The tenant, and optionally the user, that its calls are bound to; they name it, too. */
	readonly scope: BoundScope | undefined;
}

/** A verb of a repository: of one entity's rows. */
export interface RowsVerb {
	readonly name: string;
	readonly method: PublicMethod;
	/** How its calls are run where tenants are spread over buckets. */
	readonly buckets: RowsRule;
	run(rows: RowsCaller, ...given: unknown[]): unknown;
	readonly probe?: IsolationProbe<AnyCall>;
}

export function rowsVerb<Given extends unknown[], Result>(
	record: Omit<RowsVerb, "run" | "probe"> & {
		readonly run: (rows: RowsCaller, ...given: Given) => Result;
		readonly probe?: IsolationProbe<(...given: Given) => Result>;
	},
): RowsVerb {
	return record;
}

/** Where a repository's call is run. */
interface RowsRule {
	/** The tenant that the call names; `undefined`: none. The repository's own takes precedence. */
	readonly tenant: (...given: never[]) => string | undefined;
	/** Runs a call that names no tenant over all buckets. @default it runs in the default tenant's bucket */
	readonly overAll?: (rows: RowsCaller, ...given: never[]) => unknown;
	/** Whether `overAll` also takes rows without tenants. @default false: they are read in one bucket */
	readonly splits?: true;
	/** Whether it changes rows: those without tenants in all buckets. Its options have a transaction. @default false */
	readonly changes?: true;
}

/** Whose rows a repository's verb is about. */
export interface RowsCaller {
	readonly core: ServiceCore;
	readonly table: EntityTable;
	/** The tenant, and optionally the user, that the repository is bound to. */
	readonly scope: BoundScope | undefined;
}

/** A row of a made-up tenant. */
export interface ForeignRow {
	readonly table: EntityTable;
	readonly id: string;
	/** Its key, where the model has one of a text. */
	readonly key: string | undefined;
	/** Its vector, where it has one. */
	readonly vector: Float32Array | undefined;
}

/** How a verb tries to reach a row: from inside its own tenant, which must work, and from another one, which must not. */
export interface IsolationProbe<Call> {
	/** What a success is reported as: "lookupEntities finds a row of notes". */
	readonly does: "finds" | "counts" | "changes" | "takes over";
	/** Whether the verb reached the row; always `false` where it cannot be tried on it. */
	reaches(call: Call, row: ForeignRow, scope: ProbeScope): Promise<boolean>;
}

/** The tenant that tries, and the transaction in which it does. */
export interface ProbeScope {
	readonly tenantId: string;
	readonly transaction: Handle;
}

/** Whether a call did something. That nothing has the name is the answer to expect; any other failure is one of the check. */
export async function succeeds(
	call: Promise<unknown>,
	alsoExpected: readonly string[] = [],
): Promise<boolean> {
	try {
		await call;
		return true;
	} catch (error) {
		const expected = ["VALIDATION", ...alsoExpected];
		if (error instanceof RemError && expected.includes(error.code))
			return false;
		throw error;
	}
}
