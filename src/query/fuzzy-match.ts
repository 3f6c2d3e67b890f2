import { ident, join, type Sql, sql } from "../sql.ts";
import { type RareRun, rareRuns } from "./fuzzy-runs.ts";
import type { FuzzySample } from "./fuzzy-sample.ts";
import {
	asReal,
	type FuzzyQuery,
	lettersOf,
	minOf,
	scoreOf,
	textOf,
} from "./fuzzy-score.ts";
import {
	budgetOf,
	budgets,
	type Condition,
	type IndexUse,
	type MatchPlace,
	maxWalked,
	pairsWay,
	trigramWay,
} from "./fuzzy-ways.ts";
import { type TrigramThresholds, wordThreshold } from "./trigram-thresholds.ts";
import { splitQuery } from "./unspaced-text.ts";

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

export function matchOf(request: FuzzyQuery, given: MatchPlace): Match {
	const { query, mode, threshold } = request;
	const { sample } = given;
	const isSmall =
		sample !== undefined && sample.entries <= budgets[mode].entries;
	const place = { ...given, sample: isSmall ? undefined : sample };
	const isOpen = threshold === undefined && query.trim() !== "";
	const letters = lettersOf(query);
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

/** Of summaries: an order of names has little to do with them. */
const maxContentsWalked = 500;

/** Without an index, for the reader to compare: 10,000 take 0.1 s. */
const maxUnindexed = 20_000;

/** In so many summaries a run of the query's words may be that is looked for by itself. */
export const maxRunEntries = 100;

/** In so many, a run of words is looked for by its likeness. */
const maxAlike = 10;

function walkOf({ query }: FuzzyQuery, { schema }: MatchPlace): Walk {
	return {
		entries: maxWalked,
		from: sql`${ident(schema, "rem_normalize_key")}(${query})`,
	};
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
