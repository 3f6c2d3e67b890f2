import { isUsableIndex } from "../db/catalogue/indexes.ts";
import { extensionNames } from "../db/session-settings.ts";
import { ident, join, literal, raw, type Sql, sql, toText } from "../sql.ts";
import { isPlain } from "./citus.ts";
import { embeddingTablesDdl } from "./embedding-tables.ts";
import { normalizeKeyDdl } from "./normalize-key.ts";
import { ours } from "./ownership.ts";
import { pendingListLimit, shortPendingList } from "./pending-list.ts";
import { wordFunctionsDdl } from "./word-function.ts";
import { storeWordsDdl, wordSourcesDdl } from "./words.ts";

/** A file of the schema: what psql runs and what the package applies. */
export interface SchemaFile {
	readonly name: string;
	readonly text: string;
}

export interface BaseOptions {
	/** Schema of our tables. */
	readonly schema: string;
	/** `logged`: kv_store can be read on standbys, for 9 % on inserts. */
	readonly kvPersistence: "unlogged" | "logged";
}

/** What everything else needs, in order; every statement may run again. */
export function baseFiles(options: BaseOptions): readonly SchemaFile[] {
	const { schema, kvPersistence } = options;
	if (last?.schema !== schema || last.kvPersistence !== kvPersistence)
		last = { schema, kvPersistence, files: makeFiles(options) };
	return last.files;
}

/** A migration asks for them eight times. */
let last: (BaseOptions & { files: readonly SchemaFile[] }) | undefined;

function makeFiles(options: BaseOptions): readonly SchemaFile[] {
	return [
		{
			name: "001_setup_extensions.sql",
			text: toText(setupExtensions(options.schema)),
		},
		{
			name: "002_kv_store_cache.sql",
			text: toText(
				join(
					[
						kvStoreCache(options),
						embeddingTablesDdl(options.schema),
						wordSourcesDdl(options.schema),
						storeWordsDdl(options.schema),
					],
					"",
				),
			),
		},
	];
}

function setupExtensions(schema: string): Sql {
	return sql`-- Extensions, functions and the ledger of migrations.
-- vector needs a superuser (or a role that may create it); the others are trusted.
${createSchema(schema)}${createExtensions(schema)}
${normalizeKeyDdl(schema)}
${wordFunctionsDdl(schema)}
-- The normalised targets of a row's edges, for an index on inbound edges.
CREATE OR REPLACE FUNCTION ${ident(schema, "rem_edge_keys")}(edges JSONB) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_agg(DISTINCT ${ident(schema, "rem_normalize_key")}(edge ->> 'dst'))
  FROM jsonb_array_elements(CASE jsonb_typeof(edges) WHEN 'array' THEN edges ELSE '[]' END) AS edge
  WHERE edge ->> 'dst' IS NOT NULL);

-- Whether queries can use an index: a function, because a statement that reads the
-- catalogue beside our tables would be cut in two by Citus.
CREATE OR REPLACE FUNCTION ${ident(schema, "rem_is_usable")}(rem_index TEXT) RETURNS BOOLEAN
LANGUAGE sql STABLE STRICT
RETURN ${isUsableIndex(sql`rem_index`)};

-- Edges added to those that are there: one of the same dst and rel_type takes the old one's place.
CREATE OR REPLACE FUNCTION ${ident(schema, "rem_merge_edges")}(edges JSONB, added JSONB) RETURNS JSONB
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

CREATE TABLE IF NOT EXISTS ${ident(schema, "rem_migrations")} (
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
${ours(ident(schema, "rem_migrations"))}`;
}

/**
 * Not where the search_path of a session leads, which may be nowhere: in
 * `public`, or beside our tables where `public` is missing or closed. Those
 * that are installed stay where they are.
 */
function createExtensions(schema: string): Sql {
	const create = extensionNames.map(
		(name) =>
			sql`  EXECUTE format('CREATE EXTENSION IF NOT EXISTS ${raw(name)} SCHEMA %I', rem_place);
`,
	);
	return sql`DO $do$
DECLARE
  rem_place TEXT := CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND has_schema_privilege(oid, 'USAGE'))
    THEN 'public' ELSE ${literal(schema)} END;
BEGIN
${join(create, "")}END $do$;
`;
}

