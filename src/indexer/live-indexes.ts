import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import { ident, sql, toText } from "../sql.ts";

/** An index as the database has it. */
export interface LiveIndex {
	readonly name: string;
	readonly tableName: string;
	/** Whether the planner uses it; false while it is being built, and after a build that died. */
	readonly isValid: boolean;
	readonly isUnique: boolean;
	/** From `USING` on, as PostgreSQL writes it. */
	readonly definition: string;
	readonly sizeBytes: number;
}

/** Every index on the tables. Tables that are not there have none. */
export async function readLiveIndexes(
	db: Handle,
	schema: string,
	tableNames: readonly string[],
): Promise<LiveIndex[]> {
	const { rows } = await db.query<LiveIndex>(sql`
SELECT t.relname AS "tableName", i.relname AS name, x.indisvalid AS "isValid", x.indisunique AS "isUnique",
  ${indexText} AS definition,
  coalesce(pg_relation_size(i.oid), 0)::float8 AS "sizeBytes"
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relnamespace = to_regnamespace(${toText(ident(schema))})
  AND t.relname = ANY (${arrayLiteral([...new Set(tableNames)])}::text[])
  -- Dropped meanwhile, it has no text.
  AND pg_get_indexdef(i.oid) IS NOT NULL
ORDER BY t.relname, i.relname`);
	return rows.map((row) => ({
		...row,
		definition: fromUsing(row.definition),
	}));
}

/** What follows `ON` in the text of index `i`: its name could hold any word. */
const indexText = sql`substr(pg_get_indexdef(i.oid),
    strpos(pg_get_indexdef(i.oid), quote_ident(i.relname) || ' ON ') + length(quote_ident(i.relname)) + 4)`;

function fromUsing(text: string): string {
	return text.slice(text.indexOf(" USING ") + 1);
}

/**
 * The definitions as PostgreSQL would write them, in their order: each is built
 * on an empty temporary copy of the table, because nothing but PostgreSQL knows
 * how it spells an expression.
 */
export async function spellDefinitions(
	db: Handle,
	schema: string,
	tableName: string,
	definitions: readonly string[],
): Promise<string[]> {
	return db.transaction(async (tx) => {
		const indexes = definitions
			.map((text, at) => `CREATE INDEX rem_spelt_${at} ON rem_spelt ${text};`)
			.join("\n");
		await tx.script(
			`CREATE TEMPORARY TABLE rem_spelt (LIKE ${toText(ident(schema, tableName))}) ON COMMIT DROP;\n${indexes}`,
		);
		const { rows } = await tx.query<{ name: string; definition: string }>(sql`
SELECT i.relname AS name, ${indexText} AS definition
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indrelid = 'pg_temp.rem_spelt'::regclass`);
		return definitions.map((_, at) => {
			const row = rows.find(({ name }) => name === `rem_spelt_${at}`);
			return fromUsing(row?.definition ?? "");
		});
	});
}
