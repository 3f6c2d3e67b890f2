-- Extensions, functions and the ledger of migrations.
-- vector needs a superuser (or a role that may create it); the others are trusted.
DO $do$
DECLARE
  rem_place TEXT := CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND has_schema_privilege(oid, 'USAGE'))
    THEN 'public' ELSE 'public' END;
BEGIN
  EXECUTE format('CREATE EXTENSION IF NOT EXISTS vector SCHEMA %I', rem_place);
  EXECUTE format('CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA %I', rem_place);
  EXECUTE format('CREATE EXTENSION IF NOT EXISTS btree_gin SCHEMA %I', rem_place);
END $do$;

DO $do$
DECLARE
  rem_function REGPROCEDURE := to_regprocedure('"public"."rem_normalize_key"(text)');
  rem_index REGCLASS;
BEGIN
  IF rem_function IS NULL OR obj_description(rem_function, 'pg_proc') = 'remdb: keys 3589c703a72535d0' THEN RETURN; END IF;
  FOR rem_index IN
    SELECT c.oid::regclass FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'i'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_proc'::regclass
      AND d.refobjid IN (rem_function, to_regprocedure('"public"."rem_edge_keys"(jsonb)'))
  LOOP
    EXECUTE format('DROP INDEX %s', rem_index);
  END LOOP;
  IF to_regclass('"public"."kv_store"') IS NOT NULL THEN
    TRUNCATE "public"."kv_store", "public"."kv_state";
  END IF;
END $do$;

-- One spelling for "Sarah Chen", "sarah-chen" and "SARAH_CHEN". Only this
-- function normalises keys, so that no two places can differ.
CREATE OR REPLACE FUNCTION "public"."rem_normalize_key"(key TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(key) = length(key) THEN rtrim(left(ltrim(
  regexp_replace(translate(lower(left(key, 2048) COLLATE pg_unicode_fast), '`', ''''), E'[\\s_-]+', '-', 'g'),
'-'), 255), '-') ELSE rtrim(left(ltrim(
  regexp_replace(regexp_replace(
    normalize(casefold(normalize(casefold(normalize(
      regexp_replace(left(key, 2048) COLLATE pg_unicode_fast, E'[\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]+', '', 'g'),
    NFD)), NFKD)), NFKC),
  E' [\\u0301\\u0313-\\u0314]|[\\u0060\\u02b9\\u02bb-\\u02bf\\u02c8\\u02ca-\\u02cb\\u02f4\\u0559-\\u055a\\u05f3\\u07f4-\\u07f5\\u2018-\\u201b\\u2032\\u2035\\u275b-\\u275c\\ua78b-\\ua78c]', '''', 'g'), E'[\\s_\\u002d\\u02d7\\u058a\\u05be\\u1400\\u1806\\u2010-\\u2015\\u2043\\u2052-\\u2053\\u2212\\u23af\\u2448\\u2500-\\u2501\\u2796\\u2e17\\u2e1a\\u2e3a-\\u2e3b\\u2e40\\u2e5d\\u301c\\u3030\\u30a0\\U00010d6e\\U00010ead]+', '-', 'g'),
'-'), 255), '-') END;
COMMENT ON FUNCTION "public"."rem_normalize_key"(TEXT) IS 'remdb: keys 3589c703a72535d0';


-- Pairs of characters of the scripts that put no spaces between words.
CREATE OR REPLACE FUNCTION "public"."rem_pairs"(rem_text TEXT, rem_is_query BOOLEAN) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(string_agg(''''||p.pair||''':'||least(p.place, 16383), ' '), '')::tsvector FROM (
  SELECT c.mark || coalesce(lead(c.mark) OVER run, '') AS pair, row_number() OVER () AS place,
    lead(c.mark) OVER run IS NULL AND rem_is_query AND lag(c.mark) OVER run IS NOT NULL AS is_end
  FROM regexp_matches(rem_text, E'[\\u0e01-\\u0e3a\\u0e40-\\u0e4e\\u0e81-\\u0ece\\u0edc-\\u0edf\\u1000-\\u103f\\u1050-\\u109d\\u1780-\\u17d3\\u3005-\\u3007\\u3041-\\u3096\\u309d-\\u309f\\u30a1-\\u30fa\\u30fc-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\U00020000-\\U0003ffff\\u0e3b-\\u0e3f\\u0e4f-\\u0e80\\u0ecf-\\u0edb\\u0ee0-\\u0eff\\u0f00-\\u0fff\\u1040-\\u104f\\u109e-\\u109f\\u17d4-\\u17ff\\u3097-\\u309c\\u30a0\\u30fb\\uac00-\\ud7af\\uff66-\\uff9f]+', 'g') WITH ORDINALITY AS r (run, no),
    unnest(string_to_array(r.run[1], NULL)) WITH ORDINALITY AS c (mark, at)
  WINDOW run AS (PARTITION BY r.no ORDER BY c.at)
) AS p WHERE NOT p.is_end);
-- The words of a text: of a document, and of a query.
CREATE OR REPLACE FUNCTION "public"."rem_words"(rem_language REGCONFIG, rem_text TEXT, rem_is_query BOOLEAN) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(rem_text) <> char_length(rem_text) AND rem_text ~ E'[\\u0e01-\\u0e3a\\u0e40-\\u0e4e\\u0e81-\\u0ece\\u0edc-\\u0edf\\u1000-\\u103f\\u1050-\\u109d\\u1780-\\u17d3\\u3005-\\u3007\\u3041-\\u3096\\u309d-\\u309f\\u30a1-\\u30fa\\u30fc-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\U00020000-\\U0003ffff\\u0e3b-\\u0e3f\\u0e4f-\\u0e80\\u0ecf-\\u0edb\\u0ee0-\\u0eff\\u0f00-\\u0fff\\u1040-\\u104f\\u109e-\\u109f\\u17d4-\\u17ff\\u3097-\\u309c\\u30a0\\u30fb\\uac00-\\ud7af\\uff66-\\uff9f\\u3000-\\u303f\\uff00-\\uffef]'
  THEN to_tsvector(rem_language, regexp_replace(regexp_replace(
      CASE WHEN rem_text ~ '[０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ]' THEN translate(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(rem_text, '-', ' '), '/', ' '), '.', ' '), '_', ' '), '@', ' '), '<', ' '), '&', ' '), '+', ' '), '~', ' '), ':', ' '), '=', ' '), '０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ', '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz') ELSE replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(rem_text, '-', ' '), '/', ' '), '.', ' '), '_', ' '), '@', ' '), '<', ' '), '&', ' '), '+', ' '), '~', ' '), ':', ' '), '=', ' ') END,
      E'[\\u0e01-\\u0e3a\\u0e40-\\u0e4e\\u0e81-\\u0ece\\u0edc-\\u0edf\\u1000-\\u103f\\u1050-\\u109d\\u1780-\\u17d3\\u3005-\\u3007\\u3041-\\u3096\\u309d-\\u309f\\u30a1-\\u30fa\\u30fc-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\U00020000-\\U0003ffff\\u0e3b-\\u0e3f\\u0e4f-\\u0e80\\u0ecf-\\u0edb\\u0ee0-\\u0eff\\u0f00-\\u0fff\\u1040-\\u104f\\u109e-\\u109f\\u17d4-\\u17ff\\u3097-\\u309c\\u30a0\\u30fb\\uac00-\\ud7af\\uff66-\\uff9f\\u3000-\\u303f\\uff00-\\uffef]+', ' ', 'g'), E'\\S{255}', E'\\& ', 'g'))
    || "public"."rem_pairs"(rem_text, rem_is_query)
  ELSE to_tsvector(rem_language, regexp_replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(rem_text, '-', ' '), '/', ' '), '.', ' '), '_', ' '), '@', ' '), '<', ' '), '&', ' '), '+', ' '), '~', ' '), ':', ' '), '=', ' '), E'\\S{255}', E'\\& ', 'g'))
