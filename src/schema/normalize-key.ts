import { createHash } from "node:crypto";
import {
	apostropheMarks,
	apostrophes,
	dashes,
	sqlClass,
} from "../models/key-characters.ts";
import { limits } from "../models/limits.ts";
import { ident, literal, raw, type Sql, sql, toText } from "../sql.ts";

/**
 * Invisible characters: Unicode's property Default_Ignorable_Code_Point
 * (soft hyphen, zero-width space and joiners, byte order mark, variation
 * selectors, tags). A key that a model writes has them now and then.
 */
const invisible =
	"\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff";

/**
 * One form for every way to write a key: Unicode's compatibility caseless match
 * (The Unicode Standard, D146: NFD, fold, NFKD, fold; the result in NFKC), without
 * invisible characters, with one apostrophe, and with one hyphen for each run of
 * spaces, underscores and dashes. Apostrophes are replaced in the NFKC form, where
 * a spacing accent is a space and a mark: so a key and its NFKC form are one.
 *
 * PostgreSQL takes the square of a run of combining marks to normalise it. Of a key
 * that another program writes, 2,048 characters are read: its form has 255.
 */
const anyText = hyphenated(
	sql`regexp_replace(
    normalize(casefold(normalize(casefold(normalize(
      regexp_replace(${firstCharacters()}, ${literal(`[${invisible}]+`)}, '', 'g'),
    NFD)), NFKD)), NFKC),
  ${literal(` [${sqlClass(apostropheMarks)}]|[${sqlClass(apostrophes)}]`)}, '''', 'g')`,
	`[\\s_${sqlClass(dashes)}]+`,
);

/** The same of ASCII alone, in two fifths of the time: there is nothing to decompose. */
const ascii = hyphenated(
	sql`translate(lower(${firstCharacters()}), '\`', '''')`,
	"[\\s_-]+",
);

/**
 * Without STRICT, which a CASE is not: so PostgreSQL inlines the whole, where what
 * is normalised is cheap to compute.
 */
const body = sql`CASE WHEN octet_length(key) = length(key) THEN ${ascii} ELSE ${anyText} END`;

function firstCharacters(): Sql {
	return sql`left(key, ${raw(String(limits.edgeTargetLength))}) COLLATE pg_unicode_fast`;
}

function hyphenated(text: Sql, gaps: string): Sql {
	return sql`rtrim(left(ltrim(
  regexp_replace(${text}, ${literal(gaps)}, '-', 'g'),
'-'), 255), '-')`;
}

/** Which rules a key was normalised by: what is stored by others has to be made again. */
const version = `remdb: keys ${createHash("sha256").update(toText(body)).digest("hex").slice(0, 16)}`;

/**
 * The function, and before it the removal of what an older version of it left
 * behind: indexes on its results, which are built again afterwards, and the
 * cache, which is rebuilt while reads use the tables.
 */
export function normalizeKeyDdl(schema: string): Sql {
	const fn = ident(schema, "rem_normalize_key");
	const named = (name: string, parameters = "") =>
		literal(`${toText(ident(schema, name))}${parameters}`);
	return sql`DO $do$
DECLARE
  rem_function REGPROCEDURE := to_regprocedure(${named("rem_normalize_key", "(text)")});
  rem_index REGCLASS;
BEGIN
  IF rem_function IS NULL OR obj_description(rem_function, 'pg_proc') = ${literal(version)} THEN RETURN; END IF;
  FOR rem_index IN
    SELECT c.oid::regclass FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'i'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_proc'::regclass
      AND d.refobjid IN (rem_function, to_regprocedure(${named("rem_edge_keys", "(jsonb)")}))
  LOOP
    EXECUTE format('DROP INDEX %s', rem_index);
  END LOOP;
  IF to_regclass(${named("kv_store")}) IS NOT NULL THEN
    TRUNCATE ${ident(schema, "kv_store")}, ${ident(schema, "kv_state")};
  END IF;
END $do$;

-- One spelling for "Sarah Chen", "sarah-chen" and "SARAH_CHEN". Only this
-- function normalises keys, so that no two places can differ.
CREATE OR REPLACE FUNCTION ${fn}(key TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ${body};
COMMENT ON FUNCTION ${fn}(TEXT) IS ${literal(version)};
`;
}
