import { createHash } from "node:crypto";
import { ident, literal, type Sql, sql, toText } from "../sql.ts";

/**
 * Characters that cannot be seen: Unicode's property Default_Ignorable_Code_Point
 * (soft hyphen, zero-width space and joiners, byte order mark, variation
 * selectors, tags). A key that a model writes has them now and then.
 */
const invisible =
	"\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff";

/** What stands for an apostrophe: grave, acute, quotation marks, primes, modifier letters. */
const apostrophes =
	"`\\u02b9\\u02bb-\\u02bd\\u02c8\\u055a\\u05f3\\u07f4\\u07f5\\u2018\\u2019\\u201a\\u201b\\u2032\\u2035\\ua78b\\ua78c";

/** Unicode's property Dash, and the characters that look like one; NFKC writes the others with these. */
const dashes =
	"\\u02d7\\u058a\\u05be\\u1400\\u1806\\u2010-\\u2015\\u2043\\u2053\\u2212\\u2e17\\u2e1a\\u2e3a\\u2e3b\\u2e40\\u2e5d\\u301c\\u3030\\u30a0\\U00010d6e\\U00010ead";

/**
 * One form for every spelling of a key: Unicode's compatibility caseless match
 * (The Unicode Standard, D146: NFD, fold, NFKD, fold; the result in NFKC), without
 * what cannot be seen, with one apostrophe, and with one hyphen for each run of
 * spaces, underscores and dashes. The acute accent is replaced early: NFKC makes
 * it a space and a combining mark. Each function here is strict and the key is
 * used once: so PostgreSQL inlines the whole.
 */
const body = sql`rtrim(left(ltrim(
  regexp_replace(regexp_replace(
    normalize(casefold(normalize(replace(casefold(normalize(
      regexp_replace(key COLLATE pg_unicode_fast, ${literal(`[${invisible}]+`)}, '', 'g'),
    NFD)), chr(180), ''''), NFKD)), NFKC),
  ${literal(`[${apostrophes}]`)}, '''', 'g'), ${literal(`[\\s_${dashes}-]+`)}, '-', 'g'),
'-'), 255), '-')`;

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
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ${body};
COMMENT ON FUNCTION ${fn}(TEXT) IS ${literal(version)};
`;
}
