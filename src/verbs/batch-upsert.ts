import { upsertInBuckets } from "../buckets/upsert-in-buckets.ts";
import { options } from "../calls/arguments.ts";
import { async, counts, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { type BatchUpsertResult, upsertRows } from "../core/upsert-rows.ts";
import { RemError } from "../errors.ts";
import {
	anyText,
	flag,
	listOf,
	oneOf,
	oneOrList,
	signal,
	text,
	typeName,
} from "../models/checks.ts";
import { definitionOf, isArrayType } from "../models/column-types.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
} from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import type { NewRow } from "../models/types.ts";
import type { MergeField } from "../store/merge.ts";
import type { UpsertProgress } from "../store/upsert-result.ts";
import {
	type CallScope,
	callScope,
	type EntityOf,
	type Models,
	type TableName,
	tableOfCall,
} from "./call-options.ts";
import { type BucketCaller, succeeds, verb } from "./verb.ts";

export interface BatchUpsertOptions<M extends Models, T extends TableName<M>>
	extends CallScope {
	readonly tableName: T;
	/** An array is one transaction; any other (async) iterable is committed in chunks of 500. */
	readonly entities:
		| readonly NewRow<EntityOf<M, T>>[]
		| Iterable<NewRow<EntityOf<M, T>>>
		| AsyncIterable<NewRow<EntityOf<M, T>>>;
	/** The model's natural key, to state it again. */
	readonly entityKeyField?: string | readonly string[];
	/** @default true */
	readonly generateEmbeddings?: boolean;
	/** @default the service's */
	readonly embeddingProvider?: string;
	/** @default the service's */
	readonly embeddingModel?: string;
	/** `"queue"`: where a provider gives no vector, rows are written all the same, and the worker or `sync` embeds them later. @default "fail" */
	readonly onEmbeddingError?: "fail" | "queue";
	/** Fields to add to instead of replacing them. @default none */
	readonly merge?: readonly MergeField[];
	/** `"chunk"`: an array, too, is committed in chunks of 500. @default true */
	readonly atomic?: true | "chunk";
	/**
	 * Drops the table's HNSW index for this load where the load is large: half of
	 * the vectors in the index or more, and at least BACKGROUND_INDEX__MIN_ROWS.
	 * It is built again behind it, and searches are exact until then; `bulk` of the
	 * result reports what was done and why. Left out, an index that searches have
	 * used in the last ten minutes stays, as does every index where no indexer runs
	 * and inside a transaction, where `true` is refused. `false`: none is dropped.
	 */
	readonly bulk?: boolean;
	readonly onProgress?: (progress: UpsertProgress) => void;
	/** Stops before the next chunk; what is committed stays. */
	readonly signal?: AbortSignal;
}

export interface BatchUpsert<M extends Models> {
	/**
	 * Validates, embeds what changed, and writes entities and vectors; LOOKUP and
	 * FUZZY find them when it returns. Throws `VALIDATION` and its kin naming
	 * every bad entity (nothing is written), `DUPLICATE_KEY`, `PROVIDER_…`.
	 *
	 * @example
	 * await service.batchUpsert({ tableName: "documents", entities: [{ name: "doc-1", content: "…" }] })
	 * // { inserted: 1, updated: 0, unchanged: 0, embeddingsGenerated: 1, kvEntries: 1, … }
	 */
	batchUpsert<T extends TableName<M>>(
		options: BatchUpsertOptions<M, T>,
	): Promise<BatchUpsertResult>;
}

type Options = BatchUpsertOptions<Models, string>;

/** What a repository's upsert takes as well. */
export const upsertChecks = {
	generateEmbeddings: flag,
	onEmbeddingError: oneOf("fail", "queue"),
	merge: listOf(oneOf("metadata", "graphEdges")),
};

const checks: OptionChecks<Options> = {
	...callScope,
	...upsertChecks,
	tableName: required(anyText),
	entities: required(manyRows),
	entityKeyField: oneOrList(anyText),
	embeddingProvider: text,
	embeddingModel: text,
	atomic: oneOf(true, "chunk"),
	bulk: flag,
	onProgress: progressCallback,
	signal,
};

/** @internal */
export const batchUpsert = verb({
	name: "batchUpsert",
	method: traced(async(options(checks)), {
		operation: "batchUpsert",
		table: tableOfCall,
		found: counts(
			"inserted",
			"updated",
			"unchanged",
			"embeddingsGenerated",
			"embeddingsReused",
			"embeddingsQueued",
			"kvEntries",
		),
	}),
	scopeAt: 0,
	buckets: async ({ buckets, scope }: BucketCaller, options: Options) =>
		upsertInBuckets(buckets, tableOf(buckets, options), {
			...options,
			boundUser: scope?.userId,
		}),
	run: async ({ core, scope }, options: Options): Promise<BatchUpsertResult> =>
		upsertRows(core, tableOf(core, options), {
			...options,
			boundUser: scope?.userId,
		}),
	probe: {
		does: "takes over",
		// A row of the same id: refused, or it would be taken over.
		reaches: (call, { table, id, key }, { tenantId, transaction }) =>
			succeeds(
				transaction.transaction((inner) =>
					call({
						tableName: table.entity.tableName,
						entities: [{ ...minimalFields(table, key ?? id), id } as never],
						generateEmbeddings: false,
						tenantId,
						transaction: inner,
					}),
				),
				["DUPLICATE_KEY"],
			),
	},
});

/** The table of the call; its key is the model's. */
function tableOf(
	{ registry }: ServiceCore,
	{ tableName, entityKeyField }: Options,
): EntityTable {
	const table = registry.get(tableName);
	checkEntityKeyField(table, entityKeyField);
	return table;
}

/** The key belongs to the model: a call that names another one means another model. */
function checkEntityKeyField(
	{ entity }: EntityTable,
	given: string | readonly string[] | undefined,
): void {
	if (given === undefined) return;
	const own = entity.keyFields?.map(({ name }) => name) ?? [];
	if ([given].flat().join("\0") === own.join("\0")) return;
	throw new RemError(
		"VALIDATION",
		`the key of "${entity.tableName}" is ${own.join(", ") || "none"}, not ${[given].flat().join(", ")}`,
		{ hint: "leave entityKeyField out, or change it in defineEntity" },
	);
}

/** Many rows; each of them is checked against its model. */
function manyRows(value: unknown): string | undefined {
	const isMany =
		typeof value === "object" &&
		value !== null &&
		(Symbol.iterator in value || Symbol.asyncIterator in value);
	return isMany
		? undefined
		: `must be an array or another iterable, also for a single entity, not ${typeName(value)}`;
}

/** As few fields as the model may take; a row that it refuses changes nothing either. */
function minimalFields(
	{ entity }: EntityTable,
	text: string,
): Record<string, unknown> {
	const needed = entity.fields.filter(
		(field) => !(field.nullable || field.defaultValue !== undefined),
	);
	return Object.fromEntries(
		needed.map(({ name, type }) => [
			name,
			type === "text"
				? text
				: isArrayType(type)
					? []
					: definitionOf(type).empty.value,
		]),
	);
}
