import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import type { ErrorCode, RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { keyOfRow } from "../models/rows.ts";
import type { HybridHit } from "../query/hybrid.ts";
import { mergeHybrid } from "../query/merge-hybrid.ts";
import { edgesOfBest } from "../query/recall/edges.ts";
import {
	type EntityRef,
	type Found,
	fuse,
	type RecallReason,
	shareOfRank,
} from "../query/recall/fuse.ts";
import { bodyOf, type ItemText } from "../query/recall/item-text.ts";
import { packItems } from "../query/recall/pack-items.ts";
import { termsOf } from "../query/recall/words.ts";
import { valueAt } from "../util/present.ts";
import type { Models, TableName } from "./call-options.ts";
import { hybridTables } from "./hybrid-search.ts";
import { findNames, type Names } from "./recall-names.ts";
import {
	byNames,
	edgesIn,
	type Led,
	type RecallCall,
	type RecalledEntity,
	type RecallOptions,
	type RecallReads,
	readsOf,
	recallChecks,
	recallDefaults,
	recalledEntity,
	sizeOfRecall,
} from "./recall-reads.ts";
import type { TableExplanations, TablesFound } from "./search-tables.ts";
import { verb } from "./verb.ts";

/** An entity, with what there is to read of it. */
export interface RecallItem<T extends string = string> {
	readonly entityType: T;
	readonly entityId: string;
	/** `null` where the model has no natural key. */
	readonly entityKey: string | null;
	/** The key, and in the next line the embedded texts or the part of them that fits the query best. */
	readonly text: string;
	/** Of `text`, estimated. */
	readonly tokens: number;
	/** Whether `text` is all there is. */
	readonly isWhole: boolean;
	/** 0 to 1.4; comparable within one answer only. */
	readonly score: number;
	/** What found it. */
	readonly reasons: readonly RecallReason[];
}

export interface RecallResult<T extends string = string> {
	/** Best first. */
	readonly items: readonly RecallItem<T>[];
	/** Items for which there was no room, among the best `limit` (or, without it, among those that `maxTokens` asks for). */
	readonly omitted: number;
	/** Of all texts together, estimated: never more than `maxTokens`. */
	readonly tokens: number;
	/** Only where a step could not be taken: what is missing, and why. */
	readonly incomplete?: readonly MissingStep[];
}

/** A step that recall answered without. */
export interface MissingStep {
	/** The provider gave no vector of the query: names, words and edges found the items. */
	readonly step: "vector";
	/** Of the error: `PROVIDER_FAILED`, `PROVIDER_RATE_LIMITED` or `PROVIDER_NOT_CONFIGURED`. */
	readonly code: ErrorCode;
	/** Of the error. */
	readonly message: string;
}

/** An entity that a name or an edge led to. */
export interface RecallCandidate extends EntityRef {
	/** `null` where the model has no natural key. */
	readonly entityKey: string | null;
	readonly reason: RecallReason;
	/** Of `fuzzy`, the trigram similarity; of `edge`, what it passes on of a hit's score; of `lookup`, 1.1 of a name and 0.55 of a mere word. */
	readonly value: number;
}

/** What was looked for, and how long each step took, in milliseconds. */
export interface RecallExplanation {
	/** Parts of the query that were looked up as names. */
	readonly names: readonly string[];
	/** Parts of it that were compared with names. */
	readonly fuzzyNames: readonly string[];
	/** How each table was searched, by its name. */
	readonly tables: TableExplanations;
	/** Edges that were followed. */
	readonly edges: number;
	/** What names and edges led to, by step and rank, whether it reached the answer or not. Those of the search are the `lists` of its tables. */
	readonly candidates: readonly RecallCandidate[];
	readonly timing: {
		readonly namesMs: number;
		readonly searchMs: number;
		readonly edgesMs: number;
		readonly totalMs: number;
	};
}

/** With `explain`, how the items were found. */
type ExplainedIf<X> = boolean extends X
	? { readonly explain?: RecallExplanation }
	: X extends true
		? { readonly explain: RecallExplanation }
		: unknown;

export interface Recall<M extends Models> {
	/**
	 * What the memory has about a query, in one call: the entities that it names,
	 * those that a hybrid search of every table finds, and one step along the
	 * edges of the best of them; each once, best first, in as many tokens as you
	 * want to read.
	 *
	 * @example
	 * await service.recall({ query: "who runs the payments migration?", maxTokens: 2000 })
	 * // { items: [{ entityKey: "payments-migration", text: "payments-migration\n…", reasons: [{ step: "text", rank: 1 }], … }, …],
	 * //   omitted: 0, tokens: 812 }
	 */
	recall<T extends TableName<M> = TableName<M>, X extends boolean = false>(
		options: RecallOptions<T> & { readonly explain?: X },
	): Promise<RecallResult<T> & ExplainedIf<X>>;
}

/** @internal */
export const recall = verb({
	name: "recall",
	method: traced(async(options(recallChecks)), {
		operation: "recall",
		found: ({ items }: RecallResult) => rows(items),
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async (
		{ core },
		call: RecallCall,
	): Promise<RecallResult & ExplainedIf<boolean>> => {
		const started = performance.now();
		const { limit, maxTokens } = sizeOfRecall(call);
		const reads = readsOf(core, call);
		const [names, search] = (await sideBySide<Names | SearchFound>(
			core,
			call.transaction,
			[() => findNames(reads), () => searchAll(reads)],
		)) as [Names, SearchFound];
		const direct = [search.found, names.lookup, names.fuzzy];
		const edges = await followEdges(reads, fuse(direct));
		const fused = fuse([...direct, edges.found]).slice(0, limit);
		const packed = packItems(
			fused.map(({ entity, score, reasons }) => ({
				entityType: entity.entityType,
				entityId: entity.entityId,
				entityKey: entity.entityKey,
				score,
				reasons,
				source: textOf(entity),
			})),
			{
				maxTokens,
				terms: termsOf(call.query),
				first: call.limit ?? recallDefaults.limit,
			},
		);
		const result = { ...packed, ...incompleteOf(core, search) };
		if (search.explain === undefined) return result;
		const explain: RecallExplanation = {
			names: names.lookedUp,
			fuzzyNames: names.compared,
			tables: search.explain,
			edges: edges.followed,
			candidates: [...names.lookup, ...names.fuzzy, ...edges.found].map(
				toCandidate,
			),
			timing: {
				namesMs: names.ms,
				searchMs: search.ms,
				edgesMs: edges.ms,
				totalMs: performance.now() - started,
			},
		};
		return { ...result, explain };
	},
	probe: {
		does: "finds",
		reaches: async (call, { id, key, vector: queryEmbedding }, scope) =>
			queryEmbedding !== undefined &&
			(
				await call({ ...scope, query: key ?? "rem canary", queryEmbedding })
			).items.some(({ entityId }) => entityId === id),
	},
});

function toCandidate({
	entity: { entityType, entityId, entityKey },
	reasons: [reason],
	value,
}: Led): RecallCandidate {
	return { entityType, entityId, entityKey, reason, value };
}

interface SearchFound {
	readonly found: readonly Found<RecalledEntity>[];
	readonly explain: TableExplanations | undefined;
	/** Why no vectors were compared. */
	readonly failure: RemError | undefined;
	readonly ms: number;
}

/** Names and words still answer where the provider does not. */
function incompleteOf(
	{ settings }: ServiceCore,
	{ failure }: SearchFound,
): Pick<RecallResult, "incomplete"> {
	if (failure === undefined) return {};
	const { code, message } = failure;
	settings.logger.warn(
		{ code },
		`recall answered without vectors, by names and words: ${message}`,
	);
	return { incomplete: [{ step: "vector", code, message }] };
}

async function searchAll(reads: RecallReads): Promise<SearchFound> {
	const started = performance.now();
	const { call } = reads;
	const { tables: _, maxTokens: __, since, ...rest } = call;
	const { limit } = sizeOfRecall(call);
	const tables = reads.tables.filter(
		({ entity }) => entity.embedFields.length > 0,
	);
	const { found, explain, failure }: TablesFound<HybridHit> =
		await hybridTables(
			reads.core,
			{
				...rest,
				tables,
				limit,
				...(since === undefined
					? {}
					: { where: { updatedAt: { gte: since } } }),
			},
			{ isVectorOptional: true },
		);
	const byName = new Map(
		tables.map((table) => [table.entity.tableName, table]),
	);
	return {
		found: mergeHybrid(found, limit).map((hit, at) => ({
			entity: foundEntity(valueAt(byName, hit.entityType), hit),
			share: shareOfRank(at + 1),
			reasons: reasonsOf(hit, call.query),
		})),
		explain,
		failure,
		ms: performance.now() - started,
	};
}

function foundEntity(table: EntityTable, hit: HybridHit): RecalledEntity {
	return {
		entityType: table.entity.tableName,
		entityId: String(hit.id),
		entityKey: keyOfRow(table.entity, hit),
		table,
		row: hit,
		passage: hit.matchedText,
		graphEdges: edgesIn(hit),
	};
}

function reasonsOf(
	{ ranks: { vector, text, trigram } }: HybridHit,
	via: string,
): RecallReason[] {
	return [
		...(vector === undefined
			? []
			: [{ step: "vector", rank: vector } as const]),
		...(text === undefined ? [] : [{ step: "text", rank: text } as const]),
		...(trigram === undefined
			? []
			: [{ step: "fuzzy", rank: trigram, via } as const]),
	];
}

async function followEdges(
	reads: RecallReads,
	best: ReturnType<typeof fuse<RecalledEntity>>,
) {
	const started = performance.now();
	const edges = edgesOfBest(best, reads.call.query);
	const targets = edges.map(({ dst }) => dst);
	// Of several with a name the one that TRAVERSE takes.
	const entities = await byNames(reads, targets, 1);
	const found = entities.flatMap((entity): Led[] => {
		const edge = edges[entity.place];
		if (edge === undefined) return [];
		const { share, worth, reason } = edge;
		return [
			{
				entity: recalledEntity(reads, entity),
				share,
				value: worth,
				reasons: [reason],
			},
		];
	});
	return {
		found,
		followed: edges.length,
		ms: performance.now() - started,
	};
}

function textOf({ table, row, entityKey, passage }: RecalledEntity): ItemText {
	return { key: entityKey, body: bodyOf(table, row, entityKey), passage };
}
