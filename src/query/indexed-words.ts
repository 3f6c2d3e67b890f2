import { wordsRef } from "../db/tables.ts";
import { empty, join, raw, type Sql, sql } from "../sql.ts";
import { type LargeTenant, maxRowsOfWord } from "./text-statistics.ts";
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
} from "./word-postings.ts";

/**
 * The CTEs behind `query_words` that rank the rows of a large tenant by the index of
 * words. Of each word that is not known to be frequent its rows are read, and those that
 * can be among the best are scored by all words. Rows that have frequent words alone are
 * read only where they can be among the best: such a row scores less than k1 + 1 times
 * the weight of its words. Where all of them were read, 30 % more time was spent.
 */
export function indexedWords(scope: TextScope, large: LargeTenant): Sql {
	const averageLength = sql`${large.averageLength || 1}::float8`;
	const hasFrequent = large.frequent.size > 0;
	const rows = hasFrequent
		? sql`SELECT s.entity_id, s.score FROM scored AS s
    UNION
    SELECT c.entity_id, ${wholeScore(averageLength)} AS score FROM (${rowsOfFrequent(scope)}) AS c`
		: sql`SELECT s.entity_id, s.score FROM scored AS s`;
	return sql`postings AS MATERIALIZED (
  ${postingsOf(scope)}
), weighed_words AS MATERIALIZED (
  SELECT w.no, w.lexeme, w.query, w.known IS NOT NULL AS is_frequent, w.known IS NOT NULL OR n.rows >= ${maxRows} AS is_cut,
    ln(1 + (greatest(n.of_all, n.rows) - n.rows + 0.5) / (n.rows + 0.5)) AS weight
  FROM query_words AS w
  LEFT JOIN (SELECT p.no, count(*)::float8 AS rows FROM postings AS p GROUP BY p.no) AS c ON c.no = w.no
  CROSS JOIN LATERAL (SELECT ${rowsOfWord(scope)} AS rows, ${rowsOfScope(scope, sql`${large.rows}::float8`)} AS of_all) AS n
  WHERE n.rows > 0
), found AS MATERIALIZED (
  SELECT p.entity_id, any_value(p.length) AS length, any_value(p.words) AS words, sum(w.weight * ${saturation("p", averageLength)}) AS score
  FROM postings AS p JOIN weighed_words AS w ON w.no = p.no
  GROUP BY p.entity_id
  ORDER BY score DESC, p.entity_id
  LIMIT ${raw(String(candidatesOf(scope)))}
), scored AS MATERIALIZED (
  SELECT c.entity_id, ${wholeScore(averageLength)} AS score FROM found AS c
  WHERE c.score + ${bound} * (SELECT coalesce(sum(w.weight), 0) FROM weighed_words AS w WHERE w.is_cut) > ${lastOf("found", scope)}
)${hasFrequent ? decidingWords(scope) : empty}, texts AS (
  SELECT t.entity_id, t.score, row_number() OVER () AS rank FROM (
    SELECT c.entity_id, ${comparable("c.score")} AS score FROM (
      ${rows}
    ) AS c
    ORDER BY score DESC, c.entity_id
    LIMIT ${scope.limit}
  ) AS t
)`;
}

/** Of few rows that fulfil a filter the frequent words are counted, too. */
function rowsOfWord({ where }: TextScope): Sql {
	const known = raw("coalesce(w.known, c.rows)");
	return where === undefined
		? known
		: sql`CASE WHEN (SELECT f.is_few FROM few AS f) THEN c.rows ELSE ${known} END`;
}

const maxRows = raw(String(maxRowsOfWord));
const bound = raw(String(maxSaturation));

/** The rows of words that are not known to be frequent, with their words: a row is read once. */
function postingsOf(scope: TextScope): Sql {
	const ofIndex = sql`SELECT w.no, p.* FROM query_words AS w CROSS JOIN LATERAL (
    SELECT e.entity_id, e.length, e.words, ${counted("e")} FROM ${wordsIn(scope)} AND e.words @@ w.query LIMIT ${maxRows}
  ) AS p WHERE w.known IS NULL`;
	if (scope.where === undefined) return ofIndex;
	return sql`${scannedPostings(fewRows(scope), { columns: raw("e.words, ") })}
  UNION ALL
  ${ofIndex}`;
}

function wordsIn(scope: TextScope): Sql {
	return sql`${wordsRef(scope.table)} AS e WHERE ${inScope(scope)}`;
}

/** Of a row `c`, by all words of the query. */
function wholeScore(averageLength: Sql): Sql {
	return sql`(SELECT sum(w.weight * ${saturation("w", averageLength)}) FROM (
    SELECT w.weight, c.length, ${counted("c")} FROM weighed_words AS w WHERE c.words @@ w.query OFFSET 0) AS w)`;
}

/** What a row must score to be among as many as are asked for. */
function lastOf(rows: string, { limit }: TextScope): Sql {
	return sql`coalesce((SELECT f.score FROM ${raw(rows)} AS f ORDER BY f.score DESC OFFSET ${limit} - 1 LIMIT 1), 0) - ${margin}`;
}

/** Of the frequent words those without which a row of frequent words cannot be among the best: none, mostly. */
function decidingWords(scope: TextScope): Sql {
	return sql`, deciding AS MATERIALIZED (
  SELECT w.lexeme FROM (
    SELECT w.lexeme, sum(w.weight) OVER (ORDER BY w.weight, w.no) AS weight FROM weighed_words AS w WHERE w.is_frequent
  ) AS w WHERE ${bound} * w.weight > ${lastOf("scored", scope)}
)`;
}

/**
 * Of rows with frequent words those that have a deciding one three times or more, and those
 * that have the rarest of them together: a row far up has one of both. Each of these is
 * read once: the rows with the three rarest are the first with the two rarest as well,
 * and 200 rows would be few different ones.
 */
function rowsOfFrequent(scope: TextScope): Sql {
	const columns = sql`SELECT e.entity_id, e.length, e.words FROM ${wordsIn(scope)}`;
	const together = [3, 2, 1].map((count) => {
		const words = raw(String(count));
		const read = raw(String(Math.min(count + 1, 3)));
		return sql`(${columns} AND e.words @@ (SELECT string_agg(CASE WHEN k.nth > ${words} THEN '!' ELSE '' END || k.query::text, ' & ')::tsquery FROM (
        SELECT w.query, row_number() OVER (ORDER BY w.weight DESC, w.no) AS nth FROM weighed_words AS w WHERE w.is_frequent AND EXISTS (SELECT FROM deciding) ORDER BY nth LIMIT ${read}
      ) AS k HAVING count(*) >= ${words}) LIMIT ${maxRows})`;
	});
	return sql`SELECT DISTINCT ON (d.entity_id) d.* FROM (
      (${columns} AND e.often && (SELECT array_agg(w.lexeme) FROM deciding AS w) LIMIT ${maxRows})
      UNION ALL
      (SELECT t.* FROM (${join(together, " UNION ALL ")}) AS t LIMIT ${maxRows})
    ) AS d ORDER BY d.entity_id`;
}
