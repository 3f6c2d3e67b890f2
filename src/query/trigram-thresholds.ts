import { ident, join, literal, raw, type Sql, sql } from "../sql.ts";

export const keyThreshold = "pg_trgm.similarity_threshold";
export const wordThreshold = "pg_trgm.word_similarity_threshold";

/** What pg_trgm's operators compare with, by setting. */
export type TrigramThresholds = ReadonlyMap<Setting, number>;

type Setting = typeof keyThreshold | typeof wordThreshold;

/** What pg_trgm has from the start; before a session's first use it cannot be asked. */
const usualThresholds: Readonly<Record<Setting, string>> = {
	[keyThreshold]: "0.3",
	[wordThreshold]: "0.6",
};

/**
 * A query whose operators `%` and `%>` have these thresholds, in one statement.
 * The operators use the trigram index but read their threshold from a setting:
 * it is set before the query's rows are read, for which its every part must ask
 * `isSet` first, and restored behind them, for the next statement of the same
 * transaction. `columns` is how many the query has.
 */
export function withThresholds(
	thresholds: TrigramThresholds,
	columns: number,
	select: (isSet: Sql) => Sql,
): Sql {
	const settings = [...thresholds].map(([setting, value], at) => ({
		setting: literal(setting),
		value: String(value),
		usual: literal(usualThresholds[setting]),
		before: ident(`before${at}`),
		after: ident(`after${at}`),
	}));
	if (settings.length === 0) return select(raw("TRUE"));
	const before = settings.map(
		(s) =>
			sql`coalesce(current_setting(${s.setting}, TRUE), ${s.usual}) AS ${s.before}`,
	);
	const set = settings.map(
		(s) => sql`set_config(${s.setting}, ${s.value}, TRUE) AS ${s.after}`,
	);
	const isSet = settings.map((s) => sql`t.${s.after} IS NOT NULL`);
	const reset = settings.map(
		(s) => sql`set_config(${s.setting}, b.${s.before}, TRUE)`,
	);
	const nothing = Array.from({ length: columns }, () => raw("NULL"));
	return sql`SELECT f.* FROM (SELECT ${join(before)} OFFSET 0) AS b,
LATERAL (SELECT ${join(set)} WHERE b.before0 IS NOT NULL OFFSET 0) AS t,
LATERAL (
  (${select(join(isSet, " AND "))})
  UNION ALL
  SELECT ${join(nothing)} WHERE concat(${join(reset)}) IS NULL
) AS f`;
}

/** The text's words in the form that contains each of its trigrams, and no other than these that begin with a letter or a word. */
export function trigramForm(text: string): string {
	return `  ${wordsOf(text).join("   ")}  `;
}

/** pg_trgm's trigrams of a text, each once: a word has two blanks before it and one behind. */
export function trigramsOf(text: string): string[] {
	const found = wordsOf(text).flatMap((word) => {
		const letters = [..."  ", ...word, " "];
		return letters.slice(2).map((_, at) => letters.slice(at, at + 3).join(""));
	});
	return [...new Set(found)];
}

/** The words that trigrams are made of. */
export function wordsOf(text: string): string[] {
	return text.toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
}
