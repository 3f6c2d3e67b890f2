import { arrayLiteral } from "../db/encode.ts";
import type { SimilarBy } from "../schema/owner-functions.ts";
import { hasPairs, pairsOfName } from "../schema/word-function.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import {
	type Budget,
	commonParts,
	noEntries,
	requiredParts,
	type Sampled,
} from "./fuzzy-plan.ts";
import { type RareRun, rareRuns } from "./fuzzy-runs.ts";
import type { ComparedColumn, FuzzySample } from "./fuzzy-sample.ts";
import {
	keyThreshold,
	type TrigramThresholds,
	trigramsOf,
	wordThreshold,
} from "./trigram-thresholds.ts";
import { pairsQuery, type SplitQuery, splitQuery } from "./unspaced-text.ts";

/** What the query is compared with: the whole key, the words of it most like the query, or those of the summary. */
export type FuzzyMode = (typeof fuzzyModes)[number];

export const fuzzyModes = ["key", "word", "content"] as const;

/** A query and what it is compared with. */
export interface FuzzyQuery {
	readonly query: string;
	readonly mode: FuzzyMode;
	/** As given; `undefined`: {@link usualThreshold}, and short queries find more. */
	readonly threshold: number | undefined;
}

export const usualThreshold = 0.3;

/** Which entries `k` are found, and how like the query they are. */
export interface Match {
	readonly thresholds: TrigramThresholds;
	/** What the entry must fulfil. */
	readonly condition: Sql;
	readonly score: Sql;
	/** The least score, where the condition lets lesser ones through. */
	readonly minScore?: number;
	/** By which indexes the entries are found, if by any. */
	readonly indexes: readonly IndexUse[];
	/** Words, in this order, by which the index of the contents finds entries besides. */
	readonly contains?: readonly (readonly string[])[];
	/** Entries are read in the order of their names instead; of summaries, besides what the indexes find. */
	readonly walk?: Walk;
	/** So many of the entries that fulfil the condition are compared. */
	readonly compared?: number;
	/** So many entries are read for the reader to compare. @default more than an index finds */
	readonly reads?: number;
	/** Where not every entry with the least score can be found. */
	readonly bound?: Bound;
	/** The scores are computed by the reader: of all entries of the scope, or of those that fulfil the condition. */
	readonly compares?: "all" | "found";
}

interface IndexUse {
	readonly kind: SimilarBy;
	/** What the index is asked for. */
	readonly query: string;
}

export interface Bound {
	/** No entry with this score or a better one is missing. */
	readonly completeFrom?: number;
	/** What else may be found where that is too little. */
	readonly more?: Match;
}

/** Whether as many were found as were asked for, and none better can be missing. */
export function hasBest(
	rows: readonly { readonly score: number }[],
	bound: Bound | undefined,
	limit: number,
): boolean {
	if (bound === undefined) return true;
	const { completeFrom = Number.POSITIVE_INFINITY } = bound;
	const last = rows[limit - 1];
	return last !== undefined && last.score >= completeFrom;
}

/** So many entries from a name on, and so many from the first. */
interface Walk {
	readonly entries: number;
	/** The query, normalised as keys are. */
	readonly from: Sql;
}

export function columnOf(mode: FuzzyMode): ComparedColumn {
	return mode === "content" ? "content_summary" : "entity_key";
}

/** Where and among how many entries a match is looked for. */
export interface MatchPlace {
	readonly schema: string;
	/** Of a tenant that is too large for every entry that an index finds to be compared. */
	readonly sample: FuzzySample | undefined;
	/** Whether there is an index of the contents. @default true */
	readonly isIndexed?: boolean;
	/** @default false */
	readonly hasRowSecurity?: boolean;
}

