import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import { type ErrorCode, RemError } from "../errors.ts";
import {
	anyText,
	flag,
	listOf,
	numberOf,
	validDate,
	vector,
} from "../models/checks.ts";
import { limits } from "../models/limits.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import { keyOfRow } from "../models/rows.ts";
import type { VectorInput } from "../models/vector.ts";
import { type FuzzyHit, fuzzySearch } from "../query/fuzzy.ts";
import type { GraphReader } from "../query/graph/traverse.ts";
import type { HybridHit } from "../query/hybrid.ts";
import { mergeHybrid } from "../query/merge-hybrid.ts";
import { edgesOfBest } from "../query/recall/edges.ts";
import { findNamed, type NamedEntity } from "../query/recall/find-named.ts";
import {
	type EntityRef,
	type Found,
	fuse,
	nameShare,
	type RecallReason,
	shareOfRank,
	shareOfSimilarity,
} from "../query/recall/fuse.ts";
import { bodyOf, type ItemText } from "../query/recall/item-text.ts";
import {
	type NameSpan,
	nameSpans,
	unknownNames,
} from "../query/recall/names.ts";
import { packItems } from "../query/recall/pack-items.ts";
import { termsOf } from "../query/recall/words.ts";
import { checkScope } from "../query/scope.ts";
import { elementAt, valueAt } from "../util/present.ts";
import {
	type Models,
	type ReadOptions,
	readOptions,
	type TableName,
} from "./call-options.ts";
import { graphReader } from "./graph.ts";
import { hybridTables } from "./hybrid-search.ts";
import { checkHasText, checkQueryText } from "./search.ts";
import type { TableExplanations, TablesFound } from "./search-tables.ts";
import { verb } from "./verb.ts";

export interface RecallOptions<T extends string = string> extends ReadOptions {
	/** A question, a message, a topic: at most 65,536 characters. */
	readonly query: string;
	/** Its vector, where there is one already. */
	readonly queryEmbedding?: VectorInput;
	/** Only entities of these tables. @default all */
	readonly tables?: readonly T[];
	/** Items, 1 to 200. @default 10 */
	readonly limit?: number;
	/** Tokens of all texts together, estimated. @default 4000 */
	readonly maxTokens?: number;
	/** Only entities that were written, or written again, at that time or later. */
	readonly since?: Date;
}

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
	/** Items, among the best `limit`, for which there was no room. */
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

const defaults = { limit: 10, maxTokens: 4000 } as const;

type Options = RecallOptions & { readonly explain?: boolean };

const checks: OptionChecks<Options> = {
	...readOptions,
	query: required(anyText),
	queryEmbedding: vector,
	tables: listOf(anyText),
	limit: numberOf(`a whole number from 1 to ${limits.recallItems}`),
	maxTokens: numberOf(`a whole number from 1 to ${limits.recallTokens}`),
	since: validDate,
	explain: flag,
};

