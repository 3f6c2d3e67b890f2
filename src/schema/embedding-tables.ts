import {
	embeddingFieldsRef,
	embeddingModelsRef,
	embeddingQueueRef,
	embeddingVersionsRef,
} from "../db/embedding-queue.ts";
import { type Sql, sql } from "../sql.ts";
import { ours } from "./ownership.ts";

/** The models of each table, and the texts that wait for their vectors: logged, so that no crash loses one. */
export function embeddingTablesDdl(schema: string): Sql {
	const models = embeddingModelsRef(schema);
	const queue = embeddingQueueRef(schema);
	const fields = embeddingFieldsRef(schema);
	const versions = embeddingVersionsRef(schema);
	return sql`
-- rem_embedding_models: the models whose vectors a table has. Texts are queued
-- for the active one, which searches use, and for one that is being filled.
CREATE TABLE IF NOT EXISTS ${models} (
  entity_type VARCHAR(100) NOT NULL,
  provider VARCHAR(50) NOT NULL,
  model VARCHAR(100) NOT NULL,
  dimensions INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'filling', 'retired')),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (entity_type, provider, model, dimensions)
);
CREATE UNIQUE INDEX IF NOT EXISTS rem_embedding_models_active ON ${models} (entity_type) WHERE state = 'active';
${ours(models)}
-- rem_embedding_fields: the fields whose texts have vectors. The triggers go by
-- it, so that two versions of a model can be in use at once.
CREATE TABLE IF NOT EXISTS ${fields} (
  entity_type VARCHAR(100) NOT NULL,
  field_name VARCHAR(100) NOT NULL,
  column_name VARCHAR(63) NOT NULL,
  -- filling: older texts are still to be queued; removing: its vectors are being removed.
  state TEXT NOT NULL DEFAULT 'filling' CHECK (state IN ('filling', 'embedded', 'removing')),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (entity_type, field_name)
);
${ours(fields)}
-- rem_embedding_versions: the versions of each model, in the order in which they
-- came. Only the latest takes a field out of rem_embedding_fields.
CREATE TABLE IF NOT EXISTS ${versions} (
  entity_type VARCHAR(100) NOT NULL,
  version TEXT NOT NULL,
  ordinal BIGINT GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (entity_type, version)
);
${ours(versions)}
-- rem_embedding_queue: texts without the vector of their present content, once
-- for each entity, field and model. It contains no text.
CREATE TABLE IF NOT EXISTS ${queue} (
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
CREATE INDEX IF NOT EXISTS rem_embedding_queue_due ON ${queue}
  (entity_type, provider, model, dimensions, due_at) WHERE state = 'pending';
-- Leases that end later than any lease can, after the clock was set back.
CREATE INDEX IF NOT EXISTS rem_embedding_queue_leases ON ${queue} (due_at) WHERE lease_owner IS NOT NULL;
${ours(queue)}
`;
}