export function matchOf(request: FuzzyQuery, given: MatchPlace): Match {
	const { query, mode, threshold } = request;
	const { sample } = given;
	const isSmall =
		sample !== undefined && sample.entries <= budgets[mode].entries;
	const place = { ...given, sample: isSmall ? undefined : sample };
	const isOpen = threshold === undefined && query.trim() !== "";
	const letters = query.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
	if (letters === 0 && isOpen)
		return withoutIndex(
			request,
			place,
			sql`strpos(${textOf(mode)}, ${query.trim()}) > 0`,
		);
	// At 0 everything is like it, also what shares no trigram, which no index finds.
	const match =
		threshold === 0 && place.sample === undefined
			? withoutIndex(request, place, sql`${textOf(mode)} IS NOT NULL`)
			: byIndex(request, place, mode === "key" && letters <= 2 && isOpen);
	const isComparedByReader =
		mode === "content" && letters > 0 && splitQuery(query).pairs.length === 0;
	return isComparedByReader ? comparedByReader(request, match, place) : match;
}

/** Trigrams of summaries, which PostgreSQL compares in 60 to 100 µs, the reader in 5. */
function comparedByReader(
	request: FuzzyQuery,
	match: Match,
	place: MatchPlace,
): Match {
	const { sample, isIndexed = true } = place;
	if (sample === undefined) return { ...match, compares: "all" };
	const { bound, walk, ...rest } = match;
	if (!isIndexed) return readInOrder(request, match, { ...place, sample });
	if (walk !== undefined)
		return withRareWords(request, rest.score, { ...place, sample });
	const more = bound?.more;
	return {
		...rest,
		compares: "found",
		...(bound === undefined
			? {}
			: {
					bound: {
						...bound,
						...(more === undefined
							? {}
							: { more: comparedByReader(request, more, place) }),
					},
				}),
	};
}

/** Without an index of the contents: all of the entries, or of very many those that are next to the query in the order of names. */
function readInOrder(
	request: FuzzyQuery,
	{ bound, walk, indexes, thresholds, ...rest }: Match,
	place: MatchPlace & { readonly sample: FuzzySample },
): Match {
	const read = {
		...rest,
		thresholds: new Map(),
		indexes: [],
		condition: sql`${textOf("content")} IS NOT NULL`,
	};
	if (place.sample.entries <= maxUnindexed)
		return { ...read, compares: "all", reads: 1.5 * maxUnindexed };
	return {
		...read,
		walk: { ...walkOf(request, place), entries: maxUnindexed / 2 },
		reads: maxUnindexed,
		compares: "found",
		bound: {},
	};
}

/**
 * Entries with the query's rarest words, and some in the order of names. PostgreSQL
 * compares each entry that the index finds by the likeness of a run again, in 100 µs;
 * not if it looks for the words themselves: so it does for those of many entries.
 * Those of few, which may be misspelt, are found by their likeness.
 */
function withRareWords(
	request: FuzzyQuery,
	score: Sql,
	place: MatchPlace & { readonly sample: FuzzySample },
): Match {
	const { sample, hasRowSecurity = false } = place;
	const { runs, threshold } = rareRuns(request.query, {
		sample,
		entries: maxRunEntries,
	});
	const wordsOf = ({ text }: RareRun) => text.split(" ");
	// Of a word of two letters the index knows no trigram but at the word's ends.
	const isAlike = (run: RareRun) =>
		hasRowSecurity ||
		run.entries <= maxAlike ||
		wordsOf(run).some((word) => word.length < 3);
	const alike = runs.filter(isAlike);
	const others = runs.filter((run) => !isAlike(run)).map(wordsOf);
	return {
		thresholds: new Map(
			alike.length === 0 ? [] : [[wordThreshold, asReal(threshold)]],
		),
		condition: sql`${textOf("content")} IS NOT NULL`,
		score,
		indexes: alike.map(({ text }) => ({ kind: "content", query: text })),
		contains: others,
		walk: { ...walkOf(request, place), entries: maxContentsWalked },
		compares: "found",
		bound: {},
	};
}

function withoutIndex(
	request: FuzzyQuery,
	place: MatchPlace,
	condition: Sql,
): Match {
	return {
		thresholds: new Map(),
		condition,
		score: scoreOf(request, splitQuery(request.query)),
		indexes: [],
		...(place.sample === undefined
			? {}
			: { walk: walkOf(request, place), bound: {} }),
	};
}

