import { ident, literal, raw, type Sql, sql } from "../sql.ts";

/** Characters of a run without spaces that are read as one word. */
const maxWordLength = 255;

/**
 * Characters of scripts that put no spaces between words: Thai, Lao, Tibetan,
 * Myanmar, Khmer, kana, Han (extensions too), Hangul, and their half-width forms.
 */
const unspaced =
	"\\u0e01-\\u0eff\\u0f00-\\u0fff\\u1000-\\u109f\\u1780-\\u17ff\\u3005-\\u3007\\u3041-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7af\\uf900-\\ufaff\\uff66-\\uff9f\\U00020000-\\U0003ffff";

/** Their punctuation, which is alphabetic to a database of the locale C; and full-width letters. */
const wide = "\\u3000-\\u303f\\uff00-\\uffef";

/** What makes a lexeme a single character of these scripts: it is looked for as the beginning of a pair. */
export const isSingleCharacter = literal(`^[${unspaced}]$`);

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

/**
 * The words of a text, of a document and of a query alike. Of scripts without
 * spaces, each two characters that stand side by side are a word, found whatever
 * the database's locale takes for a letter; the last character of a run is one
 * more, so that a query of one character finds it everywhere. Other texts do not
 * pay for it: where bytes and characters are as many, there is none of them.
 */
export function wordFunctionsDdl(schema: string): Sql {
	const pairs = ident(schema, "rem_pairs");
	const words = ident(schema, "rem_words");
	return sql`
-- Pairs of characters of the scripts that put no spaces between words.
CREATE OR REPLACE FUNCTION ${pairs}(rem_text TEXT, rem_is_query BOOLEAN) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(string_agg(''''||p.pair||''':'||least(p.place, 16383), ' '), '')::tsvector FROM (
  SELECT c.mark || coalesce(lead(c.mark) OVER run, '') AS pair, row_number() OVER () AS place,
    lead(c.mark) OVER run IS NULL AND rem_is_query AND lag(c.mark) OVER run IS NOT NULL AS is_end
  FROM regexp_matches(rem_text, ${literal(`[${unspaced}]+`)}, 'g') WITH ORDINALITY AS r (run, no),
    string_to_table(r.run[1], NULL) WITH ORDINALITY AS c (mark, at)
  WINDOW run AS (PARTITION BY r.no ORDER BY c.at)
) AS p WHERE NOT p.is_end);
-- The words of a text: of a document, and of a query.
CREATE OR REPLACE FUNCTION ${words}(rem_language REGCONFIG, rem_text TEXT, rem_is_query BOOLEAN) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(rem_text) <> char_length(rem_text) AND rem_text ~ ${literal(`[${unspaced}${wide}]`)}
  THEN to_tsvector(rem_language, ${splitRuns(sql`regexp_replace(translate(rem_text, ${literal(`${fullWidth}${separators}`)}, ${literal(`${narrow}${" ".repeat(separators.length)}`)}),
      ${literal(`[${unspaced}${wide}]+`)}, ' ', 'g')`)})
    || ${pairs}(rem_text, rem_is_query)
  ELSE to_tsvector(rem_language, ${splitRuns(sql`translate(rem_text, ${literal(separators)}, ${literal(" ".repeat(separators.length))})`)})
END;
`;
}

function splitRuns(text: Sql): Sql {
	return sql`regexp_replace(${text}, ${longRun}, ${literal("\\& ")}, 'g')`;
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
