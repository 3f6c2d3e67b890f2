-- What the application's role may, run by the owner of the tables after every
-- migration: the rights of docs/operations.md, on whatever tables there are.
GRANT USAGE ON SCHEMA public TO rem_app;
DO $do$ BEGIN
  -- With row level security, "rem schema generate --rls" says what the role may.
  IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.kv_store'::regclass) THEN RETURN; END IF;
  GRANT SELECT, INSERT, UPDATE, DELETE, MAINTAIN ON ALL TABLES IN SCHEMA public TO rem_app;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE, MAINTAIN ON TABLES TO rem_app;
  -- What was migrated is the owner's to write down, and builds are not forgotten.
  REVOKE INSERT, UPDATE, DELETE, MAINTAIN ON public.rem_migrations FROM rem_app;
  REVOKE DELETE, MAINTAIN ON public.rem_index_builds FROM rem_app;
  -- Which fields have vectors is decided by the owner's migrations.
  REVOKE INSERT, UPDATE, DELETE, MAINTAIN ON public.rem_embedding_fields, public.rem_embedding_versions FROM rem_app;
END $do$;
-- What the metrics read; no row content is in these.
GRANT SELECT ON kv_state, rem_embedding_queue TO pg_monitor;