/** What takes less than 300 ms. A summary has up to 500 characters: PostgreSQL takes 100 µs for each that the index finds. */
const budgets: Readonly<Record<FuzzyMode, Budget>> = {
	key: { entries: 4000, postings: 200_000, some: 20_000 },
	word: { entries: 3000, postings: 200_000, some: 20_000 },
	content: { entries: 400, postings: 60_000, some: 20_000 },
};

/** Of summaries that the reader compares: those with the query's rarest words are looked for besides. */
const readBudget: Budget = { ...budgets.content, entries: 120 };

function budgetOf(mode: FuzzyMode, { pairs }: SplitQuery): Budget {
	return mode === "content" && pairs.length === 0 ? readBudget : budgets[mode];
}

/** Entries read one by one from the query's name on, and as many from the first. */
const maxWalked = 2000;

/** Of summaries: an order of names has little to do with them. */
const maxContentsWalked = 500;

/** Without an index, for the reader to compare: 10,000 take 0.1 s. */
const maxUnindexed = 20_000;

/** In so many summaries a run of the query's words may be that is looked for by itself. */
export const maxRunEntries = 100;

/** In so many, a run of words is looked for by its likeness. */
const maxAlike = 10;

/** So many of those read shall have enough in common with the query to be compared. */
const enoughWalked = 50;

function walkOf({ query }: FuzzyQuery, { schema }: MatchPlace): Walk {
	return {
		entries: maxWalked,
		from: sql`${ident(schema, "rem_normalize_key")}(${query})`,
	};
}

/** What an entry must fulfil. */
interface Condition {
	readonly condition: Sql;
	readonly thresholds: TrigramThresholds;
}

/** Trigrams, or pairs of letters, by which an index finds entries. */
interface Way extends Condition {
	readonly index: IndexUse;
	/** How much of the parts must be in common, where it is more than was asked for. */
	readonly tightened?: number;
	/** How many entries the index finds at least: all of them, some, or too many to ask it. */
	readonly finds: "all" | "some" | "too many";
	/** What an entry must fulfil that is read in the order of names. */
	readonly walked: Condition;
}

/** `isShort`: of one or two letters, which are the beginning of a name rather than a name. */
function byIndex(
	request: FuzzyQuery,
	place: MatchPlace,
	isShort: boolean,
): Match {
	const split = splitQuery(request.query);
	const budget = budgetOf(request.mode, split);
	const ways = [
		...trigramWay(request, split, { ...place, isShort }),
		...pairsWay(request, split, place),
	];
	const isFiltered = split.pairs.length > 0 && !isShort;
	const score = scoreOf(request, split);
	const least = { minScore: minOf(request) };
	const walked: Match = {
		...anyOf(ways.map((way) => way.walked)),
		score,
		...(isShort ? {} : least),
		indexes: [],
		walk: walkOf(request, place),
		// Usually a second statement.
		compared: budget.entries / 2,
		bound: {},
	};
	const tightened = ways.flatMap((way) => way.tightened ?? []);
	const [completeFrom] = tightened;
	const isSome = ways.some(({ finds }) => finds === "some");
	if (
		ways.some(({ finds }) => finds === "too many") ||
		(isShort && (isSome || completeFrom !== undefined))
	)
		return walked;
	return {
		...anyOf(ways),
		score,
		...(isFiltered || completeFrom !== undefined ? least : {}),
		indexes: ways.map(({ index }) => index),
		...(isSome ? { compared: budget.entries } : {}),
		...(isSome || completeFrom !== undefined
			? {
					bound: {
						...(isSome || ways.length > 1 || completeFrom === undefined
							? {}
							: { completeFrom }),
						more: walked,
					},
				}
			: {}),
	};
}

function anyOf(ways: readonly Condition[]): Condition {
	const conditions = ways.map(({ condition }) => condition);
	const [only] = conditions;
	return {
		condition:
			only !== undefined && ways.length === 1
				? only
				: sql`(${join(conditions, " OR ")})`,
		thresholds: new Map(ways.flatMap(({ thresholds }) => [...thresholds])),
	};
}

