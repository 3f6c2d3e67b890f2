import { arrayLiteral } from "../db/encode.ts";
import { tableRef, wordsRef } from "../db/tables.ts";
import { hasPairedLetters } from "../models/unspaced-scripts.ts";
import { isSingleCharacter, wordsOf } from "../schema/word-function.ts";
import { textOfColumns, wordColumns } from "../schema/words.ts";
import { empty, literal, raw, type Sql, sql } from "../sql.ts";
import { indexedWords } from "./indexed-words.ts";
import { userCondition } from "./scope.ts";
import {
	type FrequentWord,
	startOf,
	type WordStatistics,
} from "./text-statistics.ts";
import { eligibleRows } from "./vector-scope.ts";
import {
	candidatesOf,
	comparable,
	counted,
	fewRows,
	inScope,
	margin,
	maxSaturation,
	rowsOfScope,
	saturation,
	scannedPostings,
	type TextScope,
	tenantOf,
} from "./word-postings.ts";

/** A search of a table by words. */
export interface TextSearch {
	readonly query: string;
	readonly language: string;
	readonly statistics: WordStatistics;
}

/** Words of a query that are looked for: the first. */
const maxWords = 32;
/**
 * Of a query in pairs of letters: a word is several of them, and a question in Thai has 45.
 * With 32 pairs nDCG@10 of such questions was 0.901, with 64 it was 0.948 (decision 94).
 */
const maxPairs = 64;

/**
 * A CTE `texts` of the rows that contain any of the query's words, with `rank` and
 * `score`: BM25 (k1 = 1.2, b = 0.75), with the rows and the average length of the
 * tenant. Words are stored, and read word by word from their index; where there
 * is none yet each row's words are read once, and computed where they are not
 * stored or of another language.
 */
export function textCtes(scope: TextScope, search: TextSearch): Sql {
	const { statistics } = search;
	const isStored = readsStoredWords(search);
	const indexed =
		isStored && usesIndex(scope, statistics) ? statistics.large : undefined;
	const known = knownWords(search, {
		minRows:
			indexed === undefined ? minFrequent * (statistics.large?.rows ?? 0) : 0,
	});
	const isInParts =
		isStored &&
		indexed === undefined &&
		known.length > 0 &&
		scope.where === undefined;
	const ranked =
		indexed === undefined
			? scannedWords(scope, search, { isStored, isInParts })
			: indexedWords(scope, indexed);
	return sql`query_words AS MATERIALIZED (
  SELECT row_number() OVER () AS no, w.*${isInParts ? raw(frequentAmongAll) : empty} FROM (
    SELECT w.lexeme, ${raw(isInParts ? "NULL::float8 AS known, k.rows IS NOT NULL AS is_known" : "k.rows AS known")}, ('''' || replace(replace(w.lexeme, E'\\\\', E'\\\\\\\\'), '''', '''''') || ''''
      || CASE WHEN w.lexeme ~ ${isSingleCharacter} THEN ':*' ELSE '' END)::tsquery AS query
    FROM unnest(${wordsOf(scope.table.schema, {
			language: sql`${literal(search.language)}::regconfig`,
			text: sql`${textOf(search.query)}::text`,
			isQuery: true,
		})}) AS w
    LEFT JOIN ${indexed !== undefined || isInParts ? wordList(known) : wordList([])} AS k (lexeme, rows) ON k.lexeme = w.lexeme
    ORDER BY ${isInParts ? empty : raw("k.rows NULLS FIRST, ")}w.positions[1], w.lexeme
    LIMIT ${raw(String(hasPairedLetters(search.query) ? maxPairs : maxWords))}
  ) AS w
), ${scope.where === undefined ? empty : filteredRows(scope)}${ranked}`;
}

interface Scan {
	/** Whether the stored words are read. */
	readonly isStored: boolean;
	/** Whether rows of frequent words alone come last. */
	readonly isInParts: boolean;
}

