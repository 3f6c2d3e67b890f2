import { findInBuckets } from "../../buckets/find-in-buckets.ts";
import { upsertInBuckets } from "../../buckets/upsert-in-buckets.ts";
import { argument, optionalOptions } from "../../calls/arguments.ts";
import { async, oneOrRows, traced } from "../../calls/public-methods.ts";
import { upsertRows } from "../../core/upsert-rows.ts";
import type { Handle } from "../../db/database.ts";
import { record } from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import type { OptionChecks } from "../../models/options.ts";
import type { NewRow, Row } from "../../models/types.ts";
import { findRows } from "../../store/find-rows.ts";
import type { MergeField } from "../../store/merge.ts";
import { upsertChecks } from "../batch-upsert.ts";
import { callScope } from "../call-options.ts";
import { rowsVerb } from "../verb.ts";
import type { Filter } from "./find.ts";
import { bucketsOf, everywhere } from "./in-buckets.ts";
import { bound, rowsHandle } from "./rows.ts";

export interface RepositoryUpsertOptions {
	readonly tenantId?: string;
	readonly userId?: string | null;
	/** @default true */
	readonly generateEmbeddings?: boolean;
	/** `"queue"`: where a provider gives no vector, the rows are written all the same. @default "fail" */
	readonly onEmbeddingError?: "fail" | "queue";
	/** Fields to add to instead of replacing them. @default none */
	readonly merge?: readonly MergeField[];
	/** Write inside this transaction of yours. */
	readonly transaction?: Handle;
}

export interface Upsert<E extends Entity> {
	/** Writes one entity or several, as batchUpsert does, and returns the stored rows in their order. */
	upsert<G extends NewRow<E> | readonly NewRow<E>[]>(
		entities: G & WithoutOthers<E, G>,
		options?: RepositoryUpsertOptions,
	): Promise<RowsOf<E, G>>;
}

/** Of many entities a list. A value that was cast to `never` is one entity. */
type RowsOf<E, G> = [G] extends [never]
	? Row<E>
	: G extends readonly unknown[]
		? Row<E>[]
		: Row<E>;

// One signature for both: of two, a compiler reports the errors of both, and at
// the call instead of the field. What it infers has fields of any name, so those
// that are not in the model are refused here.
type WithoutOthers<E, G> = G extends readonly (infer Item)[]
	? readonly NoOthers<E, Item>[]
	: NoOthers<E, G>;

type NoOthers<E, Item> = string extends keyof Item
	? unknown
	: {
			readonly [K in Exclude<keyof Item, keyof NewRow<E>>]?: {
				readonly unknownField: K;
			};
		};

const checks: OptionChecks<RepositoryUpsertOptions> = {
	...callScope,
	...upsertChecks,
};

/** @internal */
export const upsert = rowsVerb({
	name: "upsert",
	method: traced(
		async(argument("entities", oneOrManyRows), optionalOptions(checks)),
		{ operation: "upsert", found: oneOrRows },
	),
	buckets: {
		tenant: (_: unknown, options?: RepositoryUpsertOptions) =>
			options?.tenantId,
		splits: true,
		overAll: async (
			caller,
			given: object | readonly object[],
			options: RepositoryUpsertOptions = {},
		) => {
			const { core, table } = caller;
			const ofScope = bound(caller, options);
			const { ids } = await upsertInBuckets(bucketsOf(caller), table, {
				...ofScope,
				boundUser: caller.scope?.userId,
				entities: Array.isArray(given) ? given : [given],
			});
			const { transaction } = ofScope;
			const rows = await readWritten(ids, (filter) => {
				const all = everywhere(caller, (own) => ({
					db: rowsHandle(own, ofScope, ofScope.tenantId),
					of: { table: own.table, filter },
				}));
				// Rows without tenants are the same in each bucket.
				const parts = table.entity.tenantScoped ? all : all.slice(0, 1);
				return findInBuckets({ core, transaction, parts }, {});
			});
			return inOrderOf(given, ids, rows);
		},
	},
	run: async (
		caller,
		given: object | readonly object[],
		options: RepositoryUpsertOptions = {},
	) => {
		const { core, table } = caller;
		const entities = Array.isArray(given) ? given : [given];
		const ofScope = bound(caller, options);
		const { ids } = await upsertRows(core, table, {
			...ofScope,
			boundUser: caller.scope?.userId,
			entities,
		});
		const db = rowsHandle(caller, ofScope, ofScope.tenantId);
		const rows = await readWritten(ids, (filter) =>
			findRows(db, { table, filter }, {}),
		);
		return inOrderOf(given, ids, rows);
	},
});

type StoredRow = Readonly<Record<string, unknown>>;

/** The rows of the ids, those too that another call has deleted since they were written. */
async function readWritten(
	ids: readonly string[],
	read: (filter: Filter) => Promise<readonly StoredRow[]>,
): Promise<readonly StoredRow[]> {
	const wanted = [...new Set(ids)];
	const live = await read({ id: { in: wanted } });
	if (live.length === wanted.length) return live;
	const found = new Set(live.map(({ id }) => id));
	const missing = wanted.filter((id) => !found.has(id));
	const deleted = await read({
		id: { in: missing },
		deletedAt: { isNull: false },
	});
	return [...live, ...deleted];
}

/** The stored rows in the order of the entities; of one entity its row. */
function inOrderOf(
	given: object | readonly object[],
	ids: readonly string[],
	rows: readonly StoredRow[],
) {
	const byId = new Map(rows.map((row) => [row.id, row]));
	const inOrder = ids.map((id) => byId.get(id));
	return Array.isArray(given) ? inOrder : inOrder[0];
}

/** Each row is checked against the model. */
function oneOrManyRows(value: unknown): string | undefined {
	return Array.isArray(value) ? undefined : record(value);
}