function trigramWay(
	request: FuzzyQuery,
	split: SplitQuery,
	{ sample, isShort }: MatchPlace & { readonly isShort: boolean },
): Way[] {
	const { mode } = request;
	const text = textOf(mode);
	const query = mode === "key" ? request.query : split.rest;
	const share = minShare(request, split);
	if (share > 1) return [];
	const parts = trigramsOf(query);
	const wanted = Math.ceil((isShort ? usualThreshold : share) * parts.length);
	const plan = planWay(parts, wanted, {
		budget: budgetOf(mode, split),
		sample,
		having: (part) => sample?.withTrigram(part) ?? noEntries,
	});
	const word = (threshold: number): Found => ({
		kind: mode === "content" ? "content" : "word",
		condition: sql`${text} %> ${hidden(query)}`,
		thresholds: new Map([[wordThreshold, asReal(threshold)]]),
	});
	const usual =
		mode === "key" ? likeKey(request, isShort) : word(Math.min(1, share));
	// word_similarity() is never less than similarity().
	const { kind, ...found } =
		plan.tightened === undefined ? usual : word(plan.tightened);
	const walked: Condition =
		mode === "content"
			? {
					condition: hasInCommon(
						sql`lower(${text})`,
						parts.map((part) => part.trim()),
						plan.walkedCount,
					),
					thresholds: new Map(),
				}
			: usual;
	return [{ ...plan, ...found, index: { kind, query }, walked }];
}

/** Of a text that it knows PostgreSQL would estimate how many are like it: as long as 200 comparisons. */
export function hidden(text: string): Sql {
	return sql`(SELECT ${text}::text)`;
}

interface Found extends Condition {
	readonly kind: SimilarBy;
}

/** The whole key; of a short query also one of its words. */
function likeKey(request: FuzzyQuery, isShort: boolean): Found {
	const text = textOf("key");
	const { query } = request;
	const condition = sql`${text} % ${hidden(query)}`;
	const least = minOf(request);
	return isShort
		? {
				kind: "either",
				condition: sql`(${condition} OR ${text} %> ${hidden(query)})`,
				thresholds: new Map([
					[keyThreshold, least],
					[wordThreshold, beginsLikeThreshold],
				]),
			}
		: { kind: "key", condition, thresholds: new Map([[keyThreshold, least]]) };
}

function pairsWay(
	request: FuzzyQuery,
	split: SplitQuery,
	{ schema, sample }: MatchPlace,
): Way[] {
	const { mode } = request;
	const { pairs } = split;
	if (pairs.length === 0) return [];
	const isMixed = mode !== "key" && lettersOf(split.rest) > 0;
	const wanted = isMixed ? 1 : Math.ceil(minOf(request) * pairs.length);
	const plan = planWay(pairs, wanted, {
		budget: budgetOf(mode, split),
		sample,
		having: (pair) => sample?.withPair(pair) ?? noEntries,
	});
	const query = plan.isEach
		? pairsQuery(pairs, "&")
		: pairsQuery(plan.selective, "|");
	const text = textOf(mode);
	const thresholds: TrigramThresholds = new Map();
	return [
		{
			...plan,
			condition: sql`(${hasPairs(text)} AND ${pairsOfName(schema, text)} @@ ${query}::tsquery)`,
			index: {
				kind: mode === "content" ? "content_pairs" : "key_pairs",
				query,
			},
			thresholds,
			walked: {
				condition: sql`(${hasPairs(text)} AND ${hasInCommon(sql`normalize(${text}, NFKC)`, pairs, plan.walkedCount)})`,
				thresholds,
			},
		},
	];
}

interface PlannedWay extends Pick<Way, "tightened" | "finds"> {
	/** Every text that is found has one of these. */
	readonly selective: readonly string[];
	/** Whether all parts are required. */
	readonly isEach: boolean;
	/** How many parts must be in common with one of those that are read in the order of names. */
	readonly walkedCount: number;
}