/** The CTEs behind `query_words` that rank rows which are read one by one. */
function scannedWords(
	scope: TextScope,
	search: TextSearch,
	{ isStored, isInParts }: Scan,
): Sql {
	const { large } = search.statistics;
	const ofScope = scannedPostings(
		isStored ? storedRows(scope) : computedRows(scope, search),
		{ ofWords: isInParts ? sql` WHERE NOT w.is_frequent` : empty },
	);
	const postings =
		isStored && scope.where !== undefined
			? sql`${scannedPostings(fewRows(scope))}
  UNION ALL
  ${ofScope}`
			: ofScope;
	const statistics =
		large === undefined
			? countedStatistics(scope, isStored)
			: sql`SELECT ${rowsOfScope(scope, sql`${large.rows}::float8`)} AS rows, ${large.averageLength}::float8 AS average`;
	const found = isInParts
		? foundInParts(scope)
		: sql`found AS MATERIALIZED (
  ${bestOf(scope, raw("postings"))}
)`;
	return sql`postings AS MATERIALIZED (
  ${postings}
), statistics AS MATERIALIZED (
  ${statistics}
), weighed_words AS MATERIALIZED (
  SELECT w.no, ln(1 + (greatest(s.rows, n.rows) - n.rows + 0.5) / (n.rows + 0.5)) AS weight
  FROM query_words AS w CROSS JOIN statistics AS s
  LEFT JOIN (${isInParts ? countedInParts(scope) : raw("SELECT p.no, count(*)::float8 AS rows FROM postings AS p GROUP BY p.no")}) AS c ON c.no = w.no
  CROSS JOIN LATERAL (SELECT coalesce(w.known, c.rows) AS rows) AS n
  WHERE n.rows > 0
), average AS MATERIALIZED (
  SELECT coalesce(nullif((SELECT s.average FROM statistics AS s), 0), (SELECT avg(p.length) FROM postings AS p))::float8 AS length
), ${found}, texts AS (
  SELECT t.entity_id, t.score, row_number() OVER () AS rank FROM (
    SELECT f.entity_id, ${comparable("f.score")} AS score FROM found AS f
    ORDER BY score DESC, f.entity_id
    LIMIT ${scope.limit}
  ) AS t
)`;
}

/** Whether words are read as they are stored: all of them, or as many as there are while the others are too many to be computed. */
function readsStoredWords({ statistics, language }: TextSearch): boolean {
	const { isFilled, isPartial } = statistics;
	return (isFilled || isPartial) && statistics.language === language;
}

/** Whether rows are missing that have the words, and rows found that had them once. */
export function isPartial(search: TextSearch): boolean {
	return readsStoredWords(search) && search.statistics.isPartial;
}

/** Behind row level security PostgreSQL uses no index for words: they are read row by row. */
function usesIndex({ table }: TextScope, statistics: WordStatistics): boolean {
	return (
		statistics.isIndexed &&
		statistics.large !== undefined &&
		table.hasRowSecurity !== true
	);
}

/** The words are as many as are looked for: the rest of a long query is not read. */
const maxQueryCharacters = 8192;

function textOf(query: string): string {
	return query.slice(0, maxQueryCharacters).toWellFormed();
}

