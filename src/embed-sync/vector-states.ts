import type { Handle } from "../db/database.ts";
import { embeddingQueueRef, textHash } from "../db/embedding-queue.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { ident, join, literal, type Sql, sql } from "../sql.ts";
import { isEmbeddable } from "../vectors/texts.ts";

/** A part of a text that has a vector of its own. */
export interface Passage {
	/** Place of its first character, from 0, in code points; `null`: it is the whole text. */
	readonly start: number | null;
	/** Place after its last character. */
	readonly end: number | null;
	readonly text: string;
}

/** The vectors of one field's text, under one model. */
export interface VectorState extends VectorSpace {
	readonly fieldName: string;
	/**
	 * `present`: of the text as it is. `queued`: waits for the worker or `sync`.
	 * `dead`: dead-lettered, see `reason`. `stale`: of an older text, and not
	 * queued. `missing`: none, and not queued. `empty`: the field has no text.
	 */
	readonly state: "present" | "queued" | "dead" | "stale" | "missing" | "empty";
	/** Why it was dead-lettered, or waits after a failure. */
	readonly reason: string | null;
	/** Failures so far. */
	readonly attempts: number;
	readonly queuedAt: Date | null;
	/** When it is due; a worker may have it. */
	readonly dueAt: Date | null;
	/** In the order of the text; of a text that is `stale`, the places where they were. */
	readonly passages: readonly Passage[];
}

/** The states of a row's fields under each of the models; none: there is no such row. */
export async function readVectorStates(
	db: Handle,
	table: EntityTable,
	{
		isRow,
		spaces,
	}: { readonly isRow: Sql; readonly spaces: readonly VectorSpace[] },
): Promise<VectorState[]> {
	const { entity, schema } = table;
	if (entity.embedFields.length === 0 || spaces.length === 0) return [];
	const fields = entity.embedFields.map(
		({ name, column }) => sql`(${literal(name)}, ${ident("r", column)})`,
	);
	const models = spaces.map(
		({ provider, model, dimensions }) =>
			sql`(${provider}::text, ${model}::text, ${dimensions}::integer)`,
	);
	const { rows } = await db.query<StoredState>(
		sql`SELECT f.field_name AS "fieldName", m.provider, m.model, m.dimensions, f.content,
  q.state AS queue, q.reason, coalesce(q.attempts, 0) AS attempts, q.queued_at AS "queuedAt", q.due_at AS "dueAt",
  e.is_present AS "isPresent", e.starts, e.ends
FROM ${tableRef(table)} AS r
CROSS JOIN (VALUES ${join(models)}) AS m (provider, model, dimensions)
CROSS JOIN LATERAL (VALUES ${join(fields)}) AS f (field_name, content)
LEFT JOIN ${embeddingQueueRef(schema)} AS q ON q.entity_type = ${entity.tableName} AND q.entity_id = r.id
  AND q.field_name = f.field_name AND (q.provider, q.model, q.dimensions) = (m.provider, m.model, m.dimensions)
LEFT JOIN LATERAL (
  SELECT bool_and(e.content_hash = ${textHash}) AS is_present,
    array_agg(e.chunk_start ORDER BY e.chunk) AS starts, array_agg(e.chunk_end ORDER BY e.chunk) AS ends
  FROM ${embeddingsRef(table)} AS e
  WHERE e.entity_id = r.id AND e.field_name = f.field_name
    AND (e.provider, e.model, e.dimensions) = (m.provider, m.model, m.dimensions)
) AS e ON TRUE
WHERE ${isRow}`,
		{ idempotent: true },
	);
	const order = entity.embedFields.map(({ name }) => name);
	return rows
		.map(toState)
		.sort((a, b) => order.indexOf(a.fieldName) - order.indexOf(b.fieldName));
}

interface StoredState extends Omit<VectorState, "state" | "passages"> {
	readonly content: string | null;
	readonly queue: "pending" | "dead" | null;
	readonly isPresent: boolean | null;
	readonly starts: readonly (number | null)[] | null;
	readonly ends: readonly (number | null)[] | null;
}

function toState({
	content,
	queue,
	isPresent,
	starts,
	ends,
	...stored
}: StoredState): VectorState {
	const points = [...(content ?? "")];
	const passages = (starts ?? []).map((start, at) => {
		const end = ends?.[at] ?? null;
		const part =
			start === null || end === null ? points : points.slice(start, end);
		return { start, end, text: part.join("") };
	});
	return { ...stored, state: stateOf(content, queue, isPresent), passages };
}

/** A text that changed is in the queue beside the vector of the older one. */
function stateOf(
	content: string | null,
	queue: StoredState["queue"],
	isPresent: boolean | null,
): VectorState["state"] {
	if (!isEmbeddable(content)) return "empty";
	if (queue === "dead") return "dead";
	if (queue === "pending") return "queued";
	if (isPresent === null) return "missing";
	return isPresent ? "present" : "stale";
}
