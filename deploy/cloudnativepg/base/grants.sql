-- What the application's role may, run by the owner of the tables after every
-- migration: the rights of docs/operations.md, on whatever tables there are, in
-- the schema and in each of its buckets.
DO $do$
DECLARE
  rem_schema TEXT;
BEGIN
  FOR rem_schema IN
    SELECT nspname FROM pg_namespace
    WHERE nspname = 'public' OR (nspname ~ '^public_b[0-9]+$' AND to_regclass('public.rem_buckets') IS NOT NULL)
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO rem_app', rem_schema);
    -- The schema that records the buckets has no other tables.
    CONTINUE WHEN to_regclass(format('%I.kv_store', rem_schema)) IS NULL;
    -- What the metrics read; no row content is in these.
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO pg_monitor', rem_schema);
    EXECUTE format('GRANT SELECT ON %1$I.kv_state, %1$I.rem_embedding_queue TO pg_monitor', rem_schema);
    -- With row level security, "rem schema generate --rls" grants what the role may.
    CONTINUE WHEN (SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(format('%I.kv_store', rem_schema)));
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, MAINTAIN ON ALL TABLES IN SCHEMA %I TO rem_app', rem_schema);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE, MAINTAIN ON TABLES TO rem_app', rem_schema);
    -- What was migrated is the owner's to write down, and builds are not forgotten.
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, MAINTAIN ON %I.rem_migrations FROM rem_app', rem_schema);
    EXECUTE format('REVOKE DELETE, MAINTAIN ON %I.rem_index_builds FROM rem_app', rem_schema);
    -- Which fields have vectors is decided by the owner's migrations.
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, MAINTAIN ON %1$I.rem_embedding_fields, %1$I.rem_embedding_versions FROM rem_app', rem_schema);
  END LOOP;
  -- How many buckets there are.
  IF to_regclass('public.rem_buckets') IS NOT NULL THEN
    GRANT SELECT ON public.rem_buckets TO rem_app;
  END IF;
END $do$;