/** Words of the query, and some that begin as these do, which the sample knows to be in more rows than are read of one. */
function knownWords(
	{ query, statistics: { large } }: TextSearch,
	{ minRows }: { readonly minRows: number },
): FrequentWord[] {
	const starts = new Set(
		(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map(startOf),
	);
	return [...starts]
		.flatMap((start) => large?.frequent.get(start) ?? [])
		.filter(({ rows }) => rows >= minRows);
}

function wordList(known: readonly FrequentWord[]): Sql {
	if (known.length === 0)
		return sql`(SELECT NULL::text, NULL::float8 WHERE FALSE)`;
	return sql`unnest(${arrayLiteral(known.map(({ word }) => word))}::text[], ${arrayLiteral(known.map(({ rows }) => String(rows)))}::float8[])`;
}

function storedRows(scope: TextScope): Sql {
	return sql`SELECT e.entity_id, e.length, e.words FROM ${wordsRef(scope.table)} AS e WHERE ${inScope(scope)} AND e.words @@ any_word.query`;
}

/**
 * Words in more of a tenant's rows than this share are frequent, where no index finds
 * the others: their rows are nearly all rows, and to count each of their words takes
 * most of the search.
 */
const minFrequent = 0.2;

/** Where all words that are searched for are frequent, none is. */
const frequentAmongAll =
	", w.is_known AND NOT bool_and(w.is_known) OVER () AS is_frequent";

/** In how many rows each word is, where postings are those of rows with a word that is not frequent. */
function countedInParts(scope: TextScope): Sql {
	return sql`SELECT p.no, count(*)::float8 AS rows FROM postings AS p JOIN query_words AS q ON q.no = p.no AND NOT q.is_frequent GROUP BY p.no
    UNION ALL
    SELECT q.no, (SELECT count(*) FROM ${wordsRef(scope.table)} AS e WHERE ${inScope(scope)} AND e.words @@ q.query)::float8 FROM query_words AS q WHERE q.is_frequent`;
}

/**
 * The best of the rows with a word that is not frequent. Those that have frequent ones
 * alone are read only where they may be among the best: the score of each is
 * below k1 + 1 times the weight of these words.
 */
function foundInParts(scope: TextScope): Sql {
	const { table, limit } = scope;
	return sql`found_first AS MATERIALIZED (
  ${bestOf(scope, raw("postings"))}
), others AS MATERIALIZED (
  SELECT w.no, e.entity_id, e.length, ${counted("e")}
  FROM (SELECT string_agg(w.query::text, ' | ') FILTER (WHERE w.is_frequent)::tsquery AS frequent,
    string_agg(w.query::text, ' | ') FILTER (WHERE NOT w.is_frequent)::tsquery AS others FROM query_words AS w) AS any_word
  CROSS JOIN LATERAL (SELECT e.entity_id, e.length, e.words FROM ${wordsRef(table)} AS e WHERE ${inScope(scope)} AND e.words @@ any_word.frequent AND NOT e.words @@ any_word.others) AS e
  CROSS JOIN LATERAL (SELECT w.no, w.query FROM query_words AS w WHERE w.is_frequent AND e.words @@ w.query OFFSET 0) AS w
  WHERE EXISTS (SELECT FROM query_words AS w WHERE w.is_frequent) AND (SELECT count(*) FROM found_first AS f WHERE f.score > (
    SELECT ${raw(String(maxSaturation))} * sum(w.weight) + ${margin} FROM weighed_words AS w JOIN query_words AS q ON q.no = w.no AND q.is_frequent)) < ${limit}
), found AS MATERIALIZED (
  SELECT f.* FROM (SELECT f.* FROM found_first AS f UNION ALL (${bestOf(scope, raw("others"))})) AS f
  ORDER BY f.score DESC, f.entity_id
  LIMIT ${raw(String(candidatesOf(scope)))}
)`;
}

/** Rows by the score of their postings, those of rows far down left out. */
function bestOf(scope: TextScope, postings: Sql): Sql {
	return sql`SELECT p.entity_id, sum(w.weight * ${saturation("p", raw("a.length"))}) AS score
  FROM ${postings} AS p JOIN weighed_words AS w ON w.no = p.no CROSS JOIN average AS a
  GROUP BY p.entity_id
  ORDER BY score DESC, p.entity_id
  LIMIT ${raw(String(candidatesOf(scope)))}`;
}

/**
 * The rows of a filter come first, as in a search of vectors: up to so many their
 * words are looked up one by one, whatever the tenant's size.
 */
const maxFiltered = 1000;

function filteredRows(scope: TextScope): Sql {
	return sql`filtered AS MATERIALIZED (
  SELECT r.id FROM ${tableRef(scope.table)} AS r WHERE ${eligibleRows(scope)} LIMIT ${raw(String(maxFiltered + 1))}
), few AS MATERIALIZED (
  SELECT count(*)::float8 AS rows, count(*) <= ${raw(String(maxFiltered))} AS is_few FROM filtered
), `;
}

/** Words that are not stored, or of another language, are made for the search. */
function computedRows(
	scope: TextScope,
	{ language, statistics }: TextSearch,
): Sql {
	const { table } = scope;
	const text = textOfColumns(wordColumns(table.entity), "r");
	const computed = wordsOf(table.schema, {
		language: sql`${literal(language)}::regconfig`,
		text,
	});
	const isOwn = statistics.language === language;
	const stored = isOwn
		? sql`LEFT JOIN ${wordsRef(table)} AS s ON s.entity_id = r.id AND s.version = ${statistics.version}`
		: empty;
	return sql`SELECT t.entity_id, (SELECT coalesce(sum(cardinality(u.positions)), 0) FROM unnest(t.words) AS u)::integer AS length, t.words FROM (
    SELECT r.id AS entity_id, ${isOwn ? sql`coalesce(s.words, ${computed})` : computed} AS words
    FROM ${tableRef(table)} AS r ${stored} WHERE ${eligibleRows(scope)} OFFSET 0
  ) AS t WHERE t.words @@ any_word.query`;
}

/** Of a tenant that is read whole: so many rows are counted in no time. */
function countedStatistics(scope: TextScope, isStored: boolean): Sql {
	if (isStored)
		return sql`SELECT ${rowsOfScope(scope, raw("c.rows"))} AS rows, c.average
  FROM (SELECT (count(*) FILTER (WHERE TRUE${userCondition("e", scope)}))::float8 AS rows, avg(e.length)::float8 AS average
    FROM ${wordsRef(scope.table)} AS e WHERE e.tenant_id = ${tenantOf(scope)}) AS c`;
	const all = sql`(SELECT count(*) FROM ${tableRef(scope.table)} AS r WHERE ${eligibleRows({ ...scope, where: undefined })})::float8`;
	return sql`SELECT ${rowsOfScope(scope, all)} AS rows, NULL::float8 AS average`;
}
