-- kv_store: every live entity by its natural key, maintained by triggers.
-- An UNLOGGED table is emptied by a crash, a failover or a restore. kv_state is
-- emptied with it: its row 'ready', bound to the file of kv_store, states that the
-- cache is whole, and every LOOKUP checks it in its own statement.
-- Its tables are made by statements of their own, not in a block: Citus spreads a
-- table over its nodes only where the statement comes by itself.
DO $do$
DECLARE
  rem_lock_timeout TEXT := current_setting('lock_timeout');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class WHERE relpersistence <> 'u'
    AND oid IN (to_regclass('"public"."kv_store"'), to_regclass('"public"."kv_state"'))) THEN RETURN; END IF;
  -- From one persistence to the other: an empty table changes at once, a full
  -- one would stop all writers and readers while it is copied. The rebuild
  -- fills it again while they go on. They queue behind a lock that is waited
  -- for: so it is asked for in short tries.
  FOR attempt IN 1..100 LOOP
    BEGIN
      PERFORM set_config('lock_timeout', '100ms', TRUE);
      LOCK TABLE "public"."kv_store", "public"."kv_state" IN ACCESS EXCLUSIVE MODE;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF attempt = 100 THEN RAISE; END IF;
      PERFORM pg_sleep(0.1 + 0.2 * random());
    END;
  END LOOP;
  PERFORM set_config('lock_timeout', rem_lock_timeout, TRUE);
  TRUNCATE "public"."kv_store", "public"."kv_state";
  ALTER TABLE "public"."kv_store" SET UNLOGGED;
  ALTER TABLE "public"."kv_state" SET UNLOGGED;
END $do$;
CREATE UNLOGGED TABLE IF NOT EXISTS "public"."kv_store" (
  entity_key VARCHAR(255) NOT NULL,
  entity_type VARCHAR(100) NOT NULL,
  entity_id UUID NOT NULL,
  tenant_id VARCHAR(100) NOT NULL,
  user_id VARCHAR(100),
  normalized_key VARCHAR(255) NOT NULL,
  content_summary TEXT,
  metadata JSONB NOT NULL DEFAULT '{}',
  graph_edges JSONB NOT NULL DEFAULT '[]',
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, entity_key, entity_type, entity_id),
  CONSTRAINT kv_store_entity UNIQUE (entity_type, entity_id)
) WITH (
  -- Half-empty pages keep updates on their page: 35 ms per 10,000 instead of 150 and growing.
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02
);
CREATE INDEX IF NOT EXISTS kv_store_normalized_key ON "public"."kv_store" (tenant_id, normalized_key);
CREATE INDEX IF NOT EXISTS kv_store_fuzzy ON "public"."kv_store" USING gin (tenant_id, entity_key gin_trgm_ops) WITH (gin_pending_list_limit = 256);
COMMENT ON TABLE "public"."kv_store" IS 'remdb: internal';
CREATE UNLOGGED TABLE IF NOT EXISTS "public"."kv_state" (
  kind TEXT PRIMARY KEY,
  token UUID NOT NULL,
  filenode OID NOT NULL,
  at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE "public"."kv_state" IS 'remdb: internal';
-- The cache of a database without entities is whole. On Citus the first rebuild marks it so.
WITH marker AS MATERIALIZED (
  SELECT 'ready' AS kind, gen_random_uuid() AS token, pg_relation_filenode('"public"."kv_store"'::regclass) AS filenode
  WHERE to_regclass('pg_catalog.pg_dist_node') IS NULL AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname ~ '^trg_.*_kv_store')
)
INSERT INTO "public"."kv_state" (kind, token, filenode) SELECT * FROM marker ON CONFLICT DO NOTHING;
-- One of an earlier release.
ALTER INDEX IF EXISTS "public"."kv_store_fuzzy" SET (gin_pending_list_limit = 256);

-- Indexes to build in the background, and what became of them; `rem index status` shows it.
CREATE TABLE IF NOT EXISTS "public"."rem_index_builds" (
  index_name TEXT PRIMARY KEY,
  table_name TEXT NOT NULL,
  index_type TEXT NOT NULL,
  -- Of an HNSW index: provider, model and dimensions.
  space JSONB,
  state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'building', 'failed', 'built')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  without_workers BOOLEAN NOT NULL DEFAULT false,
  -- Percent of the build under way.
  progress REAL,
  error TEXT,
  sql_state TEXT,
  started_at TIMESTAMPTZ,
  finished_at TIMESTAMPTZ
);
COMMENT ON TABLE "public"."rem_index_builds" IS 'remdb: internal';

