import type { Entity } from "../models/entity.ts";
import { keyOfRow } from "../models/rows.ts";
import { type FusionWeights, rankOffset } from "../query/fusion-weights.ts";
import type { HybridMatch } from "../query/hybrid.ts";
import type { RecallReason } from "../query/recall/fuse.ts";
import type { Match } from "../query/search.ts";
import type { MissingStep } from "../verbs/recall.ts";
import type {
	FoundItem,
	ListPlace,
	SearchMode,
	SearchResponse,
	TablePlan,
} from "./api.ts";
import {
	explanationsOf,
	type ListedCandidate,
	listPlace,
	placesOf,
	recalledCandidates,
	tableCandidates,
} from "./candidates.ts";
import type { ServiceCall } from "./code.ts";
import { rowsOf } from "./detail.ts";
import { defined, type Settings } from "./input.ts";
import { shortened, toJsonObject } from "./json.ts";
import { type Place, type StoredRow, titleOf } from "./place.ts";
import { usedWeights } from "./used-weights.ts";

/** What a search found, before it is laid out. */
export interface Found {
	readonly items: readonly FoundItem[];
	readonly plans: readonly TablePlan[];
	readonly weights: Partial<FusionWeights>;
	readonly steps: SearchResponse["timing"]["steps"];
	readonly omitted?: number;
	/** Of a search that was explained: every list with all its candidates. */
	readonly candidates?: readonly ListedCandidate[];
	readonly notes: readonly string[];
	readonly calls: readonly ServiceCall[];
}

type Run = (
	place: Place,
	settings: Settings & { readonly limit: number },
	explain: boolean,
) => Promise<Found>;

/** Runs the search in its mode, by one of the service's verbs. */
export function search(
	place: Place,
	settings: Settings,
	explain: boolean,
): Promise<Found> {
	const { mode = "recall", limit = 20 } = settings;
	for (const table of settings.tables ?? []) place.entity(table);
	return runs[mode](place, { ...settings, limit }, explain);
}

const runs: Readonly<Record<SearchMode, Run>> = {
	recall: runRecall,
	hybrid: (place, settings, explain) => runHybrid(place, settings, explain),
	text: (place, settings, explain) =>
		runHybrid(
			place,
			{ ...settings, weights: { vector: 0, text: 1, name: 0 } },
			explain,
		),
	vector: runVector,
	fuzzy: runFuzzy,
	lookup: runLookup,
};

async function runRecall(
	place: Place,
	{ query, tables, limit, maxTokens }: Settings & { limit: number },
	explain: boolean,
): Promise<Found> {
	const options = defined({ query, tables: some(tables), limit, maxTokens });
	const result = await place.scope.recall({
		...options,
		explain,
		signal: place.signal,
	});
	const rows = await rowsOf(place, result.items);
	const candidates = result.explain && recalledCandidates(result.explain);
	const items = result.items.map(
		({ entityType, entityId, entityKey, text, score, reasons }, at) => ({
			place: at + 1,
			entityType,
			entityId,
			entityKey,
			title: entityKey ?? entityId,
			text: shortened(text.replace(/^[^\n]*\n/, "")),
			score,
			userId: userOf(rows.get(entityId)),
			lists:
				candidates === undefined
					? reasons.map((reason) =>
							listPlace(reason, isByName(place, entityType, reason, query)),
						)
					: placesOf(candidates, { entityType, entityId }),
		}),
	);
	const timing = result.explain?.timing;
	return {
		items,
		plans: plansOf(result.explain?.tables),
		weights: {},
		steps:
			timing === undefined
				? []
				: [
						{ step: "names", ms: timing.namesMs },
						{ step: "search", ms: timing.searchMs },
						{ step: "edges", ms: timing.edgesMs },
					],
		omitted: result.omitted,
		...(candidates === undefined ? {} : { candidates }),
		notes: missingNotes(result.incomplete),
		calls: [{ verb: "recall", options: toJsonObject(options) }],
	};
}

/** What a recall answered without. */
export function missingNotes(
	incomplete: readonly MissingStep[] = [],
): readonly string[] {
	return incomplete.map(
		({ message }) =>
			`found by names and words alone, not by meaning: ${message}`,
	);
}

function userOf(row: StoredRow | undefined): string | null {
	return typeof row?.userId === "string" ? row.userId : null;
}