/** `public` is there; of another schema, creating it must not be asked where it exists. */
export function createSchema(schema: string): Sql {
	if (schema === "public") return sql``;
	return sql`DO $do$ BEGIN
  IF to_regnamespace(${literal(toText(ident(schema)))}) IS NULL THEN
    CREATE SCHEMA ${ident(schema)};
  END IF;
END $do$;
`;
}

function kvStoreCache({ schema, kvPersistence }: BaseOptions): Sql {
	const kvStore = ident(schema, "kv_store");
	const kvState = ident(schema, "kv_state");
	const kvStoreText = literal(toText(kvStore));
	const isUnlogged = kvPersistence === "unlogged";
	const unlogged = raw(isUnlogged ? "UNLOGGED " : "");
	const persistence = raw(isUnlogged ? "UNLOGGED" : "LOGGED");
	const relpersistence = literal(isUnlogged ? "u" : "p");
	return sql`-- kv_store: every live entity by its natural key, maintained by triggers.
-- An UNLOGGED table is emptied by a crash, a failover or a restore. kv_state is
-- emptied with it: its row 'ready', bound to the file of kv_store, states that the
-- cache is whole, and every LOOKUP checks it in its own statement.
-- Its tables are made by statements of their own, not in a block: Citus spreads a
-- table over its nodes only where the statement comes by itself.
DO $do$
DECLARE
  rem_lock_timeout TEXT := current_setting('lock_timeout');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class WHERE relpersistence <> ${relpersistence}
    AND oid IN (to_regclass(${kvStoreText}), to_regclass(${literal(toText(kvState))}))) THEN RETURN; END IF;
  -- From one persistence to the other: an empty table changes at once, a full
  -- one would stop all writers and readers while it is copied. The rebuild
  -- fills it again while they go on. They queue behind a lock that is waited
  -- for: so it is asked for in short tries.
  FOR attempt IN 1..100 LOOP
    BEGIN
      PERFORM set_config('lock_timeout', '100ms', TRUE);
      LOCK TABLE ${kvStore}, ${kvState} IN ACCESS EXCLUSIVE MODE;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF attempt = 100 THEN RAISE; END IF;
      PERFORM pg_sleep(0.1 + 0.2 * random());
    END;
  END LOOP;
  PERFORM set_config('lock_timeout', rem_lock_timeout, TRUE);
  TRUNCATE ${kvStore}, ${kvState};
  ALTER TABLE ${kvStore} SET ${persistence};
  ALTER TABLE ${kvState} SET ${persistence};
END $do$;
CREATE ${unlogged}TABLE IF NOT EXISTS ${kvStore} (
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
CREATE INDEX IF NOT EXISTS kv_store_normalized_key ON ${kvStore} (tenant_id, normalized_key);
CREATE INDEX IF NOT EXISTS kv_store_fuzzy ON ${kvStore} USING gin (tenant_id, entity_key gin_trgm_ops) ${shortPendingList};
${ours(kvStore)}
CREATE ${unlogged}TABLE IF NOT EXISTS ${kvState} (
  kind TEXT PRIMARY KEY,
  token UUID NOT NULL,
  filenode OID NOT NULL,
  at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
${ours(kvState)}
-- The cache of a database without entities is whole. On Citus the first rebuild marks it so.
WITH marker AS MATERIALIZED (
  SELECT 'ready' AS kind, gen_random_uuid() AS token, pg_relation_filenode(${kvStoreText}::regclass) AS filenode
  WHERE ${isPlain} AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname ~ '^trg_.*_kv_store')
)
INSERT INTO ${kvState} (kind, token, filenode) SELECT * FROM marker ON CONFLICT DO NOTHING;
-- One of an earlier release.
ALTER INDEX IF EXISTS ${ident(schema, "kv_store_fuzzy")} SET (${pendingListLimit});
${indexBuildsDdl(schema)}`;
}

/** The queue of the background indexer, and its memory of what it built. */
function indexBuildsDdl(schema: string): Sql {
	const builds = ident(schema, "rem_index_builds");
	return sql`
-- Indexes to build in the background, and what became of them; \`rem index status\` shows it.
CREATE TABLE IF NOT EXISTS ${builds} (
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
${ours(builds)}
`;
}