-- rem_embedding_models: the models whose vectors a table has. Texts are queued
-- for the active one, which searches use, and for one that is being filled.
CREATE TABLE IF NOT EXISTS "public"."rem_embedding_models" (
  entity_type VARCHAR(100) NOT NULL,
  provider VARCHAR(50) NOT NULL,
  model VARCHAR(100) NOT NULL,
  dimensions INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'filling', 'retired')),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (entity_type, provider, model, dimensions)
);
CREATE UNIQUE INDEX IF NOT EXISTS rem_embedding_models_active ON "public"."rem_embedding_models" (entity_type) WHERE state = 'active';
COMMENT ON TABLE "public"."rem_embedding_models" IS 'remdb: internal';
-- rem_embedding_fields: the fields whose texts have vectors. The triggers go by
-- it, so that two versions of a model can be in use at once.
CREATE TABLE IF NOT EXISTS "public"."rem_embedding_fields" (
  entity_type VARCHAR(100) NOT NULL,
  field_name VARCHAR(100) NOT NULL,
  column_name VARCHAR(63) NOT NULL,
  -- filling: older texts are still to be queued; removing: its vectors are being removed.
  state TEXT NOT NULL DEFAULT 'filling' CHECK (state IN ('filling', 'embedded', 'removing')),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (entity_type, field_name)
);
COMMENT ON TABLE "public"."rem_embedding_fields" IS 'remdb: internal';
-- rem_embedding_versions: the versions of each model, in the order in which they
-- came. Only the latest takes a field out of rem_embedding_fields.
CREATE TABLE IF NOT EXISTS "public"."rem_embedding_versions" (
  entity_type VARCHAR(100) NOT NULL,
  version TEXT NOT NULL,
  ordinal BIGINT GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (entity_type, version)
);
COMMENT ON TABLE "public"."rem_embedding_versions" IS 'remdb: internal';
-- rem_embedding_queue: texts without the vector of their present content, once
-- for each entity, field and model. It contains no text.
CREATE TABLE IF NOT EXISTS "public"."rem_embedding_queue" (
  entity_type VARCHAR(100) NOT NULL,
  entity_id UUID NOT NULL,
  field_name VARCHAR(100) NOT NULL,
  provider VARCHAR(50) NOT NULL,
  model VARCHAR(100) NOT NULL,
  dimensions INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dead')),
  -- Failures so far.
  attempts INTEGER NOT NULL DEFAULT 0,
  queued_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  -- Not taken before; of a text that a worker has, the end of its lease.
  due_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  -- The worker that has it. Forgotten when the text changes: what was begun for an older text settles nothing.
  lease_owner UUID,
  reason TEXT,
  PRIMARY KEY (entity_type, entity_id, field_name, provider, model, dimensions)
) WITH (
  -- It fills and empties again and again: dead rows must not pile up in front of the live ones.
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000
);
CREATE INDEX IF NOT EXISTS rem_embedding_queue_due ON "public"."rem_embedding_queue"
  (entity_type, provider, model, dimensions, due_at) WHERE state = 'pending';
-- Leases that end later than any lease can, after the clock was set back.
CREATE INDEX IF NOT EXISTS rem_embedding_queue_leases ON "public"."rem_embedding_queue" (due_at) WHERE lease_owner IS NOT NULL;
COMMENT ON TABLE "public"."rem_embedding_queue" IS 'remdb: internal';