/** Whether a reason is a place on the list of names of the table's search, which compares the whole query. */
function isByName(
	place: Place,
	entityType: string,
	reason: RecallReason,
	query: string,
): boolean {
	return (
		reason.step === "fuzzy" &&
		reason.via === query &&
		place.entity(entityType).embedFields.length > 0
	);
}

type FoundRow = StoredRow & { readonly entityType?: string };
type HybridFound = FoundRow & HybridMatch;
type VectorFound = FoundRow & Match;

/** The rows of a search whose tables are known at run time. */
function foundBy<Row extends FoundRow>(
	search: (options: never) => Promise<unknown>,
	options: object,
): Promise<Row[]> {
	return search(options as never) as Promise<Row[]>;
}

/** One table, all of them, or each of some. */
async function inTables<Row>(
	tables: readonly string[] | undefined,
	run: (tableName: string | undefined) => Promise<readonly Row[]>,
	scoreOf: (row: Row) => number,
): Promise<{ rows: (Row & { entityType: string })[]; explains: unknown[] }> {
	const names =
		tables === undefined || tables.length === 0 ? [undefined] : tables;
	const rows: (Row & { entityType: string })[] = [];
	const explains: unknown[] = [];
	for (const tableName of names) {
		const found = await run(tableName);
		const { explain } = found as { explain?: unknown };
		explains.push(
			tableName === undefined || explain === undefined
				? explain
				: { [tableName]: explain },
		);
		for (const row of found) rows.push({ entityType: tableName ?? "", ...row });
	}
	if (names.length > 1) rows.sort((a, b) => scoreOf(b) - scoreOf(a));
	return { rows, explains };
}

async function runHybrid(
	place: Place,
	settings: Settings & { limit: number },
	explain: boolean,
): Promise<Found> {
	const { query, weights, filter: condition, limit, vectorMode } = settings;
	const options = defined({
		query,
		weights: weights && defined(weights),
		condition,
		limit,
		mode: vectorMode,
	});
	const { signal } = place;
	const { rows, explains } = await inTables<HybridFound>(
		settings.tables,
		(tableName) =>
			foundBy<HybridFound>(place.scope.hybridSearch, {
				...options,
				explain,
				signal,
				...(tableName === undefined ? {} : { tableName }),
			}),
		({ score }) => score,
	);
	const hits = rows.slice(0, limit);
	const used = usedWeights(hits, weights ?? {});
	return {
		items: hits.map((hit, at) => ({
			...item(place, hit, at),
			score: hit.score,
			lists: hybridLists(hit, used),
		})),
		plans: explains.flatMap(plansOf),
		...(explain ? { candidates: explains.flatMap(tableCandidates) } : {}),
		weights: used,
		steps: [],
		notes: [],
		calls: callsOf("hybridSearch", options, settings),
	};
}

function hybridLists(
	{ ranks, score, similarity }: HybridMatch,
	weights: Partial<FusionWeights>,
): ListPlace[] {
	const { vector, text, trigram: name } = ranks;
	const all = [
		["vector", vector],
		["text", text],
		["name", name],
	] as const;
	return all.flatMap(([list, rank]): ListPlace[] => {
		if (rank === undefined) return [];
		const weight = weights[list];
		return [
			{
				list,
				rank,
				...(list === "vector" ? defined({ value: similarity }) : {}),
				...(weight === undefined
					? {}
					: { weight, share: weight / (rankOffset + rank) / score }),
			},
		];
	});
}

async function runVector(
	place: Place,
	settings: Settings & { limit: number },
	explain: boolean,
): Promise<Found> {
	const {
		query: queryText,
		filter: condition,
		limit,
		vectorMode: mode,
	} = settings;
	const options = defined({ queryText, condition, limit, mode });
	const { signal } = place;
	const { rows, explains } = await inTables<VectorFound>(
		settings.tables,
		(tableName) =>
			foundBy<VectorFound>(place.scope.vectorSearch, {
				...options,
				explain,
				signal,
				...(tableName === undefined ? {} : { tableName }),
			}),
		({ similarity }) => similarity,
	);
	return {
		items: rows.slice(0, limit).map((hit, at) => ({
			...item(place, hit, at),
			score: hit.similarity,
			lists: [{ list: "vector", rank: at + 1, value: hit.similarity }],
		})),
		plans: explains.flatMap(plansOf),
		weights: {},
		steps: [],
		notes: [],
		calls: callsOf("vectorSearch", options, settings),
	};
}

