import { arrayLiteral } from "../db/encode.ts";
import { raw, type Sql, sql } from "../sql.ts";
import type { ComparedColumn } from "./fuzzy-sample.ts";
import type { SplitQuery } from "./unspaced-text.ts";

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

export function columnOf(mode: FuzzyMode): ComparedColumn {
	return mode === "content" ? "content_summary" : "entity_key";
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

export function lettersOf(text: string): number {
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

export function textOf(mode: FuzzyMode): Sql {
	return raw(`k.${columnOf(mode)}`);
}