-- rem_word_sources: what the words of each table are made from. Rows that were
-- there before get theirs in the background, in the order of their ids.
CREATE TABLE IF NOT EXISTS "public"."rem_word_sources" (
  entity_type VARCHAR(100) PRIMARY KEY,
  language TEXT NOT NULL,
  columns TEXT[] NOT NULL,
  -- Rows of an older version are made again.
  version INTEGER NOT NULL DEFAULT 1,
  -- While it is being filled: rows up to this id have their words. NULL with is_filled false: none of them.
  filled_to UUID,
  is_filled BOOLEAN NOT NULL DEFAULT false,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE "public"."rem_word_sources" IS 'remdb: internal';

CREATE OR REPLACE FUNCTION "public"."rem_store_words"(rem_type TEXT, rem_table REGCLASS, rem_words REGCLASS, rem_ids UUID[], rem_overwrite BOOLEAN) RETURNS VOID
LANGUAGE plpgsql
SET search_path = pg_catalog, "public", pg_temp
SET restrict_nonsystem_relation_kind = ''
SET enable_seqscan = off
AS $fn$
DECLARE
  rem_text TEXT;
  rem_source RECORD;
BEGIN
  SELECT s.language, s.version, s.columns INTO rem_source FROM "public"."rem_word_sources" AS s WHERE s.entity_type = rem_type;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT string_agg(format('left(r.%I::text, %s)', a.attname, 50000 / cardinality(rem_source.columns)), ', ' ORDER BY array_position(rem_source.columns, a.attname::text)) INTO rem_text
  FROM pg_attribute AS a
  WHERE a.attrelid = rem_table AND a.attname = ANY (rem_source.columns) AND a.attnum > 0 AND NOT a.attisdropped;
  EXECUTE format(E'WITH entries AS MATERIALIZED (
SELECT t.id, t.tenant_id, t.user_id, %1$s, l.length, l.often, t.words FROM (
  SELECT t.*, CASE WHEN (octet_length("t"."text") = char_length("t"."text") OR "t"."text" !~ E''[\\\\u0e01-\\\\u0e3a\\\\u0e40-\\\\u0e4e\\\\u0e81-\\\\u0ece\\\\u0edc-\\\\u0edf\\\\u1000-\\\\u103f\\\\u1050-\\\\u109d\\\\u1780-\\\\u17d3\\\\u3005-\\\\u3007\\\\u3041-\\\\u3096\\\\u309d-\\\\u309f\\\\u30a1-\\\\u30fa\\\\u30fc-\\\\u30ff\\\\u31f0-\\\\u31ff\\\\u3400-\\\\u4dbf\\\\u4e00-\\\\u9fff\\\\uf900-\\\\ufaff\\\\U00020000-\\\\U0003ffff\\\\u0e3b-\\\\u0e3f\\\\u0e4f-\\\\u0e80\\\\u0ecf-\\\\u0edb\\\\u0ee0-\\\\u0eff\\\\u0f00-\\\\u0fff\\\\u1040-\\\\u104f\\\\u109e-\\\\u109f\\\\u17d4-\\\\u17ff\\\\u3097-\\\\u309c\\\\u30a0\\\\u30fb\\\\uac00-\\\\ud7af\\\\uff66-\\\\uff9f\\\\u3000-\\\\u303f\\\\uff00-\\\\uffef]'') AND NOT EXISTS (SELECT FROM (SELECT convert_to("t"."text", ''UTF8'') AS bytes OFFSET 0) AS encoded, generate_series(1, octet_length("t"."text") - 128 + 1, 128) AS at
    WHERE position('' ''::bytea IN substr(encoded.bytes, at, 128)) = 0)
  THEN to_tsvector(%2$L, replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace("t"."text", ''-'', '' ''), ''/'', '' ''), ''.'', '' ''), ''_'', '' ''), ''@'', '' ''), ''<'', '' ''), ''&'', '' ''), ''+'', '' ''), ''~'', '' ''), '':'', '' ''), ''='', '' ''))
  ELSE "public"."rem_words"(%2$L, "t"."text", false) END AS words FROM (
    SELECT r.id, %6$s AS tenant_id, r.user_id, concat_ws('' '', %3$s) AS text
    FROM (SELECT c.id FROM unnest($1) AS c (id) ORDER BY c.id) AS changed CROSS JOIN LATERAL (SELECT * FROM %4$s AS r WHERE r.id = changed.id OFFSET 0) AS r
    WHERE r.deleted_at IS NULL ORDER BY changed.id OFFSET 0
  ) AS t OFFSET 0
) AS t CROSS JOIN LATERAL (SELECT coalesce(sum(cardinality(u.positions)), 0)::integer AS length,
    array_agg(u.lexeme) FILTER (WHERE cardinality(u.positions) >= 3) AS often FROM unnest(t.words) AS u) AS l
)
INSERT INTO %5$s AS w (entity_id, tenant_id, user_id, version, length, often, words)
SELECT * FROM entries ON CONFLICT (entity_id) DO %7$s',
    rem_source.version, rem_source.language, coalesce(rem_text, quote_literal('')), rem_table, rem_words,
    CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = rem_table AND attname = 'tenant_id' AND NOT attisdropped) THEN 'r.tenant_id' ELSE quote_literal('*') END,
    CASE WHEN rem_overwrite THEN 'UPDATE SET tenant_id = excluded.tenant_id, user_id = excluded.user_id, version = excluded.version, length = excluded.length, often = excluded.often, words = excluded.words' ELSE 'NOTHING' END)
  USING rem_ids;
END $fn$;
