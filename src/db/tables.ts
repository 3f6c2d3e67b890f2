import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, type Sql, sql } from "../sql.ts";

/** The entity's table, with its schema: no statement depends on a search_path. */
export function tableRef({ schema, entity }: EntityTable): Sql {
	return ident(schema, entity.tableName);
}

/**
 * The row with the id, to follow FROM, by the primary key whatever the table's
 * size was when the plan was made. A trigger keeps its plan for the connection's
 * life: made while the table was small, or had no statistics, it read a whole
 * index for every statement, or compared every row with every id. Conditions of
 * the row belong outside: `deleted_at IS NULL` would let it choose that index.
 */
export function rowById(table: EntityTable, alias: string, id: Sql): Sql {
	const row = ident(alias);
	return sql`(SELECT * FROM ${tableRef(table)} AS ${row} WHERE ${row}.id = ${id} OFFSET 0) AS ${row}`;
}

/** The table of the entity's vectors. */
export function embeddingsRef({
	schema,
	entity,
}: Pick<EntityTable, "schema" | "entity">): Sql {
	return ident(schema, entity.embeddingsTableName);
}

/** The table of each row's words. */
export function wordsRef({ schema, entity }: EntityTable): Sql {
	return ident(schema, entity.wordsTableName);
}

/** What the words of each table are made from. */
export function wordSourcesRef(schema: string): Sql {
	return ident(schema, "rem_word_sources");
}

/** With row level security: ids of the tenant's rows of a table whose JSON contains a value. */
export function holdingRef(schema: string, tableName: string): Sql {
	return ident(schema, boundedName(`rem_holding_${tableName}`));
}

/** With row level security: the tenant's entries of the cache that are like a text. */
export function similarEntriesRef(schema: string): Sql {
	return ident(schema, "rem_similar_entries");
}

/** With row level security: ANALYZE, for those of the tables that never were. */
export function firstStatisticsRef(schema: string): Sql {
	return ident(schema, "rem_first_statistics");
}
