import { arrayLiteral } from "../db/encode.ts";
import type { SimilarBy } from "../schema/owner-functions.ts";
import { hasPairs, pairsOfName } from "../schema/word-function.ts";
import { raw, type Sql, sql } from "../sql.ts";
import {
	type Budget,
	commonParts,
	noEntries,
	requiredParts,
	type Sampled,
} from "./fuzzy-plan.ts";
import type { FuzzySample } from "./fuzzy-sample.ts";
import {
	asReal,
	type FuzzyMode,
	type FuzzyQuery,
	lettersOf,
	minOf,
	textOf,
	usualThreshold,
} from "./fuzzy-score.ts";
import {
	keyThreshold,
	type TrigramThresholds,
	trigramsOf,
	wordThreshold,
} from "./trigram-thresholds.ts";
import { pairsQuery, type SplitQuery } from "./unspaced-text.ts";

export interface IndexUse {
	readonly kind: SimilarBy;
	/** What the index is asked for. */
	readonly query: string;
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

/** What takes less than 300 ms. A summary has up to 500 characters: PostgreSQL takes 100 µs for each that the index finds. */
export const budgets: Readonly<Record<FuzzyMode, Budget>> = {
	key: { entries: 4000, postings: 200_000, some: 20_000 },
	word: { entries: 3000, postings: 200_000, some: 20_000 },
	content: { entries: 400, postings: 60_000, some: 20_000 },
};

/** Of summaries that the reader compares: those with the query's rarest words are looked for besides. */
const readBudget: Budget = { ...budgets.content, entries: 120 };

export function budgetOf(mode: FuzzyMode, { pairs }: SplitQuery): Budget {
	return mode === "content" && pairs.length === 0 ? readBudget : budgets[mode];
}

/** Entries read one by one from the query's name on, and as many from the first. */
export const maxWalked = 2000;

/** So many of those read shall have enough in common with the query to be compared. */
const enoughWalked = 50;

/** What an entry must fulfil. */
export interface Condition {
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

export function trigramWay(
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

export function pairsWay(
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

// What one or two letters have in common with a word that begins with them is a
// half or two thirds of their trigrams; with any other word it is a third.
const beginsLikeThreshold = 0.5;
