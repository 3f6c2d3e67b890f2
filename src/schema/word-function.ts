import { pairedOrWideSql, pairedSql } from "../models/unspaced-scripts.ts";
import { ident, literal, raw, type Sql, sql } from "../sql.ts";

/** Characters of a run without spaces that are read as one word. */
const maxWordLength = 255;

/** What makes a lexeme a single character of these scripts: it is looked for as the beginning of a pair. */
export const isSingleCharacter = literal(`^[${pairedSql}]$`);

/**
 * Characters at which PostgreSQL's parser would look for an address, a path, a
 * number with a sign or a tag: then parts of it are no words, and it takes the
 * square of a run of them (26 s for 32,768 characters of "a_a_…").
 */
const separators = "-/._@<&+~:=";

/** Latin letters and digits as wide as a Han character are those of other texts. */
const narrow = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const fullWidth = [...narrow]
	.map((mark) => String.fromCodePoint((mark.codePointAt(0) ?? 0) + 0xfee0))
	.join("");

const longRun = literal(`\\S{${maxWordLength}}`);

function pairsRef(schema: string): Sql {
	return ident(schema, "rem_pairs");
}

/**
 * The pairs of a name, by which FUZZY finds parts of it: trigrams find a word by
 * its beginning, which spaces mark. The last character of each run is stored
 * alone, so that every character begins a lexeme.
 */
export function pairsOfName(schema: string, name: Sql): Sql {
	return sql`${pairsRef(schema)}(normalize(${name}, NFKC), FALSE)`;
}

/** Which names can have pairs at all: those with a character outside ASCII. Part of the index and of what it answers. */
export function hasPairs(name: Sql): Sql {
	return sql`octet_length(${name}) <> char_length(${name})`;
}

/**
 * The words of a text, of a document and of a query alike. Of scripts without
 * spaces, each two characters that are side by side are a word, found whatever
 * the database's locale takes for a letter; the last character of a run is one
 * more, so that a query of one character finds it everywhere. Other texts do not
 * pay for it: where bytes and characters are as many, there is none of them.
 */
export function wordFunctionsDdl(schema: string): Sql {
	const pairs = pairsRef(schema);
	const words = ident(schema, "rem_words");
	const text = withoutSeparators(sql`rem_text`);
	// 85 µs for a name of 20 characters; with string_to_table() in place of unnest() 300.
	return sql`
-- Pairs of characters of the scripts that put no spaces between words.
CREATE OR REPLACE FUNCTION ${pairs}(rem_text TEXT, rem_is_query BOOLEAN) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(string_agg(''''||p.pair||''':'||least(p.place, 16383), ' '), '')::tsvector FROM (
  SELECT c.mark || coalesce(lead(c.mark) OVER run, '') AS pair, row_number() OVER () AS place,
    lead(c.mark) OVER run IS NULL AND rem_is_query AND lag(c.mark) OVER run IS NOT NULL AS is_end
  FROM regexp_matches(rem_text, ${literal(`[${pairedSql}]+`)}, 'g') WITH ORDINALITY AS r (run, no),
    unnest(string_to_array(r.run[1], NULL)) WITH ORDINALITY AS c (mark, at)
  WINDOW run AS (PARTITION BY r.no ORDER BY c.at)
) AS p WHERE NOT p.is_end);
-- The words of a text: of a document, and of a query.
CREATE OR REPLACE FUNCTION ${words}(rem_language REGCONFIG, rem_text TEXT, rem_is_query BOOLEAN) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(rem_text) <> char_length(rem_text) AND rem_text ~ ${literal(`[${pairedOrWideSql}]`)}
  THEN to_tsvector(rem_language, ${splitRuns(sql`regexp_replace(
      CASE WHEN rem_text ~ ${literal(`[${fullWidth}]`)} THEN translate(${text}, ${literal(fullWidth)}, ${literal(narrow)}) ELSE ${text} END,
      ${literal(`[${pairedOrWideSql}]+`)}, ' ', 'g')`)})
    || ${pairs}(rem_text, rem_is_query)
  ELSE to_tsvector(rem_language, ${splitRuns(text)})
END;
`;
}

// 7 µs for a text of 1,000 characters, where translate() takes 120: it compares
// each character with each of those that it looks for.
function withoutSeparators(text: Sql): Sql {
	return [...separators].reduce(
		(inner, mark) => sql`replace(${inner}, ${literal(mark)}, ' ')`,
		text,
	);
}

function splitRuns(text: Sql): Sql {
	return sql`regexp_replace(${text}, ${longRun}, ${literal("\\& ")}, 'g')`;
}

/**
 * The words of a document, as the function makes them, without its call: that
 * takes as long as half of the parser's work. `text` is a column, of whose
 * characters most need none of the function's other steps.
 */
export function wordsOfColumn(
	schema: string,
	{ language, text }: { readonly language: Sql; readonly text: Sql },
): Sql {
	return sql`CASE WHEN (octet_length(${text}) = char_length(${text}) OR ${text} !~ ${literal(`[${pairedOrWideSql}]`)}) AND NOT ${mayHaveLongRun(text)}
  THEN to_tsvector(${language}, ${withoutSeparators(text)})
  ELSE ${wordsOf(schema, { language, text })} END`;
}

/**
 * A run of 255 characters without spaces contains a whole one of the blocks of so
 * many bytes that a text has. 3 µs for 1,100 characters: a regular expression
 * takes 14, and a part of a text, which is counted in characters, 30.
 */
function mayHaveLongRun(text: Sql): Sql {
	const block = raw(String((maxWordLength + 1) / 2));
	return sql`EXISTS (SELECT FROM (SELECT convert_to(${text}, 'UTF8') AS bytes OFFSET 0) AS encoded, generate_series(1, octet_length(${text}) - ${block} + 1, ${block}) AS at
    WHERE position(' '::bytea IN substr(encoded.bytes, at, ${block})) = 0)`;
}

/** The call of it. */
export function wordsOf(
	schema: string,
	{
		language,
		text,
		isQuery = false,
	}: { readonly language: Sql; readonly text: Sql; readonly isQuery?: boolean },
): Sql {
	return sql`${ident(schema, "rem_words")}(${language}, ${text}, ${raw(String(isQuery))})`;
}