END;

-- The normalised targets of a row's edges, for an index on inbound edges.
CREATE OR REPLACE FUNCTION "public"."rem_edge_keys"(edges JSONB) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_agg(DISTINCT "public"."rem_normalize_key"(edge ->> 'dst'))
  FROM jsonb_array_elements(CASE jsonb_typeof(edges) WHEN 'array' THEN edges ELSE '[]' END) AS edge
  WHERE edge ->> 'dst' IS NOT NULL);

-- Whether queries can use an index: a function, because a statement that reads the
-- catalogue beside our tables would be cut in two by Citus.
CREATE OR REPLACE FUNCTION "public"."rem_is_usable"(rem_index TEXT) RETURNS BOOLEAN
LANGUAGE sql STABLE STRICT
RETURN EXISTS (SELECT FROM pg_catalog.pg_index AS x WHERE x.indexrelid = to_regclass(rem_index) AND (x.indisvalid AND x.indisready));

-- Edges added to those that are there: one of the same dst and rel_type takes the old one's place.
CREATE OR REPLACE FUNCTION "public"."rem_merge_edges"(edges JSONB, added JSONB) RETURNS JSONB
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
  WITH new AS (
    SELECT DISTINCT ON (edge ->> 'dst', edge ->> 'rel_type') edge, place
    FROM jsonb_array_elements(added) WITH ORDINALITY AS a (edge, place)
    ORDER BY edge ->> 'dst', edge ->> 'rel_type', place DESC
  ), merged AS (
    SELECT coalesce(n.edge, o.edge) AS edge, o.place
    FROM jsonb_array_elements(edges) WITH ORDINALITY AS o (edge, place)
    LEFT JOIN new AS n ON n.edge ->> 'dst' = o.edge ->> 'dst' AND n.edge ->> 'rel_type' = o.edge ->> 'rel_type'
    UNION ALL
    SELECT n.edge, jsonb_array_length(edges) + n.place FROM new AS n
    WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(edges) AS o (edge)
      WHERE n.edge ->> 'dst' = o.edge ->> 'dst' AND n.edge ->> 'rel_type' = o.edge ->> 'rel_type')
  )
  SELECT coalesce(jsonb_agg(edge ORDER BY place), '[]') FROM merged;
END;

CREATE TABLE IF NOT EXISTS "public"."rem_migrations" (
  name TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL,
  applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_by TEXT NOT NULL DEFAULT current_user,
  -- NULL while a file that is no transaction is under way: statements_done is the number of those that ran.
  duration_ms INTEGER,
  statements_done INTEGER,
  -- What the catalogue said of the table afterwards, in short.
  catalogue TEXT
);
COMMENT ON TABLE "public"."rem_migrations" IS 'remdb: internal';