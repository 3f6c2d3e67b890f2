-- On every node, the coordinator too: what the tables of remdb need.
CREATE EXTENSION IF NOT EXISTS citus;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
-- A schema, and all that is in it, is on one worker.
ALTER DATABASE remdb SET citus.enable_schema_based_sharding = on;
-- The triggers of cache, words and vectors run on the worker, on tables of the same schema.
ALTER DATABASE remdb SET citus.enable_unsafe_triggers = on;
-- A writer's SET LOCAL reaches the triggers that it is for.
ALTER DATABASE remdb SET citus.propagate_set_commands = 'local';
-- How nodes reach each other, as the role that is connected.
\getenv password POSTGRES_PASSWORD
INSERT INTO pg_dist_authinfo (nodeid, rolename, authinfo)
VALUES (0, 'postgres', 'password=' || quote_literal(:'password'));
ALTER SYSTEM SET citus.node_conninfo = 'sslmode=prefer';
SELECT pg_reload_conf();
