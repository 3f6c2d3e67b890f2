import type { Entity } from "../models/entity.ts";
import { keyOfRow } from "../models/rows.ts";
import type { FusionWeights } from "../query/fusion-weights.ts";
import type { HybridMatch } from "../query/hybrid.ts";
import type { RecallReason } from "../query/recall/fuse.ts";
import type { Match } from "../query/search.ts";
import { membersOf } from "../util/present.ts";
import type { MissingStep } from "../verbs/recall.ts";
import type {
	FoundItem,
	SearchMode,
	SearchResponse,
	TablePlan,
} from "./api/search.ts";
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
import { givenWeights, hybridLists } from "./fused-places.ts";
import { defined, type Settings } from "./input.ts";
import { shortened, toJsonObject } from "./json.ts";
import { type Place, type StoredRow, titleOf } from "./place.ts";

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

interface Request extends Settings {
	readonly limit: number;
	readonly explain: boolean;
}

/** What its mode has none of may be absent. */
type FoundInMode = Pick<Found, "items" | "calls"> & Partial<Found>;

type Run = (place: Place, request: Request) => Promise<FoundInMode>;

/** Runs the search in its mode, by one of the service's verbs. */
export async function search(
	place: Place,
	settings: Settings,
	explain: boolean,
): Promise<Found> {
	const { mode = "recall", limit = 20 } = settings;
	for (const table of settings.tables ?? []) place.entity(table);
	const found = await runs[mode](place, { ...settings, limit, explain });
	return { plans: [], weights: {}, steps: [], notes: [], ...found };
}

const runs: Readonly<Record<SearchMode, Run>> = {
	recall: runRecall,
	hybrid: runHybrid,
	text: (place, request) =>
		runHybrid(place, {
			...request,
			weights: { vector: 0, text: 1, name: 0 },
		}),
	vector: runVector,
	fuzzy: runFuzzy,
	lookup: runLookup,
};

async function runRecall(
	place: Place,
	{ query, tables, limit, maxTokens, explain }: Request,
): Promise<FoundInMode> {
	const options = defined({ query, tables: some(tables), limit, maxTokens });
	const result = await place.scope.recall({
		...options,
		explain,
		signal: place.signal,
	});
	const rows = await rowsOf(place, result.items);
	const candidates = result.explain && recalledCandidates(result.explain);
	// A place on the list of names of the table's search, which compares the whole query.
	const isWholeQuery = (reason: RecallReason) =>
		reason.step === "fuzzy" && reason.via === query;
	const hasVectors = (table: string) =>
		place.entity(table).embedFields.length > 0;
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
							listPlace(reason, {
								isByName: isWholeQuery(reason) && hasVectors(entityType),
							}),
						)
					: placesOf(candidates, { entityType, entityId }),
		}),
	);
	const timing = result.explain?.timing;
	return {
		items,
		plans: plansOf(result.explain?.tables),
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
		const { explain } = membersOf(found);
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

/** The rows that a verb finds in the tables, best first, with how it searched them. */
async function searchRows<Row extends FoundRow>(
	place: Place,
	verb: "hybridSearch" | "vectorSearch",
	{
		options,
		request: { tables, limit, explain },
		scoreOf,
	}: {
		readonly options: object;
		readonly request: Request;
		readonly scoreOf: (row: Row) => number;
	},
) {
	const { signal } = place;
	const { rows, explains } = await inTables<Row>(
		tables,
		(tableName) =>
			foundBy<Row>(place.scope[verb], {
				...options,
				explain,
				signal,
				...(tableName === undefined ? {} : { tableName }),
			}),
		scoreOf,
	);
	return {
		hits: rows.slice(0, limit),
		explains,
		found: {
			plans: explains.flatMap(plansOf),
			calls: callsOf(verb, options, { tables }),
		},
	};
}

async function runHybrid(place: Place, request: Request): Promise<FoundInMode> {
	const { query, weights, filter: condition, limit, vectorMode } = request;
	const options = defined({
		query,
		weights: weights && defined(weights),
		condition,
		limit,
		mode: vectorMode,
	});
	const { hits, explains, found } = await searchRows<HybridFound>(
		place,
		"hybridSearch",
		{ options, request, scoreOf: ({ score }) => score },
	);
	const used = new Map(
		explains
			.flatMap(explanationsOf)
			.map(([table, { weights }]) => [table, weights]),
	);
	const given = givenWeights(weights ?? {});
	const [first = given] = used.values();
	return {
		...found,
		items: hits.map((hit, at) => ({
			...item(place, hit, at),
			score: hit.score,
			lists: hybridLists(hit, used.get(hit.entityType) ?? given),
		})),
		...(request.explain
			? { candidates: explains.flatMap(tableCandidates) }
			: {}),
		weights: first,
	};
}

async function runVector(place: Place, request: Request): Promise<FoundInMode> {
	const { query, filter: condition, limit, vectorMode: mode } = request;
	const options = defined({ queryText: query, condition, limit, mode });
	const { hits, found } = await searchRows<VectorFound>(place, "vectorSearch", {
		options,
		request,
		scoreOf: ({ similarity }) => similarity,
	});
	return {
		...found,
		items: hits.map((hit, at) => ({
			...item(place, hit, at),
			score: hit.similarity,
			lists: [{ list: "vector", rank: at + 1, value: hit.similarity }],
		})),
	};
}

async function runFuzzy(
	place: Place,
	{ query, threshold, limit, tables }: Request,
): Promise<FoundInMode> {
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
			...namedItem(hit, at),
			score: hit.score,
			userId: null,
			lists: [{ list: "fuzzy", rank: at + 1, value: hit.score }],
		})),
		notes: isBounded
			? ["not all names that are like the query may have been compared"]
			: [],
		calls: callsOf("fuzzySearch", options, { tables, name: "entityType" }),
	};
}

async function runLookup(
	place: Place,
	{ query, limit, tables }: Request,
): Promise<FoundInMode> {
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
			...namedItem(hit, at),
			score: 1,
			userId: hit.userId,
			lists: [{ list: "lookup", rank: at + 1, via: hit.requestedKey }],
		})),
		calls: callsOf("lookupEntities", options, { tables, name: "entityType" }),
	};
}

/** An entry of the names' cache, without its score. */
function namedItem(
	{
		entityType,
		entityId,
		entityKey,
		contentSummary,
	}: {
		readonly entityType: string;
		readonly entityId: string;
		readonly entityKey: string;
		readonly contentSummary: string | null;
	},
	at: number,
) {
	return {
		place: at + 1,
		entityType,
		entityId,
		entityKey,
		title: entityKey,
		text: shortened(contentSummary ?? ""),
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
		userId: userOf(hit),
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
