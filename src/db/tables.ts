import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, type Sql } from "../sql.ts";

/** The entity's table, with its schema: no statement depends on a search_path. */
export function tableRef({ schema, entity }: EntityTable): Sql {
	return ident(schema, entity.tableName);
}

/** The table of the entity's vectors. */
export function embeddingsRef({ schema, entity }: EntityTable): Sql {
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