function planWay(
	parts: readonly string[],
	wanted: number,
	{
		budget,
		sample,
		having,
	}: Pick<Sampled, "having" | "budget"> & {
		readonly sample: FuzzySample | undefined;
	},
): PlannedWay {
	const count = Math.max(1, wanted);
	const usual: PlannedWay = {
		finds: "all",
		selective: parts.slice(0, Math.max(1, parts.length - count + 1)),
		isEach: count === parts.length,
		walkedCount: count,
	};
	if (sample === undefined) return usual;
	const required = requiredParts(parts, count, {
		budget,
		scale: sample.scale,
		having,
	});
	return {
		...usual,
		walkedCount: commonParts(parts, count, {
			share: enoughWalked / (2 * maxWalked),
			having,
		}),
		...(required === undefined
			? { finds: "too many" }
			: {
					selective: required.selective,
					isEach: required.count === parts.length,
					finds: required.entries > budget.entries ? "some" : "all",
					...(required.count > wanted
						? { tightened: required.count / parts.length }
						: {}),
				}),
	};
}

/** Whether the text contains so many of the parts, which costs less to find out than how similar it is. */
function hasInCommon(text: Sql, parts: readonly string[], count: number): Sql {
	return sql`(SELECT count(*) FROM (SELECT ${text} OFFSET 0) AS t (text), unnest(${arrayLiteral(parts)}::text[]) AS p (part) WHERE strpos(t.text, p.part) > 0) >= ${raw(String(count))}`;
}

/** The likeness of the part with spaces from which it suffices alone; more than 1: it does not. */
function minShare(
	request: FuzzyQuery,
	{ pairs, rest, unspacedLetters }: SplitQuery,
): number {
	const { mode } = request;
	const least = minOf(request);
	if (mode === "key" || pairs.length === 0) return least;
	const letters = lettersOf(rest);
	return letters === 0
		? Number.POSITIVE_INFINITY
		: (least * (unspacedLetters + letters)) / letters;
}

/** Of a query with letters of both kinds, each part counts by its letters. */
export function scoreOf({ query, mode }: FuzzyQuery, split: SplitQuery): Sql {
	const text = textOf(mode);
	const { pairs, unspacedLetters, rest } = split;
	const similar = (part: string) =>
		mode === "key"
			? sql`similarity(${text}, ${part})`
			: sql`word_similarity(${part}, ${text})`;
	if (pairs.length === 0) return similar(query);
	const share = sql`(SELECT count(*) FILTER (WHERE strpos(n.text, p.pair) > 0) FROM (SELECT normalize(${text}, NFKC) OFFSET 0) AS n (text), unnest(${arrayLiteral(pairs)}::text[]) AS p (pair))::real / ${raw(String(pairs.length))}`;
	if (mode === "key")
		return sql`greatest(${similar(query)}, (${share} * least(1, ${raw(String(unspacedLetters))}::real / char_length(${text})))::real)`;
	const letters = lettersOf(rest);
	return letters === 0
		? sql`(${share})::real`
		: sql`((${share} * ${raw(String(unspacedLetters))} + ${similar(rest)} * ${raw(String(letters))}) / ${raw(String(unspacedLetters + letters))})::real`;
}

function lettersOf(text: string): number {
	return text.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
}

export function minOf({ threshold = usualThreshold }: FuzzyQuery): number {
	return asReal(threshold);
}

/**
 * The threshold that pg_trgm's operators have to be set, so that a name whose
 * similarity is the threshold is found: similarities are of 32 bits, in which
 * 0.7 is less than the 0.7 of 64 bits that a setting is.
 */
export function asReal(threshold: number): number {
	return Math.min(threshold, Math.fround(threshold));
}

// What one or two letters have in common with a word that begins with them is a
// half or two thirds of their trigrams; with any other word it is a third.
const beginsLikeThreshold = 0.5;

export function textOf(mode: FuzzyMode): Sql {
	return raw(`k.${columnOf(mode)}`);
}
