import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { arrayLiteral, encodeArray } from "../db/encode.ts";
import { rowsPerStatement } from "../db/pipelined.ts";
import { embeddingsRef, tableRef, wordsRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { hasWords } from "../schema/word-indexes.ts";
import { empty, ident, literal, type Sql, sql } from "../sql.ts";
import { changeRetries } from "./change-rows.ts";

/** Whose data `forget` erases, and how it is followed. */
export interface ForgetOptions {
	readonly tenantId: string;
	/** Only what belongs to this user; shared rows of the tenant stay. @default the whole tenant */
	readonly userId?: string;
	/** Called after each batch, with the rows erased so far. */
	readonly onProgress?: (progress: { readonly done: number }) => void;
	/** Stops before the next batch; what is erased stays erased. */
	readonly signal?: AbortSignal;
}

/** What `forget` erased: all together, and of each table of which it erased something. */
export interface ForgetReport extends ForgottenRows {
	readonly tables: Readonly<Record<string, ForgottenRows>>;
}

/** What was erased of one table. */
export interface ForgottenRows {
	/** Rows, soft-deleted ones included. */
	readonly rows: number;
	/** Vectors of every model. */
	readonly vectors: number;
	/** Rows' stored words. */
	readonly words: number;
	/** Entries of kv_store. */
	readonly kvEntries: number;
	/** Texts in the embedding queue, dead-lettered ones included. */
	readonly queued: number;
}

/** Whose rows are erased. */
export interface ForgottenOwner {
	readonly tenantId: string;
	/** Only that user's; `undefined`: the whole tenant's. */
	readonly userId: string | undefined;
}

export const nothingForgotten: ForgottenRows = {
	rows: 0,
	vectors: 0,
	words: 0,
	kvEntries: 0,
	queued: 0,
};

/**
 * Erases up to 500 rows of the owner with all that is derived from them, in one
 * transaction, and returns counts; no rows: none are left. What is stored of a
 * row elsewhere goes with it, by triggers and foreign keys.
 */
export function forgetBatch(
	db: Handle,
	table: EntityTable,
	owner: ForgottenOwner,
): Promise<ForgottenRows> {
	return db.transaction(
		async (tx) => {
			const { rows: found } = await tx.query<{ id: string }>(
				lockSql(table, owner),
			);
			if (found.length === 0) return nothingForgotten;
			const ids = sql`${encodeArray(
				"uuid",
				found.map(({ id }) => id),
			)}::uuid[]`;
			const { rows } = await tx.query<Omit<ForgottenRows, "rows">>(
				countSql(table, ids),
			);
			await tx.query(
				sql`DELETE FROM ${tableRef(table)} AS t WHERE t.id = ANY (${ids})`,
			);
			return { ...nothingForgotten, ...rows[0], rows: found.length };
		},
		{ retries: changeRetries, isLimited: true },
	);
}

/** In the order of an index on tenant and id; PostgreSQL may else follow the primary key, through all tenants. */
function lockSql(table: EntityTable, owner: ForgottenOwner): Sql {
	return sql`SELECT t.id FROM ${tableRef(table)} AS t
WHERE ${owns(owner)}
ORDER BY t.tenant_id, t.id LIMIT ${rowsPerStatement} FOR UPDATE`;
}

function owns({ tenantId, userId }: ForgottenOwner): Sql {
	return sql`t.tenant_id = ANY (${arrayLiteral([tenantId])}::text[])${userId === undefined ? empty : sql` AND t.user_id = ${userId}`}`;
}

function countSql(table: EntityTable, ids: Sql): Sql {
	const { entity, schema } = table;
	const type = literal(entity.tableName);
	const count = (from: Sql) => sql`(SELECT count(*)::integer FROM ${from})`;
	const none = sql`0`;
	const vectors = entity.createEmbeddings
		? count(sql`${embeddingsRef(table)} WHERE entity_id = ANY (${ids})`)
		: none;
	const words = hasWords(entity)
		? count(sql`${wordsRef(table)} WHERE entity_id = ANY (${ids})`)
		: none;
	const ofType = sql`WHERE entity_type = ${type} AND entity_id = ANY (${ids})`;
	return sql`SELECT ${vectors} AS vectors, ${words} AS words,
  ${count(sql`${ident(schema, "kv_store")} ${ofType}`)} AS "kvEntries",
  ${count(sql`${embeddingQueueRef(schema)} ${ofType}`)} AS queued`;
}

/**
 * Erases what is stored of the owner without a row: entries that another program,
 * or a restored backup of one table, left. There is mostly none.
 */
export async function forgetLeftovers(
	db: Handle,
	table: EntityTable,
	owner: ForgottenOwner,
): Promise<ForgottenRows> {
	const { entity, schema } = table;
	const erase = async (from: Sql, also: Sql = empty) => {
		const { rowCount } = await db.query(
			sql`DELETE FROM ${from} AS t WHERE ${owns(owner)}${also}
AND NOT EXISTS (SELECT FROM ${tableRef(table)} AS r WHERE r.id = t.entity_id)`,
			{ retries: changeRetries, isLimited: true },
		);
		return rowCount;
	};
	return {
		...nothingForgotten,
		vectors: entity.createEmbeddings ? await erase(embeddingsRef(table)) : 0,
		words: hasWords(entity) ? await erase(wordsRef(table)) : 0,
		kvEntries: await erase(
			ident(schema, "kv_store"),
			sql` AND t.entity_type = ${literal(entity.tableName)}`,
		),
	};
}
