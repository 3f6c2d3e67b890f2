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

CREATE TABLE IF NOT EXISTS "public"."rem_migrations" (
  name TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL,
  applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_by TEXT NOT NULL DEFAULT current_user,
  duration_ms INTEGER NOT NULL
);
COMMENT ON TABLE "public"."rem_migrations" IS 'remdb: internal';