/** @internal */
export const recall = verb({
	name: "recall",
	method: traced(async(options(checks)), {
		operation: "recall",
		found: ({ items }: RecallResult) => rows(items),
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async (
		{ core },
		call: Options,
	): Promise<RecallResult & ExplainedIf<boolean>> => {
		const started = performance.now();
		const { limit = defaults.limit, maxTokens = defaults.maxTokens } = call;
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
			{ maxTokens, terms: termsOf(call.query) },
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

/** An entity as its step found it. */
interface RecalledEntity extends EntityRef {
	readonly entityKey: string | null;
	readonly table: EntityTable;
	readonly row: Readonly<Record<string, unknown>>;
	/** Of a text that was embedded in passages, the nearest. */
	readonly passage?: string | undefined;
	readonly graphEdges: readonly unknown[];
}

/** An entity that a name or an edge led to, with what its step's list is ordered by. */
interface Led extends Found<RecalledEntity> {
	readonly reasons: readonly [RecallReason];
	readonly value: number;
}

function toCandidate({
	entity: { entityType, entityId, entityKey },
	reasons: [reason],
	value,
}: Led): RecallCandidate {
	return { entityType, entityId, entityKey, reason, value };
}

/** What the steps read with. */
interface Reads {
	readonly core: ServiceCore;
	readonly call: Options;
	readonly reader: GraphReader;
	readonly tenantId: string;
	readonly tables: readonly EntityTable[];
}

/** Throws for what cannot be recalled with. */
function readsOf(core: ServiceCore, call: Options): Reads {
	const { query, userId } = call;
	checkHasText(query, "pass what to recall as query");
	checkQueryText(query);
	const tenantId = core.tenant(call.tenantId);
	checkScope({ tenantId, userId });
	checkRange("limit", call.limit, limits.recallItems);
	checkRange("maxTokens", call.maxTokens, limits.recallTokens);
	if (call.tables?.length === 0)
		throw new RemError("VALIDATION", "tables names no table", {
			hint: "leave it out to recall from all of them",
		});
	const tables = call.tables?.map((name) => core.registry.get(name));
	return {
		core,
		call,
		tenantId,
		tables: tables === undefined ? core.registry.all() : [...new Set(tables)],
		reader: graphReader(core, call),
	};
}

function checkRange(
	name: string,
	value: number | undefined,
	most: number,
): void {
	const isWithin =
		value === undefined ||
		(Number.isInteger(value) && value >= 1 && value <= most);
	if (!isWithin)
		throw new RemError(
			"INPUT_LIMIT",
			`${name} is ${value}, expected a whole number from 1 to ${most}`,
		);
}

interface Names {
	readonly lookup: readonly Led[];
	readonly fuzzy: readonly Led[];
	readonly lookedUp: readonly string[];
	readonly compared: readonly string[];
	readonly ms: number;
}

/** Of one name, so many entities. */
const perName = 5;

/** The entities that the query names, and where it has names that none has, those that are called nearly so. */
async function findNames(reads: Reads): Promise<Names> {
	const started = performance.now();
	const { query } = reads.call;
	const spans = nameSpans(query);
	const texts = spans.map(({ text }) => text);
	const named = await byNames(reads, texts, perName);
	const mentioned = outermost(
		named.map((entity) => ({ entity, span: elementAt(spans, entity.place) })),
	);
	const unknown = unknownNames(
		query,
		mentioned.map(({ span }) => span),
	);
	return {
		lookup: mentioned.map(({ entity, span }, at): Led => {
			const share = span.isDistinct ? nameShare.distinct : nameShare.word;
			return {
				entity: recalled(reads, entity),
				share,
				value: share,
				reasons: [{ step: "lookup", rank: at + 1, via: span.text }],
			};
		}),
		fuzzy: await findSimilar(reads, unknown),
		lookedUp: texts,
		compared: unknown.map(({ text }) => text),
		ms: performance.now() - started,
	};
}

/** Without names within longer ones: "Chen" in "Sarah Chen" is another's. */
function outermost<Mention extends { readonly span: NameSpan }>(
	mentions: readonly Mention[],
): Mention[] {
	const isWithin = (a: NameSpan, b: NameSpan) =>
		b.start <= a.start && a.end <= b.end && b.end - b.start > a.end - a.start;
	return mentions.filter(
		({ span }) => !mentions.some((other) => isWithin(span, other.span)),
	);
}

function byNames(
	{ reader, tenantId, tables, call }: Reads,
	texts: readonly string[],
	perText: number,
): Promise<NamedEntity[]> {
	const { userId, since } = call;
	const scope = { tenantId, userId };
	return findNamed(reader, texts, { scope, tables, since, perText });
}

function recalled({ tables }: Reads, { node, row }: NamedEntity) {
	const { entityType, entityId, entityKey } = node;
	const table = tables.find(({ entity }) => entity.tableName === entityType);
	return {
		entityType,
		entityId,
		entityKey,
		table: table as EntityTable,
		row,
		graphEdges: edgesIn(row),
	};
}

const similar = { threshold: 0.45, limit: 5 } as const;

async function findSimilar(
	reads: Reads,
	spans: readonly NameSpan[],
): Promise<Led[]> {
	const { core, call, reader, tenantId, tables } = reads;
	const names = {
		db: reader.db,
		schema: core.settings.schema,
		hasRowSecurity: core.settings.rowLevelSecurity,
		fallback: core.cacheFallback,
		named: core.db.capabilities.namedStatements,
	};
	const [only, ...more] = tables;
	const { userId } = call;
	const entityType = more.length === 0 ? only?.entity.tableName : undefined;
	const found = await sideBySide(
		core,
		call.transaction,
		spans.map(({ text: query }) => async () => {
			const request = { query, tenantId, userId, entityType, ...similar };
			const hits = await fuzzySearch(
				names,
				core.vectorStatistics.names,
				request,
			);
			return hits.map((hit) => ({ hit, via: query }));
		}),
	);
	const hits = found.flat().sort((a, b) => b.hit.score - a.hit.score);
	const ids = hits.map(({ hit }) => hit.entityId);
	const entities = await byNames(reads, ids, 1);
	return hits.flatMap(({ hit, via }, at): Led[] => {
		const entity = entities.find(({ node }) => isSame(node, hit));
		if (entity === undefined) return [];
		return [
			{
				entity: recalled(reads, entity),
				share: shareOfSimilarity(hit.score),
				value: hit.score,
				reasons: [{ step: "fuzzy", rank: at + 1, via }],
			},
		];
	});
}

function isSame(a: EntityRef, b: Pick<FuzzyHit, keyof EntityRef>): boolean {
	return a.entityType === b.entityType && a.entityId === b.entityId;
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

async function searchAll(reads: Reads): Promise<SearchFound> {
	const started = performance.now();
	const { call } = reads;
	const { tables: _, maxTokens: __, since, ...rest } = call;
	const { limit = defaults.limit } = call;
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

function edgesIn({
	graphEdges,
}: Readonly<Record<string, unknown>>): readonly unknown[] {
	return Array.isArray(graphEdges) ? graphEdges : [];
}

async function followEdges(
	reads: Reads,
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
				entity: recalled(reads, entity),
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
