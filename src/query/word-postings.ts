import { tableRef, wordsRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import { empty, raw, type Sql, sql } from "../sql.ts";
import { userCondition } from "./scope.ts";
import type { SearchContext } from "./search-context.ts";
import { eligibleRows } from "./vector-scope.ts";

/** Where words are searched. */
export type TextScope = Pick<
	SearchContext,
	"table" | "tenantId" | "userId" | "where" | "limit"
>;

/** As in Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009). */
const k1 = 1.2;
const b = 0.75;

/** A row scores less than so many times the weight of the words that it has. */
export const maxSaturation = k1 + 1;

/** Rows that are ranked by all words of the query, frequent ones too. */
const candidates = 200;

export function candidatesOf({ limit }: TextScope): number {
	return Math.max(candidates, 2 * limit);
}

export function tenantOf({ table, tenantId }: TextScope): string {
	return table.entity.tenantScoped ? tenantId : sharedTenant;
}

/** Stored words `e` of the scope's rows. */
export function inScope(scope: TextScope): Sql {
	const { table, where } = scope;
	const filter =
		where === undefined
			? empty
			: sql` AND NOT (SELECT f.is_few FROM few AS f) AND EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = e.entity_id AND ${eligibleRows(scope)})`;
	return sql`e.tenant_id = ${tenantOf(scope)}${userCondition("e", scope)}${filter}`;
}

/**
 * The rows among which a word is rare or not. Of few rows that fulfil a filter each word
 * is counted: among all of the tenant's, a word that each of them has would weigh like
 * one that hardly any has.
 */
export function rowsOfScope({ where }: TextScope, ofTenant: Sql): Sql {
	return where === undefined
		? ofTenant
		: sql`(SELECT CASE WHEN f.is_few THEN f.rows ELSE ${ofTenant} END FROM few AS f)`;
}

/**
 * How often the row has the word. `ts_rank` of a single word is the sum of 1 / i²
 * over its n occurrences, divided by π² / 6. What is left to 1 is 1 / (n + ½) /
 * (π² / 6) within 3 %: so n is that, rounded.
 */
export function counted(row: string): Sql {
	return raw(
		`round(0.6079271 / greatest(1 - ts_rank('{1,1,1,1}'::real[], ${row}.words, w.query)::float8, 0.001) - 0.5) AS occurrences`,
	);
}

interface ScannedPostings {
	/** Which of the query's words `w` a row must have one of. */
	readonly ofWords?: Sql;
	/** Further columns of the row `e`, each with a comma behind it. */
	readonly columns?: Sql;
}

/** Each row read once, and of those that contain any of the words each word. */
export function scannedPostings(
	rows: Sql,
	{ ofWords = empty, columns = empty }: ScannedPostings = {},
): Sql {
	return sql`SELECT w.no, e.entity_id, e.length, ${columns}${counted("e")}
  FROM (SELECT string_agg(w.query::text, ' | ')::tsquery AS query FROM query_words AS w${ofWords}) AS any_word
  CROSS JOIN LATERAL (${rows}) AS e
  CROSS JOIN LATERAL (SELECT w.no, w.query FROM query_words AS w WHERE e.words @@ w.query OFFSET 0) AS w`;
}

/** Those of a filter, where they are few. */
export function fewRows({ table }: TextScope): Sql {
	return sql`SELECT e.entity_id, e.length, e.words FROM ${wordsRef(table)} AS e
    WHERE (SELECT f.is_few FROM few AS f) AND e.entity_id = ANY (ARRAY(SELECT f.id FROM filtered AS f)) AND e.words @@ any_word.query`;
}

/** The part of a word's weight that it brings: more for each occurrence, less and less so, and less in a long text. */
export function saturation(posting: string, averageLength: Sql): Sql {
	const n = raw(`${posting}.occurrences`);
	return sql`(${raw(String(maxSaturation))} * ${n} / (${n} + ${raw(String(k1 * (1 - b)))} + ${raw((k1 * b).toFixed(3))}::float8 * ${raw(posting)}.length / ${averageLength}))`;
}

/** A score as it is compared: sums in another order differ behind these digits. */
export function comparable(score: string): Sql {
	return raw(`round(${score} * 1000000) / 1000000`);
}

/** More than two scores can differ in being compared. */
export const margin = raw("0.00001");
