import type { Handle } from "../db/database.ts";
import { tableRef, wordSourcesRef, wordsRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { hasWords } from "../schema/word-indexes.ts";
import { literal, sql } from "../sql.ts";
import { counted, type Finding, ok, type RunCheck, warning } from "./check.ts";

/** Whether the rows have their words, by which hybrid searches find and rank them. */
export const checkWords: RunCheck = async ({ db, registry }) => {
	const findings: Finding[] = [];
	let complete = 0;
	for (const table of registry.all().filter(({ entity }) => hasWords(entity))) {
		const { rows } = await db.query<{
			readonly is_filled: boolean;
			readonly version: number;
		}>(
			sql`SELECT is_filled, version FROM ${wordSourcesRef(table.schema)} WHERE entity_type = ${literal(table.entity.tableName)}`,
			{ idempotent: true },
		);
		const [source] = rows;
		if (source === undefined || source.is_filled) complete++;
		else findings.push(await unfilled(db, table, source.version));
	}
	if (complete > 0)
		findings.unshift(ok(`complete in ${counted(complete, "table")}`));
	return findings;
};

/** Words of an earlier version, as before a migration that renamed a column, are not those of now. */
async function unfilled(
	db: Handle,
	table: EntityTable,
	version: number,
): Promise<Finding> {
	const { tableName } = table.entity;
	const { rows } = await db.query<{
		readonly rows: number;
		readonly words: number;
		readonly former: number;
	}>(
		sql`SELECT (SELECT count(*) FROM ${tableRef(table)} AS r WHERE r.deleted_at IS NULL)::double precision AS rows,
  w.words, w.former
FROM (SELECT count(*) FILTER (WHERE version = ${version})::double precision AS words,
  count(*) FILTER (WHERE version <> ${version})::double precision AS former FROM ${wordsRef(table)}) AS w`,
		{ idempotent: true },
	);
	const { rows: all = 0, words = 0, former = 0 } = rows[0] ?? {};
	const ofFormer =
		former === 0 ? "" : ` (${former} have those of an earlier version)`;
	return warning(
		words >= all
			? `${tableName}: all ${all} rows have their words, but are not marked as complete: searches read each row`
			: `${tableName}: ${words} of ${all} rows have their words${ofFormer}, searches compute the others`,
		"rem index build, or let rem worker finish it",
	);
}
