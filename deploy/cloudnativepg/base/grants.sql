-- What the roles may, run by the owner of the tables after every migration.
GRANT USAGE ON SCHEMA public TO rem_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rem_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO rem_app;
-- What was migrated is the owner's to write down.
REVOKE INSERT, UPDATE, DELETE ON rem_migrations FROM rem_app;
-- What the metrics look at; no row content is in these.
GRANT SELECT ON kv_state, rem_embedding_queue TO pg_monitor;
