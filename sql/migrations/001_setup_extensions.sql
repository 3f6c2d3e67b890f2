-- Extensions, functions and the ledger of migrations.
-- vector needs a superuser (or a role that may create it); the others are trusted.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- One spelling for "Sarah Chen", "sarah-chen" and "SARAH_CHEN". Only this
-- function normalises keys, so that no two places can differ.
CREATE OR REPLACE FUNCTION "public"."rem_normalize_key"(key TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN left(btrim(regexp_replace(
  casefold(normalize(key, NFKC) COLLATE pg_unicode_fast),
  '[\s_-]+', '-', 'g'), '-'), 255);

-- The normalised targets of a row's edges, for an index on inbound edges.
CREATE OR REPLACE FUNCTION "public"."rem_edge_keys"(edges JSONB) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_agg(DISTINCT "public"."rem_normalize_key"(edge ->> 'dst'))
  FROM jsonb_array_elements(CASE jsonb_typeof(edges) WHEN 'array' THEN edges ELSE '[]' END) AS edge
  WHERE edge ->> 'dst' IS NOT NULL);

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
  -- NULL while a file that is no transaction is under way: statements_done says how far.
  duration_ms INTEGER,
  statements_done INTEGER,
  -- What the catalogue said of the table afterwards, in short.
  catalogue TEXT
);
COMMENT ON TABLE "public"."rem_migrations" IS 'remdb: internal';