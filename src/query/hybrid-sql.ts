import { tableRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import { fullText, maxWordLength } from "../schema/full-text.ts";
import { empty, literal, raw, type Sql, sql } from "../sql.ts";
import {
	hitColumns,
	indexSettings,
	nearestCtes,
	reachedSql,
} from "./nearest-sql.ts";
import { userCondition } from "./scope.ts";
import type { NearestSearch } from "./search-context.ts";
import { resetSettings, type Settings, settingsCte } from "./settings-sql.ts";
import type { Branch } from "./vector-plan.ts";
import { eligibleRows, isVisible } from "./vector-scope.ts";

/** What the lists of words and of names are made from. */
export interface HybridWords {
	readonly query: string;
	readonly language: string;
	/** Whether the words have an index; without one each row's text is read. */
	readonly isIndexed: boolean;
	/** Whether the query is short enough to be nearly a name. */
	readonly mayBeName: boolean;
	/** Rows of the result; the search's `limit` is how many of each list are ranked against each other. */
	readonly resultRows: number;
}

/**
 * Three lists, each the best of its kind, fused by reciprocal rank (Cormack et
 * al. 2009): a row's score is the sum of 1 / (60 + rank) over the lists it is on.
 */
export function hybridSql(
	search: NearestSearch,
	words: HybridWords,
	branches: readonly Branch[],
	kvStore: Sql | undefined,
): Sql {
	const { table } = search;
	const hasNames = kvStore !== undefined && words.mayBeName;
	const settings = new Map([
		...indexSettings(branches),
		...(hasNames ? nameSettings : []),
	]);
	return sql`WITH ${settingsCte(settings)}${nearestCtes(search, branches)},
${wordCtes(search, words)}${hasNames ? namesCte(search, words, kvStore) : empty},
fused AS (
  SELECT l.entity_id, sum(1.0 / (60 + l.rank)) AS score,
    min(l.rank) FILTER (WHERE l.list = 'vector') AS vector_rank,
    min(l.rank) FILTER (WHERE l.list = 'text') AS text_rank,
    min(l.rank) FILTER (WHERE l.list = 'name') AS name_rank
  FROM (
    SELECT 'vector' AS list, b.entity_id, row_number() OVER (ORDER BY b.distance, b.entity_id) AS rank FROM best AS b
    UNION ALL SELECT 'text', entity_id, rank FROM texts${hasNames ? namesList : empty}
  ) AS l
  GROUP BY l.entity_id
  ORDER BY score DESC, l.entity_id
  LIMIT ${words.resultRows}
)
SELECT ${hitColumns(table, "b")}, f.score::double precision AS rem_score,
  f.vector_rank AS rem_vector, f.text_rank AS rem_words, f.name_rank AS rem_name, ${reachedSql} AS rem_reached${resetSettings(settings, "fused")}
FROM (SELECT) AS always
LEFT JOIN (fused AS f JOIN ${tableRef(table)} AS r ON r.id = f.entity_id AND ${isVisible(search)}) ON TRUE
LEFT JOIN best AS b ON b.entity_id = f.entity_id
ORDER BY f.score DESC, f.entity_id`;
}

const mostWords = 32;
/** A word that more rows have says little, and reading them all takes long. */
const mostRowsOfWord = 10_000;

/**
 * Rows that hold any of the query's words, ranked by how rare the words are that
 * they hold, then by how often. Weights need no text to be read: only the rows
 * at the top are, for the second order.
 */
function wordCtes(search: NearestSearch, words: HybridWords): Sql {
	const { table, limit } = search;
	const { query, language } = words;
	return sql`words AS MATERIALIZED (
  SELECT w.lexeme, ('''' || replace(replace(w.lexeme, E'\\\\', E'\\\\\\\\'), '''', '''''') || '''')::tsquery AS query
  FROM unnest(to_tsvector(${literal(language)}::regconfig, ${wordsOf(query)}::text)) AS w
  ORDER BY w.positions[1], w.lexeme
  LIMIT ${raw(String(mostWords))}
), ${wordRows(search, words)}, counted AS (
  SELECT h.id, count(*) OVER (PARTITION BY h.lexeme) AS rows FROM held AS h
), weighed AS (
  SELECT c.id, round(sum(ln(1 + t.total / c.rows))::numeric, 6) AS weight
  FROM counted AS c, (SELECT count(DISTINCT id)::double precision AS total FROM counted) AS t
  WHERE c.rows <= ${raw(String(mostRowsOfWord))}
  GROUP BY c.id
  ORDER BY weight DESC, c.id
  LIMIT ${4 * limit}
), texts AS (
  SELECT w.id AS entity_id, row_number() OVER (ORDER BY w.weight DESC, ts_rank(${fullText(table.entity, language, "r")}, q.query) DESC, w.id) AS rank
  FROM weighed AS w
  JOIN ${tableRef(table)} AS r ON r.id = w.id
  CROSS JOIN (SELECT string_agg(query::text, ' | ')::tsquery AS query FROM words) AS q
  ORDER BY rank
  LIMIT ${limit}
)`;
}

/** Room for the words that are looked for, each as long as the longest name. */
const mostQueryCharacters = mostWords * maxWordLength;
const longRun = new RegExp(`\\S{${maxWordLength}}`, "gu");

/**
 * The query as PostgreSQL's parser of words gets it: it reads a run without
 * spaces again and again, and took 25 s for 32,768 characters of "a_a_…".
 */
function wordsOf(query: string): string {
	return query
		.slice(0, mostQueryCharacters)
		.replace(longRun, "$& ")
		.toWellFormed();
}

/** Which rows hold which words: from the index word by word, or each row read once. */
function wordRows(
	search: NearestSearch,
	{ isIndexed, language }: HybridWords,
): Sql {
	const { table } = search;
	const text = fullText(table.entity, language, "r");
	if (isIndexed)
		return sql`held AS MATERIALIZED (
  SELECT w.lexeme, r.id FROM words AS w CROSS JOIN LATERAL (
    SELECT r.id FROM ${tableRef(table)} AS r
    WHERE ${eligibleRows(search)} AND ${text} @@ w.query
    LIMIT ${raw(String(mostRowsOfWord + 1))}
  ) AS r
)`;
	return sql`read AS MATERIALIZED (
  SELECT r.id, ${text} AS text FROM ${tableRef(table)} AS r WHERE ${eligibleRows(search)}
), held AS MATERIALIZED (
  SELECT w.lexeme, r.id FROM read AS r JOIN words AS w ON r.text @@ w.query
)`;
}

const namesList = raw(" UNION ALL SELECT 'name', entity_id, rank FROM names");

/** As FUZZY has it when nothing is said. */
const nameSettings: Settings = new Map([
	["pg_trgm.similarity_threshold", "0.3"],
]);

function namesCte(
	search: NearestSearch,
	{ query }: HybridWords,
	kvStore: Sql,
): Sql {
	const { table, limit } = search;
	const { tableName, tenantScoped } = table.entity;
	const tenant = tenantScoped ? search.tenantId : sharedTenant;
	return sql`, names AS (
  SELECT n.entity_id, row_number() OVER (ORDER BY n.score DESC, n.entity_id) AS rank
  FROM settings AS s CROSS JOIN LATERAL (
    SELECT k.entity_id, similarity(k.entity_key, ${query}) AS score FROM ${kvStore} AS k
    WHERE s.is_set AND k.tenant_id = ${tenant} AND k.entity_type = ${tableName}
      AND k.entity_key % ${query}::text${userCondition("k", search)}
      AND EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = k.entity_id AND ${eligibleRows(search)})
    ORDER BY score DESC, k.entity_id
    LIMIT ${limit}
  ) AS n
)`;
}
