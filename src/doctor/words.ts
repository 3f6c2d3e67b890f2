import { tableRef, wordSourcesRef, wordsRef } from "../db/tables.ts";
import { hasWords } from "../schema/word-indexes.ts";
import { literal, sql } from "../sql.ts";
import { counted, type Finding, ok, type RunCheck, warning } from "./check.ts";

/** Whether the rows have their words, by which hybrid searches find and rank them. */
export const checkWords: RunCheck = async ({ db, registry }) => {
	const findings: Finding[] = [];
	let complete = 0;
	for (const table of registry.all().filter(({ entity }) => hasWords(entity))) {
		const { tableName } = table.entity;
		const { rows } = await db.query<{
			readonly is_filled: boolean;
			readonly rows: number;
			readonly words: number;
		}>(
			sql`SELECT s.is_filled,
  (SELECT count(*) FROM ${tableRef(table)} AS r WHERE r.deleted_at IS NULL)::double precision AS rows,
  (SELECT count(*) FROM ${wordsRef(table)})::double precision AS words
FROM ${wordSourcesRef(table.schema)} AS s WHERE s.entity_type = ${literal(tableName)}`,
			{ idempotent: true },
		);
		const [source] = rows;
		if (source === undefined || source.is_filled) complete++;
		else
			findings.push(
				warning(
					`${tableName}: ${source.words} of ${source.rows} rows have their words, searches compute the others`,
					"rem index build, or let rem worker finish it",
				),
			);
	}
	if (complete > 0)
		findings.unshift(ok(`complete in ${counted(complete, "table")}`));
	return findings;
};
