import { ident, type Sql, sql } from "../sql.ts";
import { ours } from "./ownership.ts";

/** The queue of the background indexer, and its memory of what it built. */
export function indexBuildsDdl(schema: string): Sql {
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