async function runFuzzy(
	place: Place,
	{ query, threshold, limit, tables }: Settings & { limit: number },
): Promise<Found> {
	const options = defined({ query, threshold, limit });
	const { signal } = place;
	let isBounded = false;
	const { rows } = await inTables(
		tables,
		async (entityType) => {
			const hits = await place.scope.fuzzySearch({
				...options,
				signal,
				...(entityType === undefined ? {} : { entityType }),
			});
			isBounded ||= hits.bounded !== undefined;
			return hits;
		},
		({ score }) => score,
	);
	return {
		items: rows.slice(0, limit).map((hit, at) => ({
			place: at + 1,
			entityType: hit.entityType,
			entityId: hit.entityId,
			entityKey: hit.entityKey,
			title: hit.entityKey,
			text: shortened(hit.contentSummary ?? ""),
			score: hit.score,
			userId: null,
			lists: [{ list: "fuzzy", rank: at + 1, value: hit.score }],
		})),
		plans: [],
		weights: {},
		steps: [],
		notes: isBounded
			? ["not all names that are like the query may have been compared"]
			: [],
		calls: callsOf("fuzzySearch", options, { tables, name: "entityType" }),
	};
}

async function runLookup(
	place: Place,
	{ query, limit, tables }: Settings & { limit: number },
): Promise<Found> {
	const options = { entityKeys: [query] };
	const hits = await place.scope.lookupEntities({
		...options,
		hydrate: true,
		signal: place.signal,
	});
	const wanted = some(tables);
	const found = hits.filter(
		({ entityType }) => wanted === undefined || wanted.includes(entityType),
	);
	return {
		items: found.slice(0, limit).map((hit, at) => ({
			place: at + 1,
			entityType: hit.entityType,
			entityId: hit.entityId,
			entityKey: hit.entityKey,
			title: hit.entityKey,
			text: shortened(hit.contentSummary ?? ""),
			score: 1,
			userId: hit.userId,
			lists: [{ list: "lookup", rank: at + 1, via: hit.requestedKey }],
		})),
		plans: [],
		weights: {},
		steps: [],
		notes: [],
		calls: callsOf("lookupEntities", options, { tables, name: "entityType" }),
	};
}

/** A row that a search found, without its score. */
function item(place: Place, hit: FoundRow & Partial<Match>, at: number) {
	const entity = place.entity(hit.entityType ?? "");
	const text = hit.matchedText ?? textOf(entity, hit, hit.matchedField);
	return {
		place: at + 1,
		entityType: entity.tableName,
		entityId: String(hit.id),
		entityKey: keyOfRow(entity, hit),
		title: titleOf(entity, hit),
		text: shortened(text),
		...(hit.matchedField === undefined ? {} : { field: hit.matchedField }),
		...(hit.similarity === undefined ? {} : { similarity: hit.similarity }),
		userId: typeof hit.userId === "string" ? hit.userId : null,
	};
}

function textOf(
	entity: Entity,
	row: StoredRow,
	field: string | undefined,
): string {
	const names = [field, ...entity.embedFields.map(({ name }) => name)];
	const texts = names.map((name) => (name === undefined ? "" : row[name]));
	const text = texts.find((value) => typeof value === "string" && value !== "");
	return typeof text === "string" ? text : "";
}

/** A call for each table, or one for all of them. */
function callsOf(
	verb: string,
	options: object,
	{
		tables,
		name = "tableName",
	}: {
		readonly tables?: readonly string[] | undefined;
		/** The option that names the table. */
		readonly name?: string;
	},
): ServiceCall[] {
	const each = (some(tables) ?? [undefined]).map((table) =>
		table === undefined ? options : { [name]: table, ...options },
	);
	return each.map((options) => ({ verb, options: toJsonObject(options) }));
}

function some(tables: readonly string[] | undefined) {
	return tables === undefined || tables.length === 0 ? undefined : tables;
}

function plansOf(explain: unknown): TablePlan[] {
	return explanationsOf(explain).map(
		([table, { hits: _, lists: __, ...plan }]) => ({ table, ...plan }),
	);
}
