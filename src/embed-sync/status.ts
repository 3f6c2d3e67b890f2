import type { Handle } from "../db/database.ts";
import {
	embeddableTexts,
	embeddingQueueRef,
	textHash,
} from "../db/embedding-queue.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { isSameSpace } from "../models/vector.ts";
import { sql } from "../sql.ts";
import { isSpace, type ModelState, type TableModel } from "./models.ts";

/** The state of one field's texts, under one model. */
export interface FieldStatus extends VectorSpace {
	readonly tableName: string;
	readonly fieldName: string;
	/** `undefined`: the model is not one of the table's; a call named it, or there is none yet. */
	readonly state: ModelState | undefined;
	/** Live rows that have a text there. */
	readonly texts: number;
	/** Those that have the vector of their present text. */
	readonly embedded: number;
	/** Those that wait for it. */
	readonly queued: number;
	/** Those that were dead-lettered. */
	readonly dead: number;
	/** How long the oldest of the queued waits, in milliseconds. */
	readonly oldestMs: number | undefined;
	/** Why texts were dead-lettered, or wait after a failure, most frequent first. */
	readonly reasons: readonly {
		readonly reason: string;
		readonly count: number;
	}[];
}

/** Texts of a field that wait, or were dead-lettered, for the same reason. */
export interface Queued extends VectorSpace {
	readonly tableName: string;
	readonly fieldName: string;
	readonly state: "pending" | "dead";
	readonly reason: string | null;
	readonly count: number;
	readonly ageMs: number;
}

interface StatusRequest {
	readonly tables: readonly EntityTable[];
	readonly models: readonly TableModel[];
}

/** The status of every field of the tables, under each of their models and what else waits. */
export async function readStatus(
	db: Handle,
	schema: string,
	{ tables, models }: StatusRequest,
): Promise<FieldStatus[]> {
	const queued = await readQueued(db, schema);
	const status: FieldStatus[] = [];
	for (const table of tables) {
		const { tableName } = table.entity;
		const spaces = distinct([
			...models.filter((model) => model.tableName === tableName),
			...queued
				.filter((text) => text.tableName === tableName)
				.map((text) => ({ ...text, state: undefined })),
		]);
		for (const space of spaces)
			for (const counted of await countTexts(db, table, space)) {
				const waiting = queued.filter(
					(text) =>
						text.tableName === tableName &&
						text.fieldName === counted.fieldName &&
						isSameSpace(text, space),
				);
				status.push({ ...space, tableName, ...counted, ...summary(waiting) });
			}
	}
	return status;
}

type Space = VectorSpace & { readonly state: ModelState | undefined };

function distinct(spaces: readonly Space[]): Space[] {
	return spaces
		.filter(
			(space, index) =>
				spaces.findIndex((other) => isSameSpace(space, other)) === index,
		)
		.map(({ provider, model, dimensions, state }) => ({
			provider,
			model,
			dimensions,
			state,
		}));
}

/**
 * One pass over the rows and one over the vectors, as one join: with a subquery for
 * each text, PostgreSQL looked each vector up on its own (25 s at 10⁶ texts).
 */
async function countTexts(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
): Promise<Pick<FieldStatus, "fieldName" | "texts" | "embedded">[]> {
	const { rows } = await db.query<
		Pick<FieldStatus, "fieldName" | "texts" | "embedded">
	>(sql`
SELECT f.field_name AS "fieldName", count(*) AS texts, count(e.entity_id) AS embedded
FROM ${tableRef(table)} AS r
CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
LEFT JOIN ${embeddingsRef(table)} AS e ON e.entity_id = r.id AND e.field_name = f.field_name
  AND ${isSpace("e", space)} AND e.chunk = 0 AND e.content_hash = ${textHash}
GROUP BY f.field_name`);
	return table.entity.embedFields.map(
		({ name }) =>
			rows.find(({ fieldName }) => fieldName === name) ?? {
				fieldName: name,
				texts: 0,
				embedded: 0,
			},
	);
}

/** Waiting and dead-lettered texts, by field, model and reason. */
export async function readQueued(
	db: Handle,
	schema: string,
): Promise<Queued[]> {
	const { rows } = await db.query<Queued>(sql`
SELECT entity_type AS "tableName", field_name AS "fieldName", provider, model, dimensions, state, reason,
  count(*) AS count, extract(epoch FROM now() - min(queued_at)) * 1000 AS "ageMs"
FROM ${embeddingQueueRef(schema)}
GROUP BY entity_type, field_name, provider, model, dimensions, state, reason
ORDER BY count(*) DESC, reason`);
	return rows;
}

function summary(
	waiting: readonly Queued[],
): Pick<FieldStatus, "queued" | "dead" | "oldestMs" | "reasons"> {
	const sum = (state: Queued["state"]) =>
		waiting
			.filter((text) => text.state === state)
			.reduce((total, { count }) => total + count, 0);
	const ages = waiting
		.filter(({ state }) => state === "pending")
		.map(({ ageMs }) => Math.round(Number(ageMs)));
	return {
		queued: sum("pending"),
		dead: sum("dead"),
		oldestMs: ages.length === 0 ? undefined : Math.max(0, ...ages),
		reasons: waiting.flatMap(({ reason, count }) =>
			reason === null ? [] : [{ reason, count }],
		),
	};
}
