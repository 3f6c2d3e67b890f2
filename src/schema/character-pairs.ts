import { unspacedRunSql } from "../models/unspaced-scripts.ts";
import { ident, literal, type Sql, sql } from "../sql.ts";

/** The function that returns the pairs of letters of a text. */
export function characterPairsRef(schema: string): Sql {
	return ident(schema, "rem_character_pairs");
}

/**
 * Trigrams find a word by its beginning, which spaces mark. Of scripts without
 * spaces a text is found by its pairs of neighbouring letters; the last letter of
 * each run is stored alone, so that every letter begins a lexeme.
 */
export function characterPairsDdl(schema: string): Sql {
	return sql`-- Neighbouring letters of Chinese, Japanese, Thai and other texts without spaces, to find parts of them by.
CREATE OR REPLACE FUNCTION ${characterPairsRef(schema)}(value TEXT) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_to_tsvector(coalesce(array_agg(DISTINCT pair), '{}')) FROM (
  SELECT letter || coalesce(lead(letter) OVER (PARTITION BY run ORDER BY place), '') AS pair
  FROM regexp_matches(normalize(value, NFKC), ${literal(unspacedRunSql)}, 'g') WITH ORDINALITY AS runs (texts, run),
    unnest(string_to_array(texts[1], NULL)) WITH ORDINALITY AS letters (letter, place)
) AS pairs);
`;
}

/** Which texts can have pairs at all: those with a character outside ASCII. Part of the index and of what it answers. */
export function hasPairs(text: Sql): Sql {
	return sql`octet_length(${text}) <> char_length(${text})`;
}
