-- The roles of compose.yaml, made by the superuser of the image; may run again.
-- rem_owner owns database and tables: migrations and the worker. rem_app reads
-- and writes rows, with the rights of cloudnativepg/base/grants.sql.
\getenv owner_password REM_OWNER_PASSWORD
\getenv app_password REM_APP_PASSWORD
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['rem_owner', 'rem_app']) AS name
WHERE to_regrole(name) IS NULL \gexec
ALTER ROLE rem_owner LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE rem_app LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'app_password';

-- vector is not a trusted extension.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

SELECT format('ALTER DATABASE %I OWNER TO rem_owner', current_database()) \gexec
-- What an older compose.yaml made as superuser.
SELECT format('ALTER %s %s OWNER TO rem_owner', kind, name) FROM (
  SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, oid::regclass::text AS name, 'pg_class'::regclass AS class, oid
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relowner = current_user::regrole
  UNION ALL
  SELECT 'ROUTINE', oid::regprocedure::text, 'pg_proc'::regclass, oid
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole
) AS made
WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = made.class AND d.objid = made.oid AND d.deptype = 'e') \gexec
