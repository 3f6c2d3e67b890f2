import type { Database } from "../db/database.ts";
import { tableRef, wordSourcesRef, wordsRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { hasWords } from "../schema/word-indexes.ts";
import { storeWordsRef } from "../schema/words.ts";
import { literal, raw, sql, toText } from "../sql.ts";

/** 30 ms of work for texts of a page: writers of these rows wait no longer. */
const rowsPerBatch = 200;

/**
 * Gives rows their words that were there before their triggers, or whose words
 * were made in another way, in the order of their ids. Each batch is a
 * transaction of its own that also notes how far it came: a process that dies
 * loses one batch, and two that work at once take turns. Returns whether it made
 * any.
 */
export async function fillWords(
	db: Database,
	tables: readonly EntityTable[],
	isStopping: () => boolean,
): Promise<boolean> {
	let hasFilled = false;
	for (const table of tables.filter(({ entity }) => hasWords(entity)))
		while (!isStopping() && (await fillBatch(db, table))) hasFilled = true;
	return hasFilled;
}

/** Whether there was one to fill. */
async function fillBatch(db: Database, table: EntityTable): Promise<boolean> {
	const { entity, schema } = table;
	const sources = wordSourcesRef(schema);
	const type = entity.tableName;
	const words = wordsRef(table);
	const { rows: waiting } = await db.query(
		sql`SELECT FROM ${sources} WHERE entity_type = ${type} AND NOT is_filled`,
		{ idempotent: true },
	);
	if (waiting.length === 0) return false;
	return db.transaction(async (tx) => {
		const { rows: sourceRows } = await tx.query<{
			version: number;
			filled_to: string | null;
		}>(
			sql`SELECT version, filled_to FROM ${sources} WHERE entity_type = ${type} AND NOT is_filled FOR UPDATE`,
		);
		const [source] = sourceRows;
		if (source === undefined) return false;
		const { rows: batch } = await tx.query<{
			ids: string[] | null;
			last: string | null;
		}>(sql`
SELECT array_agg(b.id ORDER BY b.id) AS ids, (array_agg(b.id ORDER BY b.id DESC))[1] AS last FROM (
  SELECT r.id FROM ${tableRef(table)} AS r WHERE ${source.filled_to === null ? raw("TRUE") : sql`r.id > ${source.filled_to}::uuid`} ORDER BY r.id LIMIT ${rowsPerBatch}
) AS b`);
		const { ids = null, last = null } = batch[0] ?? {};
		if (ids === null || last === null) {
			await tx.query(
				sql`UPDATE ${sources} SET is_filled = true, filled_to = NULL, updated_at = now() WHERE entity_type = ${type}`,
			);
			return true;
		}
		const list = sql`${`{${ids.join(",")}}`}::uuid[]`;
		// What a writer has stored by now is of this version: it stays.
		await tx.query(
			sql`DELETE FROM ${words} WHERE entity_id = ANY (${list}) AND version <> ${source.version}`,
		);
		await tx.query(
			sql`SELECT ${storeWordsRef(schema)}(${type}, ${literal(toText(tableRef(table)))}::regclass, ${literal(toText(words))}::regclass, ${list}, false)`,
		);
		await tx.query(
			sql`UPDATE ${sources} SET filled_to = ${last}::uuid, updated_at = now() WHERE entity_type = ${type}`,
		);
		return true;
	});
}
